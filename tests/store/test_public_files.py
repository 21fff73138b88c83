"""Public files: what every implementation promises of files that grow and are never lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick.errors import Conflict, SchemaMismatch, StoreCorrupt, StoreFailed
from tallystick.store.postgres.public_files import PostgresPublicFiles
from tallystick.store.public_files import (
    Patch,
    PublicationCursor,
    PublicFiles,
    PublishedSeal,
    copy_public_files,
)
from tallystick.store.sqlite.public_files import SqlitePublicFiles

FIRST = PublicationCursor(1, 0, b"tail 1")
SECOND = PublicationCursor(5, 5, b"tail 2")


Open = Callable[[], PublicFiles]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.needs("postgres"))])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Return what opens empty public files of each kind, as often as it is called."""
    if request.param == "sqlite":
        return lambda: SqlitePublicFiles(tmp_path / "public.db")
    database = request.getfixturevalue("postgres_tables")
    return lambda: PostgresPublicFiles(database)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where files of SQLite are to be."""
    return tmp_path / "public.db"


@pytest.fixture
def files(place: Open) -> Iterator[PublicFiles]:
    """Yield empty public files."""
    opened = place()
    yield opened
    opened.close()


def test_no_file_is_made_before_something_is_published(path: Path) -> None:
    files = SqlitePublicFiles(path)
    assert files.read("a", 0) is None
    assert not path.exists()


def test_nothing_is_there_before_something_is_published(files: PublicFiles) -> None:
    assert files.tenants() == []
    assert files.cursor("a") is None
    assert files.size("a", 0) is None
    assert files.read("a", 0) is None
    assert files.seal("a", 0) is None


def test_step_is_there_after_reopening(files: PublicFiles, place: Open) -> None:
    patches = [Patch(0, 10_000, b"nodes"), Patch(0, 0, b"header"), Patch(1, 3, b"x")]
    files.advance("a\0b", None, FIRST, patches=patches)
    seals = [PublishedSeal(0, 5, b"seal"), PublishedSeal(1, 5, b"other")]
    files.advance("a\0b", FIRST, SECOND, patches=[Patch(0, 10_005, b"!")], seals=seals)
    files.close()
    again = place()
    assert again.tenants() == ["a\0b"]
    assert again.cursor("a\0b") == SECOND
    assert again.size("a\0b", 0) == 10_006
    whole = b"header" + bytes(9_994) + b"nodes!"
    assert again.read("a\0b", 0) == whole
    assert again.read("a\0b", 0, 2, 8) == whole[2:8]
    assert again.read("a\0b", 0, 10_000, 50_000) == b"nodes!"
    assert again.read("a\0b", 0, 20_000) == b""
    assert again.read("a\0b", 1) == b"\0\0\0x"
    assert again.read("a\0b", 2) is None
    assert [again.seal("a\0b", n) for n in range(3)] == [*seals, None]
    again.close()


def test_tenants_do_not_share_files(files: PublicFiles) -> None:
    for tenant, data in (("a", b"of a"), ("b", b"of b")):
        files.advance(tenant, None, FIRST, patches=[Patch(0, 0, data)])
    assert (files.read("a", 0), files.read("b", 0)) == (b"of a", b"of b")


@pytest.mark.parametrize("before", [None, SECOND, FIRST._replace(tail=b"other")])
def test_step_from_another_place_changes_nothing(
    files: PublicFiles, before: PublicationCursor | None
) -> None:
    files.advance("a", None, FIRST, patches=[Patch(0, 0, b"first")])
    with pytest.raises(Conflict):
        files.advance(
            "a",
            before,
            SECOND,
            patches=[Patch(0, 0, b"wrong")],
            seals=[PublishedSeal(0, 1, b"wrong")],
        )
    assert files.cursor("a") == FIRST
    assert files.read("a", 0) == b"first"
    assert files.seal("a", 0) is None


def test_one_of_many_who_try_the_same_step_succeeds(files: PublicFiles) -> None:
    results: list[bool] = []
    barrier = threading.Barrier(8)

    def take(number: int) -> None:
        barrier.wait()
        try:
            files.advance("a", None, FIRST, patches=[Patch(0, 0, b"%d" % number)])
            results.append(True)
        except Conflict:
            results.append(False)

    threads = [threading.Thread(target=take, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False] * 7 + [True]
    assert files.size("a", 0) == 1


WRITES = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 13_000), st.binary(max_size=9_000)), max_size=8
)


@given(WRITES, st.integers(0, 20_000), st.integers(0, 20_000))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_files_are_what_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    writes: list[tuple[int, int, bytes]],
    start: int,
    stop: int,
) -> None:
    files = SqlitePublicFiles(tmp_path_factory.mktemp("files") / "public.db")
    expected: dict[int, bytearray] = {}
    cursor: PublicationCursor | None = None
    for number, (file, offset, data) in enumerate(writes):
        after = PublicationCursor(number + 1, 0, b"")
        files.advance("a", cursor, after, patches=[Patch(file, offset, data)])
        cursor = after
        if data:
            content = expected.setdefault(file, bytearray())
            content.extend(bytes(max(offset + len(data) - len(content), 0)))
            content[offset : offset + len(data)] = data
    for file in range(2):
        if file not in expected:
            assert files.read("a", file) is None
            continue
        whole = bytes(expected[file])
        assert (files.read("a", file), files.size("a", file)) == (whole, len(whole))
        assert files.read("a", file, start, stop) == whole[start:stop]
    files.close()


def test_reader_sees_one_moment_while_the_file_grows(files: PublicFiles) -> None:
    """Every byte of a read is of the same step, however many chunks the file has."""
    count, size = 40, 30_000
    files.advance("a", None, PublicationCursor(0, 0, b""), patches=[Patch(0, 0, bytes(size))])
    seen: set[int] = set()

    def read() -> None:
        while True:
            content = files.read("a", 0)
            assert content is not None
            assert len(set(content)) == 1
            seen.add(content[0])
            if content[0] == count:
                return

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(count):
        patch = Patch(0, 0, bytes((number + 1,)) * size)
        files.advance(
            "a",
            PublicationCursor(number, 0, b""),
            PublicationCursor(number + 1, 0, b""),
            patches=[patch],
        )
    reader.join()
    assert count in seen


def test_all_files_of_a_tenant_are_removed_at_once(files: PublicFiles) -> None:
    for tenant in ("a", "b"):
        patches = [Patch(0, 5_000, b"nodes"), Patch(1, 0, b"next")]
        files.advance(tenant, None, SECOND, patches=patches, seals=[PublishedSeal(0, 5, b"seal")])
    with pytest.raises(Conflict):
        files.remove("a", FIRST)
    with pytest.raises(Conflict):
        files.remove("nobody", FIRST)
    assert files.read("a", 1) == b"next"
    files.remove("a", SECOND)
    assert files.tenants() == ["b"]
    assert files.cursor("a") is None
    assert (files.read("a", 0), files.size("a", 1), files.seal("a", 0)) == (None, None, None)
    assert files.read("b", 1) == b"next"
    # It begins again as if nothing had been.
    files.advance("a", None, FIRST, patches=[Patch(0, 0, b"again")])
    assert files.read("a", 0) == b"again"


def test_closed_files_and_foreign_ones_are_refused(path: Path, tmp_path: Path) -> None:
    files = SqlitePublicFiles(path)
    files.advance("a", None, FIRST)
    files.close()
    files.close()
    with pytest.raises(StoreFailed):
        SqlitePublicFiles(path.parent / "none" / "public.db").advance("a", None, FIRST)
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreCorrupt):
        SqlitePublicFiles(path).cursor("a")


def test_another_schema_version_is_refused(path: Path) -> None:
    files = SqlitePublicFiles(path)
    files.advance("a", None, FIRST)
    files.close()
    import apsw

    connection = apsw.Connection(str(path))
    connection.execute("UPDATE schema_version SET version = 7")
    connection.close()
    with pytest.raises(SchemaMismatch, match="version 7"):
        SqlitePublicFiles(path).cursor("a")


def test_files_are_copied_from_any_place_to_any(place: Open, path: Path) -> None:
    source, target = SqlitePublicFiles(path.with_name("source.db")), place()
    for tenant in ("a", "b"):
        patches = [Patch(0, 5_000, b"nodes"), Patch(1, 0, b"next")]
        source.advance(tenant, None, SECOND, patches=patches, seals=[PublishedSeal(0, 5, b"seal")])
    target.advance("a", None, PublicationCursor(0, 0, b""), patches=[Patch(0, 5_000, b"nodes")])
    assert copy_public_files(source, target) == 4
    assert copy_public_files(source, target) == 0
    for tenant in ("a", "b"):
        assert target.cursor(tenant) == SECOND
        assert [target.read(tenant, n) for n in range(3)] == [
            source.read(tenant, n) for n in range(3)
        ]
        assert target.seal(tenant, 0) == PublishedSeal(0, 5, b"seal")
    source.advance("a", SECOND, FIRST)
    with pytest.raises(Conflict):
        copy_public_files(source, target)
    source.close()
    target.close()
