"""Compressed bodies: unpacked whole, in any pieces, and never beyond the limit."""

from __future__ import annotations

import gzip
import sys
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.errors import Malformed, TooLarge, UnsupportedMediaType
from tallystick.http.compression import CODINGS, Unpacker, coding_of, unpacked

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd.compress,
}


@pytest.mark.parametrize("coding", CODINGS)
@given(parts=st.lists(st.binary(max_size=200), min_size=1, max_size=5), cut=st.integers(1, 50))
def test_members_behind_one_another_are_one_body(coding: str, parts: list[bytes], cut: int) -> None:
    packed, whole = b"".join(map(PACK[coding], parts)), b"".join(parts)
    assert unpacked(coding, packed, 1000) == whole
    unpacker = Unpacker(coding, 1000)
    pieces = [packed[at : at + cut] for at in range(0, len(packed), cut)]
    assert b"".join(part for piece in pieces for part in unpacker.unpack(piece)) == whole
    unpacker.finish()


@pytest.mark.parametrize("coding", CODINGS)
def test_a_large_body_comes_in_pieces_of_moderate_size(coding: str) -> None:
    whole = bytes(range(256)) * 10_000
    unpacker = Unpacker(coding, len(whole))
    parts = list(unpacker.unpack(PACK[coding](whole)))
    unpacker.finish()
    assert b"".join(parts) == whole
    assert max(map(len, parts)) <= 64 * 1024


@pytest.mark.parametrize("coding", CODINGS)
def test_a_bomb_is_not_unpacked(coding: str) -> None:
    bomb = PACK[coding](bytes(200_000_000))
    tracemalloc.start()
    with pytest.raises(TooLarge):
        unpacked(coding, bomb, 1_000_000)
    assert tracemalloc.get_traced_memory()[1] < 3_000_000
    tracemalloc.stop()
    with pytest.raises(TooLarge):
        unpacked(coding, PACK[coding](bytes(600)) * 2, 1000)
    assert unpacked(coding, PACK[coding](bytes(1000)), 1000) == bytes(1000)


def test_a_zstd_body_that_asks_for_much_memory_is_refused() -> None:
    options = {int(zstd.CompressionParameter.window_log): 27}
    packer = zstd.ZstdCompressor(options=options)
    wide = packer.compress(b"x" * 100) + packer.flush()
    with pytest.raises(Malformed):
        unpacked("zstd", wide, 1000)


@pytest.mark.parametrize("coding", CODINGS)
def test_what_is_broken_is_refused(coding: str) -> None:
    packed = PACK[coding](b"some text that is packed")
    for broken in (b"", b"plain", packed[:-1], packed[:5], packed + b"junk", b"\0" + packed):
        with pytest.raises(Malformed):
            unpacked(coding, broken, 1000)


def test_very_many_empty_members_are_refused() -> None:
    with pytest.raises(Malformed):
        unpacked("gzip", gzip.compress(b"") * 20_000, 1000)


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        ("gzip", "gzip"), ("GZip", "gzip"), ("x-gzip", "gzip"), (" zstd ", "zstd"),
        ("deflate", "deflate"), ("identity", None), ("", None), ("identity, gzip", "gzip"),
        (",gzip,", "gzip"),
    ],
)  # fmt: skip
def test_row_10_codings_are_known_in_any_letter_case(header: str, coding: str | None) -> None:
    assert coding_of(header) == coding


@pytest.mark.parametrize("header", ["br", "compress", "gzip, gzip", "snappy", "gzip;q=1", "*"])
def test_row_10_other_codings_are_refused(header: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        coding_of(header)
