"""Files are whole or missing, whichever call a crash interrupts."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tallystick import durable
from tallystick.log.keys import open_log_key, read_log_key

STEPS = ("open", "write", "fsync", "link", "replace", "unlink")


def run_and_die(path: Path, step: int, write: object) -> bool:
    """Call `write` in a child that ends at its n-th system call; tell whether it came through."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    left = [step]

    def dying(call: object) -> object:
        def called(*args: object, **options: object) -> object:
            if not left[0]:
                os._exit(1)
            left[0] -= 1
            return call(*args, **options)  # type: ignore[operator]

        return called

    try:
        for name in STEPS:
            setattr(os, name, dying(getattr(os, name)))
        write(path)  # type: ignore[operator]
    except BaseException:  # a child must not return into the test runner
        os._exit(2)
    os._exit(0)


def test_a_crash_never_leaves_half_a_signing_key(tmp_path: Path) -> None:
    ended, step = False, 0
    while not ended:
        path = tmp_path / str(step) / "log.key"
        path.parent.mkdir()
        ended = run_and_die(path, step, lambda path: open_log_key(path, "localhost"))
        if path.exists():
            read_log_key(path)
        else:
            assert not ended
        assert open_log_key(path, "localhost").signer("origin").name == "origin"
        step += 1
    assert step > len(STEPS) - 2, "every step was tried"


def test_a_crash_leaves_the_earlier_file_or_the_later_one(tmp_path: Path) -> None:
    path, ended, step, found = tmp_path / "file", False, 0, set()
    while not ended:
        durable.replace_file(path, b"earlier")
        ended = run_and_die(path, step, lambda path: durable.replace_file(path, b"later"))
        found.add(path.read_bytes())
        step += 1
    assert found == {b"earlier", b"later"}
    assert path.read_bytes() == b"later"


def test_a_file_that_exists_is_not_created_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    durable.create_file(path, b"first")
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        durable.create_file(path, b"second")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"first"


def test_a_file_whose_writing_failed_is_not_there(tmp_path: Path) -> None:
    def fail() -> None:
        with durable.creating_file(tmp_path / "file") as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    durable.create_folder(tmp_path / "a" / "b")
    durable.create_folder(tmp_path / "a" / "b")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file"):
        durable.create_folder(tmp_path / "file" / "c")


def test_threads_that_replace_one_file_at_once_leave_one_of_their_contents(tmp_path: Path) -> None:
    path = tmp_path / "place"
    contents = [bytes([65 + number]) * 10_000 for number in range(8)]

    def write(content: bytes) -> None:
        for _ in range(20):
            durable.replace_file(path, content)

    with ThreadPoolExecutor(len(contents)) as threads:
        list(threads.map(write, contents))
    assert path.read_bytes() in contents
    assert [each.name for each in tmp_path.iterdir()] == ["place"]
