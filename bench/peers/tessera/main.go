// Command tessera appends random entries to a Tessera log on the POSIX driver, and prints how many
// a second came under a published checkpoint, as one line of JSON.
//
// Batches of 64 or 10 ms at most, and the shortest interval of checkpoints that the driver allows:
// its defaults wait longer.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"log"
	"os"
	"sort"
	"sync"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

func main() {
	folder := flag.String("folder", "", "where the log is kept")
	seconds := flag.Float64("seconds", 3, "how long entries are appended")
	callers := flag.Int("callers", 64, "how many append at a time")
	size := flag.Int("bytes", 640, "bytes of an entry")
	flag.Parse()

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	driver, err := posix.New(ctx, posix.Config{Path: *folder})
	must(err)
	secret, _, err := note.GenerateKey(rand.Reader, "bench")
	must(err)
	signer, err := note.NewSigner(secret)
	must(err)
	options := tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithBatching(64, 10*time.Millisecond).
		WithCheckpointInterval(100 * time.Millisecond)
	appender, shutdown, reader, err := tessera.NewAppender(ctx, driver, options)
	must(err)
	awaiter := tessera.NewPublicationAwaiter(ctx, reader.ReadCheckpoint, 5*time.Millisecond)

	var lock sync.Mutex
	var took []float64
	var group sync.WaitGroup
	began := time.Now()
	end := began.Add(time.Duration(*seconds * float64(time.Second)))
	for range *callers {
		group.Go(func() {
			data := make([]byte, *size)
			for time.Now().Before(end) {
				_, err := rand.Read(data)
				must(err)
				start := time.Now()
				future := appender.Add(ctx, tessera.NewEntry(append([]byte{}, data...)))
				_, _, err = awaiter.Await(ctx, future)
				must(err)
				lock.Lock()
				took = append(took, float64(time.Since(start).Microseconds())/1000)
				lock.Unlock()
			}
		})
	}
	group.Wait()
	elapsed := time.Since(began).Seconds()
	must(shutdown(ctx))
	sort.Float64s(took)
	must(json.NewEncoder(os.Stdout).Encode(map[string]float64{
		"rate": float64(len(took)) / elapsed,
		"p50":  took[len(took)/2],
		"p99":  took[len(took)*99/100],
	}))
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
