/* Makes every flush take some milliseconds longer, as a cloud disk does. For LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static void wait_a_little(void) {
    const char *text = getenv("BENCH_FLUSH_MS");
    double ms = text ? atof(text) : 0;
    struct timespec pause = {(time_t)(ms / 1000), (long)(ms * 1e6) % 1000000000L};
    if (ms > 0) nanosleep(&pause, NULL);
}

int fsync(int file) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    int result = real(file);
    wait_a_little();
    return result;
}

int fdatasync(int file) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    int result = real(file);
    wait_a_little();
    return result;
}
