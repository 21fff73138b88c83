#!/usr/bin/env python3
"""Verify a Tallystick evidence bundle with nothing but Python 3.8 or newer.

    python3 verify.py BUNDLE.zip [--key VERIFIER-KEY]

Exit status: 0 if everything holds, 3 if anything does not, 2 for wrong usage. Nothing is fetched,
nothing is imported beyond the standard library. Every byte of the bundle is accounted for: it is
rebuilt from what was proven and compared, or its SHA-256 stands in the manifest.
The format is described in docs/design/bundle.md of Tallystick.
"""

import base64
import hashlib
import json
import re
import struct
import sys
import zlib

FORMAT = "tallystick-bundle/1"
SECTIONS = ("actor", "target", "place", "data", "previous")
FIXED = ("summary.html", "verify.html", "verify.py")
PARTS = (
    "checkpoint", "entries.ndjson", "events.csv", "events.ndjson", "log.vkey", "manifest.json",
    "sections.ndjson",
)  # fmt: skip
REMOVED = "removed by policy"
REASONS = ("filtered out", "not an event", "not visible", REMOVED, "retracted")
ROW_MAX = 65536
CSV_HEAD = (
    "index,revision,id,kind,occurred_at,recorded_at,dialect,"
    "actor,target,scopes,trails,data,previous,original,erased\r\n"
)
SMALL = 16 * 2**20
LINE = 8 * 2**20


class Wrong(Exception):
    """Something does not hold."""


def need(condition, message):
    if not condition:
        raise Wrong(message)


# Ed25519, RFC 8032 section 5.1.7, verification only; every encoding must be the canonical one.

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def _recover_x(y, sign):
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * ROOT % P
    if (x * x - xx) % P or (x == 0 and sign):
        return None
    return P - x if x & 1 != sign else x


def _point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    x = _recover_x(y, sign) if y < P else None
    return None if x is None else (x, y, 1, x * y % P)


def _add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _times(scalar, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = (_recover_x(BASE_Y, 0), BASE_Y, 1, _recover_x(BASE_Y, 0) * BASE_Y % P)


def _same(p, q):
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


def ed25519_verify(public_key, message, signature):
    """Tell whether `signature` is one by `public_key` over `message`."""
    if len(public_key) != 32 or len(signature) != 64:
        return False
    a, r = _point(public_key), _point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L or _same(_times(8, a), (0, 1, 1, 0)):
        return False
    digest = hashlib.sha512(signature[:32] + public_key + message).digest()
    k = int.from_bytes(digest, "little") % L
    return _same(_times(s, BASE), _add(r, _times(k, a)))


# Small encodings


def sha256(data):
    return hashlib.sha256(data).digest()


def to_base64(data):
    return base64.b64encode(data)


def from_base64(text, length):
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise Wrong("something is not base64") from None
    need(to_base64(data) == text and len(data) == length, "something is not base64 as it must be")
    return data


def rfc3339(ms):
    """Return milliseconds since 1970 as UTC, proleptic Gregorian."""
    seconds, ms = divmod(ms, 1000)
    days, second = divmod(seconds, 86400)
    if days not in _DAYS:
        if len(_DAYS) > 10000:
            _DAYS.clear()
        z = days + 719468
        era, doe = divmod(z, 146097)
        yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
        doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
        mp = (5 * doy + 2) // 153
        day, month = doy - (153 * mp + 2) // 5 + 1, mp + 3 if mp < 10 else mp - 9
        _DAYS[days] = "%04d-%02d-%02d" % (yoe + era * 400 + (month <= 2), month, day)
    return "%sT%02d:%02d:%02d.%03dZ" % (
        _DAYS[days], second // 3600, second // 60 % 60, second % 60, ms
    )  # fmt: skip


_DAYS = {}


# The ZIP: it is walked from its first byte to its last, and each header is rebuilt.


def local_header(name, crc, size):
    big = size >= 0xFFFFFFFF
    extra = struct.pack("<HHQQ", 1, 16, size, size) if big else b""
    shown = 0xFFFFFFFF if big else size
    return (
        struct.pack("<IHHHHHIIIHH", 0x04034B50, 45 if big else 20, 0, 0, 0, 0x21, crc, shown, shown,
                    len(name), len(extra)) + name + extra
    )  # fmt: skip


def central_header(name, crc, size, offset):
    values = [value for value in (size, size, offset) if value >= 0xFFFFFFFF]
    extra = b""
    if values:
        extra = struct.pack("<HH%dQ" % len(values), 1, 8 * len(values), *values)
    shown = min(size, 0xFFFFFFFF)
    version = 45 if values else 20
    return (
        struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, version, version, 0, 0, 0, 0x21, crc, shown,
                    shown, len(name), len(extra), 0, 0, 0, 0, min(offset, 0xFFFFFFFF))
        + name + extra
    )  # fmt: skip


def end_records(count, size, offset):
    data = b""
    if count >= 0xFFFF or size >= 0xFFFFFFFF or offset >= 0xFFFFFFFF:
        data = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, count, count, size, offset)
        data += struct.pack("<IIQI", 0x07064B50, 0, offset + size, 1)
    return data + struct.pack(
        "<IHHHHIIH", 0x06054B50, 0, 0, min(count, 0xFFFF), min(count, 0xFFFF),
        min(size, 0xFFFFFFFF), min(offset, 0xFFFFFFFF), 0,
    )  # fmt: skip


class Archive:
    """The members of a bundle: where each begins, how long it is."""

    def __init__(self, file):
        self.file = file
        self.members = {}
        self.proofs = 0
        self.first_proof = None
        directory, offset, last, count, length = hashlib.sha256(), 0, b"", 0, 0
        while True:
            name, crc, size, header = self._header(offset)
            if name is None:
                break
            need(name > last, "members are not in the order of their names: %r" % name)
            last, count = name, count + 1
            self._check_content(name, offset + len(header), size, crc)
            text = name.decode("ascii", "replace")
            if text.startswith("proofs/"):
                self.first_proof = offset if self.first_proof is None else self.first_proof
                self.proofs += 1
            else:
                self.members[text] = (offset + len(header), size)
            entry = central_header(name, crc, size, offset)
            directory.update(entry)
            length += len(entry)
            offset += len(header) + size
        self._check_end(offset, length, directory.digest(), count)

    def _header(self, offset):
        """Return name, checksum, size and bytes of a local header; no name behind the last."""
        self.file.seek(offset)
        fixed = self.file.read(30)
        if len(fixed) < 30 or fixed[:4] != b"PK\3\4":
            return None, 0, 0, b""
        crc, _, size, name_length, extra_length = struct.unpack("<IIIHH", fixed[14:])
        rest = self.file.read(name_length + extra_length)
        name = rest[:name_length]
        if size == 0xFFFFFFFF and len(rest) == name_length + 20:
            size = struct.unpack("<Q", rest[name_length + 4 : name_length + 12])[0]
        header = local_header(name, crc, size)
        need(fixed + rest == header, "the header of member %r is not as it must be" % name)
        return name, crc, size, header

    def _check_content(self, name, start, size, crc):
        self.file.seek(start)
        found, left = 0, size
        while left:
            data = self.file.read(min(left, 2**20))
            need(data, "the bundle ends inside member %r" % name)
            found, left = zlib.crc32(data, found), left - len(data)
        need(found == crc, "the content of member %r was damaged" % name)

    def _check_end(self, offset, length, digest, count):
        self.file.seek(offset)
        found, left = hashlib.sha256(), length
        while left:
            data = self.file.read(min(left, 2**20))
            need(data, "the bundle is cut off")
            found.update(data)
            left -= len(data)
        need(found.digest() == digest, "the directory of the bundle does not match its members")
        end = end_records(count, length, offset)
        need(self.file.read(len(end) + 1) == end, "the end of the bundle is not as it must be")

    def read(self, name):
        """Return a small member whole."""
        start, size = self.members[name]
        need(size <= SMALL, "member %s is too long" % name)
        self.file.seek(start)
        return self.file.read(size)

    def read_at(self, name, offset, length):
        self.file.seek(self.members[name][0] + offset)
        return self.file.read(length)

    def lines(self, name, skip=0):
        """Yield the lines of a member, without their line ends; the last one has one too."""
        start, size = self.members[name]
        at, end, rest = start + skip, start + size, b""
        while at < end:
            self.file.seek(at)
            data = self.file.read(min(2**20, end - at))
            at += len(data)
            lines = (rest + data).split(b"\n")
            rest = lines.pop()
            need(len(rest) <= LINE, "a line of %s is too long" % name)
            for line in lines:
                yield line
        need(not rest, "%s does not end with a line" % name)

    def proof_texts(self):
        """Yield name and content of each proof."""
        offset = self.first_proof
        for _ in range(self.proofs):
            name, _, size, header = self._header(offset)
            need(size <= 65536, "a proof is too long")
            self.file.seek(offset + len(header))
            yield name, self.file.read(size)
            offset += len(header) + size


# Keys, notes and the tree


def parse_key(text):
    """Return name, key id and raw key of a C2SP verifier key."""
    parts = text.split("+", 2)
    need(len(parts) == 3 and re.match(r"[0-9a-f]{8}\Z", parts[1]), "the verifier key is malformed")
    key = from_base64(parts[2].encode(), 33)
    need(key[0] == 1, "the verifier key is not Ed25519")
    name = parts[0]
    key_id = sha256(name.encode() + b"\n" + key)[:4]
    need(key_id.hex() == parts[1], "the verifier key does not match its own id")
    return name, key_id, key[1:]


def open_checkpoint(note, vkey):
    """Return origin, size and root of a checkpoint that the key has signed, and no other key."""
    name, key_id, key = parse_key(vkey)
    try:
        text = note.decode("utf-8")
    except UnicodeDecodeError:
        raise Wrong("the checkpoint is not text") from None
    match = re.match(
        "([^\\n\\x00-\\x1f]+)\\n(0|[1-9][0-9]{0,15})\\n([A-Za-z0-9+/=]{44})\\n\\n"
        "\u2014 ([^ \\n]+) ([A-Za-z0-9+/=]+)\\n\\Z",
        text,
    )
    need(match, "the checkpoint is malformed")
    origin, size, root, signer, signature = match.groups()
    need(origin == name and signer == name, "the checkpoint belongs to another log than the key")
    data = from_base64(signature.encode(), 68)
    need(data[:4] == key_id, "the checkpoint is signed with another key")
    signed = ("%s\n%s\n%s\n" % (origin, size, root)).encode()
    need(ed25519_verify(key, signed, data[4:]), "the signature of the checkpoint is not the log's")
    return origin, int(size), from_base64(root.encode(), 32)


def tile_path(level, number, width):
    parts = ["%03d" % (number % 1000)]
    while number >= 1000:
        number //= 1000
        parts.insert(0, "x%03d" % (number % 1000))
    return "tile/%d/%s%s" % (level, "/".join(parts), "" if width == 256 else ".p/%d" % width)


def node(left, right):
    return sha256(b"\1" + left + right)


def levels_over(hashes):
    """Return complete subtrees over hashes: a list of hashes for each height up to 8."""
    levels = [hashes]
    while len(levels[-1]) > 1:
        row = levels[-1]
        levels.append([node(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)])
    return levels


class Tree:
    """The tree at the checkpoint's size, from the tiles in the bundle."""

    def __init__(self, archive, size, root):
        self.archive, self.size = archive, size
        self.cache = {}
        self.right = {}
        self.block, self.above = None, b""
        need(self._root() == root, "the tiles do not lead to the root that was signed")
        for name in [name for name in archive.members if name.startswith("tile/")]:
            self._check_tile(name)

    def _width(self, level, number):
        return min(max((self.size >> 8 * level) - number * 256, 0), 256)

    def tile(self, level, number):
        """Return the subtrees over a tile's hashes, height by height."""
        found = self.cache.get((level, number))
        if found is None:
            width = self._width(level, number)
            name = tile_path(level, number, width)
            need(width and name in self.archive.members, "tile %s is missing" % name)
            data = self.archive.read(name)
            need(len(data) == 32 * width, "tile %s has the wrong length" % name)
            if len(self.cache) > 64:
                self.cache.pop(next(iter(self.cache)))
            hashes = [data[i : i + 32] for i in range(0, len(data), 32)]
            found = self.cache[level, number] = levels_over(hashes)
        return found

    def subtree(self, height, position):
        """Return the root of the complete subtree of 2**height leaves at a position."""
        level, steps = divmod(height, 8)
        number, offset = divmod(position << steps, 256)
        return self.tile(level, number)[steps][offset >> steps]

    def range_root(self, start, end):
        """Return the root over leaves from `start` to the end of the tree."""
        result = b""
        while end > start:
            height = (end - start & start - end).bit_length() - 1
            end -= 1 << height
            left = self.subtree(height, end >> height)
            result = node(left, result) if result else left
        return result

    def _root(self):
        return self.range_root(0, self.size) if self.size else sha256(b"")

    def _check_tile(self, name):
        match = re.match(r"tile/([0-7])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([0-9]+))?\Z", name)
        need(match, "unknown member %s" % name)
        level, number = int(match[1]), int(match[2].replace("x", "").replace("/", ""))
        width = self._width(level, number)
        need(width and tile_path(level, number, width) == name, "%s is no tile of the log" % name)
        top = self.tile(level, number)
        if width == 256:
            parent = self.tile(level + 1, number >> 8)[0][number & 255]
            need(top[8][0] == parent, "tile %s is not the log's" % name)
        # An open tile is part of the root that was computed.

    def leaf(self, index):
        return self.tile(0, index >> 8)[0][index & 255]

    def proof_lines(self, index):
        """Return the lines of the inclusion proof of a leaf, as text."""
        lines, height = [], 0
        while 1 << height < self.size:
            position = index >> height ^ 1
            start = position << height
            if start + (1 << height) <= self.size:
                lines.append(to_base64(self.subtree(height, position)))
            elif start < self.size:
                if start not in self.right:
                    self.right[start] = to_base64(self.range_root(start, self.size))
                lines.append(self.right[start])
            height += 1
        return lines

    def proof_text(self, index, checkpoint):
        block = index >> 8
        if self.block != block:
            self.above = b"".join(
                line + b"\n" for line in self.proof_lines(block << 8)[self._below(block) :]
            )
            self.block = block
        levels = self.tile(0, block)
        if self._width(0, block) < 256:
            below = b"".join(line + b"\n" for line in self.proof_lines(index))
            return b"c2sp.org/tlog-proof@v1\nindex %d\n%s\n%s" % (index, below, checkpoint)
        at = index & 255
        below = b"".join(
            [to_base64(levels[height][at >> height ^ 1]) + b"\n" for height in range(8)]
        )
        return b"c2sp.org/tlog-proof@v1\nindex %d\n%s%s\n%s" % (
            index,
            below,
            self.above,
            checkpoint,
        )

    def _below(self, block):
        return 8 if self._width(0, block) == 256 else 0


# Entries, sections, rows

ENTRY = re.compile(
    rb'\{"v":1,"id":"([0-9a-f-]{36})","op":"(record|document|revise|retract|erase|system)",'
    rb'"kind":("(?:[^"\\]|\\.)*"),"occurred_ms":(-?[0-9]{1,15}),"recorded_ms":([0-9]{1,15}),'
    rb'"dialect":("(?:[^"\\]|\\.)*")(?:,"subject":("(?:[^"\\]|\\.)*"))?,"sections":\{'
    rb'((?:"[a-z]+":"[A-Za-z0-9+/]{43}="(?:,(?=")|(?=\})))*)\}\}\Z'
)
COMMITMENT = re.compile(rb'"([a-z]+)":"([A-Za-z0-9+/=]{44})"')
SECTION = re.compile(
    rb',"([a-z]+)":(?:null|\{"salt":"([A-Za-z0-9+/]{21}[AQgw]==)","length":([0-9]+),"json":)'
)
NUMBERED = re.compile(rb'\{"index":(0|[1-9][0-9]{0,15}),"entry":(\{.*\})\}\Z')
decoder = json.JSONDecoder()


class Entry:
    """One entry with the sections it commits to."""

    __slots__ = ("bytes", "dialect", "id", "index", "kind", "occurred", "op", "recorded",
                 "sections", "subject")  # fmt: skip

    def __init__(self, index, data, line):
        match = ENTRY.match(data)
        need(match, "entry %d is not written as entries are" % index)
        self.index, self.bytes = index, data
        (self.id, op, self.kind, occurred, recorded, self.dialect, subject, commitments) = (
            match.groups()
        )
        self.op, self.occurred, self.recorded = op.decode(), int(occurred), int(recorded)
        self.subject = None if subject is None else json.loads(subject.decode())
        self.sections = self._sections(commitments, line)

    def _sections(self, commitments, line):
        found = {}
        at = len(b'{"index":%d' % self.index)
        need(
            line[:at] == b'{"index":%d' % self.index,
            "sections of another entry than %d" % self.index,
        )
        for name, commitment in COMMITMENT.findall(commitments):
            match = SECTION.match(line, at)
            need(match and match[1] == name, "entry %d has other sections" % self.index)
            at = match.end()
            name = name.decode()
            need(
                name in SECTIONS and name not in found, "entry %d: section %s" % (self.index, name)
            )
            if match[2] is None:
                found[name] = None
                continue
            length = int(match[3])
            need(match[3] == b"%d" % length, "a length is not written as it must be")
            content = line[at : at + length]
            salted = base64.b64decode(match[2]) + content
            need(
                to_base64(sha256(salted)) == commitment,
                "section %s of entry %d is not what the log has" % (name, self.index),
            )
            at += length
            need(line[at : at + 1] == b"}", "entry %d: section %s" % (self.index, name))
            found[name] = content
            at += 1
        need(line[at:] == b"}", "entry %d has other sections" % self.index)
        return found


def place_parts(content):
    """Return scopes, trails and original as they are written in a `place` section."""
    parts = {"scopes": b"[]", "trails": b"[]", "original": b"null"}
    if content is None:
        return parts
    text = content.decode("utf-8")
    at, first = 1, True
    need(text[:1] == "{", "a place is not an object")
    for name in parts:
        start = ("" if first else ",") + '"%s":' % name
        if text.startswith(start, at):
            at += len(start)
            _, end = decoder.raw_decode(text, at)
            parts[name], at, first = text[at:end].encode(), end, False
    need(text[at:] == "}", "a place has unknown members")
    return parts


def row_of(entry, shown, leaf):
    """Return the lines of an event in events.ndjson and events.csv; `shown` has its content."""
    sections = entry.sections
    content = shown.sections
    place = place_parts(sections.get("place"))
    erased = [n for n in ("actor", "target", "place") if n in sections and sections[n] is None]
    erased += [n for n in ("data", "previous") if n in content and content[n] is None]
    raw = {name: sections.get(name) or b"null" for name in ("actor", "target")}
    raw["data"] = content.get("data") or b"{}"
    raw["previous"] = content.get("previous") or b"null"
    occurred, recorded = rfc3339(entry.occurred).encode(), rfc3339(entry.recorded).encode()
    gone = b"[%s]" % b",".join(b'"%s"' % name.encode() for name in erased)
    line = (
        b'{"id":"%s","index":%d,"revision":%d,"kind":%s,"op":"record","occurred_at":"%s",'
        b'"recorded_at":"%s","actor":%s,"target":%s,"scopes":%s,"trails":%s,"data":%s,'
        b'"previous":%s,"original":%s,"dialect":%s,"erased":%s,"leaf":"%s",'
        b'"receipt":"/v1/events/%s/receipt"}'
        % (entry.id, entry.index, shown.index, entry.kind, occurred, recorded, raw["actor"],
           raw["target"], place["scopes"], place["trails"], raw["data"], raw["previous"],
           place["original"], entry.dialect, gone, leaf.hex().encode(), entry.id)
    )  # fmt: skip
    cells = [
        b"%d" % entry.index, b"%d" % shown.index, entry.id, plain(entry.kind),
        occurred, recorded, plain(entry.dialect), raw["actor"], raw["target"],
        place["scopes"], place["trails"], raw["data"], raw["previous"], place["original"], gone,
    ]  # fmt: skip
    return line, b",".join(map(cell, cells)) + b"\r"


def plain(text):
    """Return a JSON string without its quotation marks, if nothing in it is escaped."""
    return text if b"\\" in text else text[1:-1]


SPECIAL = re.compile(rb'[",\r\n]')


def cell(value):
    """Return a value as a CSV cell that no spreadsheet takes for a formula."""
    if value[:1] in b"=+-@\t\r" and value:
        value = b"'" + value
    return b'"%s"' % value.replace(b'"', b'""') if SPECIAL.search(value) else value


def numbered(line):
    match = NUMBERED.match(line)
    need(match, "a line of entries.ndjson is not as it must be")
    return int(match[1]), match[2]


# The whole


class ToldChanges:
    """What entries in the bundle say of other entries: revisions, retractions, erasures."""

    def __init__(self, archive):
        self.revised, self.retracted, self.erased, self.erasures = {}, set(), {}, 0
        self.removed = set()
        offset = 0
        sections = archive.lines("sections.ndjson")
        last = -1
        self.entries = 0
        for line in archive.lines("entries.ndjson"):
            index, data = numbered(line)
            need(index > last, "entries are not in their order")
            last = index
            self.entries += 1
            told = next(sections, None)
            need(told is not None, "sections.ndjson has fewer lines than entries.ndjson")
            if b'"op":"record"' not in data[:90]:
                self._note(Entry(index, data, told), offset, len(told))
            offset += len(told) + 1
        need(next(sections, None) is None, "sections.ndjson has more lines than entries.ndjson")
        self.last = last

    def _note(self, entry, offset, length):
        if entry.op == "revise":
            self.revised[entry.subject] = (entry.index, entry.bytes, offset, length)
        elif entry.op == "retract":
            self.retracted.add(entry.subject)
        elif entry.op == "erase":
            self.erasures += 1
            try:
                data = json.loads((entry.sections.get("data") or b"{}").decode())
                for item in data["entries"]:
                    first, count = int(item["index"]), int(item.get("count", 1))
                    need(1 <= count <= ROW_MAX, "erase entry %d names too many" % entry.index)
                    for index in range(first, first + count):
                        self.erased.setdefault(index, set()).update(map(str, item["sections"]))
                    if isinstance(data.get("policy"), str):
                        self.removed.update(range(first, first + count))
            except (KeyError, TypeError, ValueError):
                raise Wrong(
                    "erase entry %d says nothing that is understood" % entry.index
                ) from None


def check_manifest(archive):
    try:
        manifest = json.loads(archive.read("manifest.json").decode("utf-8"))
    except ValueError:
        raise Wrong("manifest.json is not JSON") from None
    wanted = {
        "format": str, "origin": str, "size": int, "question": dict, "sees": str,
        "entries": int, "events": int, "later_erasures": bool, "files": dict,
    }  # fmt: skip
    need(isinstance(manifest, dict), "manifest.json is not an object")
    range_ = manifest.pop("range", 0)
    need(set(manifest) == set(wanted), "manifest.json has other members than it must have")
    for name, kind in wanted.items():
        need(type(manifest[name]) is kind, "manifest.json: %s" % name)
    if range_ is not None:
        good = isinstance(range_, list) and len(range_) == 2 and all(type(n) is int for n in range_)
        need(good and 0 <= range_[0] <= range_[1] <= manifest["size"], "manifest.json: range")
    manifest["range"] = range_
    need(manifest["format"] == FORMAT, "this is not a bundle of format %s" % FORMAT)
    need(manifest["sees"] in ("all", "part"), "manifest.json: sees")
    spelled = json.dumps(manifest, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    need(
        spelled.encode() == archive.read("manifest.json"),
        "manifest.json is not spelled as it must be",
    )
    need(set(manifest["files"]) == set(FIXED), "manifest.json: files")
    for name in FIXED:
        need(
            sha256(archive.read(name)).hex() == manifest["files"][name],
            "%s is not the file that the manifest names" % name,
        )
    return manifest


def check_names(archive, manifest):
    known = set(PARTS) | set(FIXED)
    if manifest["range"] is not None:
        known.add("omitted.txt")
    missing = known - set(archive.members)
    need(not missing, "members are missing: %s" % ", ".join(sorted(missing)))
    unknown = [n for n in archive.members if n not in known and not n.startswith("tile/")]
    need(not unknown, "unknown members: %s" % ", ".join(unknown))


def omitted_runs(archive, manifest):
    """Return the entries of the range that are not in the bundle, by reason, as runs."""
    runs, last = [], manifest["range"][0] - 1
    for line in archive.lines("omitted.txt"):
        match = re.match(rb"(0|[1-9][0-9]{0,15})-(0|[1-9][0-9]{0,15}) ([a-z ]+)\Z", line)
        need(match and match[3].decode() in REASONS, "a line of omitted.txt is not as it must be")
        first, end = int(match[1]), int(match[2])
        need(last < first <= end < manifest["range"][1], "omitted.txt is not in order")
        runs.append((first, end, match[3].decode()))
        last = end
    return runs


class Verification:
    """One bundle on its way through the check."""

    def __init__(self, file, pinned=None):
        self.archive = archive = Archive(file)
        need("manifest.json" in archive.members, "this is not a bundle: manifest.json is missing")
        self.manifest = check_manifest(archive)
        check_names(archive, self.manifest)
        vkey = archive.read("log.vkey").decode("utf-8", "replace")
        need(vkey.endswith("\n") and vkey.count("\n") == 1, "log.vkey is not one line")
        self.vkey = vkey[:-1]
        need(
            pinned is None or pinned == self.vkey,
            "the bundle belongs to another log or key than --key",
        )
        self.checkpoint = archive.read("checkpoint")
        self.origin, self.size, root = open_checkpoint(self.checkpoint, self.vkey)
        need(self.origin == self.manifest["origin"], "the manifest names another log")
        need(self.size == self.manifest["size"], "the manifest names another size")
        self.tree = Tree(archive, self.size, root)
        self.changes = ToldChanges(archive)
        need(self.changes.last < self.size, "an entry lies behind the end of the log")
        self.events = self.erased = self.removed = self.unproven = 0
        self.check_entries()
        self.omitted = self.check_range() if self.manifest["range"] is not None else None
        self.check_counts()

    def check_entries(self):
        archive = self.archive
        sections, proofs = archive.lines("sections.ndjson"), archive.proof_texts()
        rows, table = archive.lines("events.ndjson"), archive.lines("events.csv")
        head = next(table, None)
        need(head == CSV_HEAD[:-1].encode(), "events.csv has another first line")
        need(archive.proofs == self.changes.entries, "there is not one proof for each entry")
        recorded = 0
        for line in archive.lines("entries.ndjson"):
            index, data = numbered(line)
            entry = Entry(index, data, next(sections))
            leaf = sha256(b"\0" + data)
            need(
                self.tree.leaf(index) == leaf,
                "the log does not have entry %d as it is here" % index,
            )
            need(
                entry.recorded >= recorded, "entry %d was recorded before the one in front" % index
            )
            recorded = entry.recorded
            name, text = next(proofs)
            need(name == b"proofs/%012d.tlog-proof" % index, "a proof is missing: entry %d" % index)
            need(
                text == self.tree.proof_text(index, self.checkpoint),
                "the proof of entry %d" % index,
            )
            self.check_erased(entry)
            self.check_row(entry, leaf, rows, table)
        need(next(rows, None) is None, "events.ndjson has more events than the entries give")
        need(next(table, None) is None, "events.csv has more events than the entries give")

    def check_erased(self, entry):
        gone = [name for name, content in entry.sections.items() if content is None]
        told = self.changes.erased.get(entry.index, ())
        for name in gone:
            if name in told:
                if entry.index in self.changes.removed:
                    self.removed += 1
                else:
                    self.erased += 1
                continue
            self.unproven += 1
            need(
                self.manifest["later_erasures"] or self.manifest["sees"] == "part",
                "section %s of entry %d is missing and no entry says that it was erased"
                % (name, entry.index),
            )
        back = [name for name in told if entry.sections.get(name) is not None]
        need(not back, "entry %d: the log says that %s was erased" % (entry.index, ", ".join(back)))

    def check_row(self, entry, leaf, rows, table):
        event_id = entry.id.decode()
        if entry.op != "record" or event_id in self.changes.retracted:
            return
        if entry.index in self.changes.removed:
            return
        shown = entry
        change = self.changes.revised.get(event_id)
        if change is not None:
            index, data, offset, length = change
            need(index > entry.index, "entry %d revises a later event" % index)
            shown = Entry(index, data, self.archive.read_at("sections.ndjson", offset, length))
        line, cells = row_of(entry, shown, leaf)
        need(
            next(rows, None) == line,
            "event %d in events.ndjson is not what the log has" % entry.index,
        )
        need(
            next(table, None) == cells,
            "event %d in events.csv is not what the log has" % entry.index,
        )
        self.events += 1

    def check_range(self):
        """Check that every entry of the range is in the bundle or stands there with a reason."""
        start, stop = self.manifest["range"]
        counts, at = {}, start
        runs = iter(omitted_runs(self.archive, self.manifest))
        run = next(runs, None)

        def leave_out(at, until):
            nonlocal run
            while at < until:
                need(run is not None and run[0] == at, "entry %d of the range is missing" % at)
                for index in range(run[0], run[1] + 1):
                    self.tree.leaf(index)
                    need(
                        run[2] != REMOVED or index in self.changes.removed
                        or self.manifest["sees"] == "part",
                        "no entry says that a policy removed entry %d" % index,
                    )  # fmt: skip
                counts[run[2]] = counts.get(run[2], 0) + run[1] - run[0] + 1
                at = run[1] + 1
                run = next(runs, None)
            need(at == until, "entry %d is both in the bundle and left out" % until)

        for line in self.archive.lines("entries.ndjson"):
            index, _ = numbered(line)
            if start <= index < stop:
                leave_out(at, index)
                at = index + 1
        leave_out(at, stop)
        need(run is None, "omitted.txt names entries twice")
        return counts

    def check_counts(self):
        need(self.changes.entries == self.manifest["entries"], "the manifest counts other entries")
        need(self.events == self.manifest["events"], "the manifest counts other events")
        if self.manifest["later_erasures"]:
            need(self.unproven, "the manifest speaks of erasures that are not here")

    def verdict(self, pinned):
        proven = [
            "%d events and %d entries in all are in the log %s, exactly as they are here."
            % (self.events, self.changes.entries, self.origin),
            "The log had %d entries, and its key signed that." % self.size,
        ]
        open_points = []
        if self.omitted is not None:
            start, stop = self.manifest["range"]
            by_hash = ["%d %s" % (n, why) for why, n in sorted(self.omitted.items())]
            proven.append(
                "None of the %d entries from index %d on is left out: %d are here%s."
                % (
                    stop - start,
                    start,
                    stop - start - sum(self.omitted.values()),
                    ", the others by their hash (%s)" % ", ".join(by_hash) if by_hash else "",
                )
            )
            if self.omitted:
                open_points.append("why an entry is not here: the reason is the exporter's word.")
        else:
            open_points.append("that no other event answers the question.")
        if self.removed:
            proven.append(
                "%d sections were removed by a retention policy; the log says when and by which."
                % self.removed
            )
        if self.erased:
            proven.append("%d sections were erased; the log says when and by whom." % self.erased)
        if self.unproven:
            open_points.append(
                "%d sections are missing: erased after the log had this size, or not shown to the "
                "exporter." % self.unproven
            )
        if not pinned:
            open_points.append("whose log this is: the key is %s; compare it." % self.vkey)
        open_points.append("that what the events say is true: only that nothing was changed since.")
        return "\n".join(
            ["the bundle holds", "proven:"] + ["  " + one for one in proven]
            + ["not proven:"] + ["  " + one for one in open_points]
        )  # fmt: skip


def main(arguments):
    pinned = None
    if "--key" in arguments[:-1]:
        at = arguments.index("--key")
        pinned = arguments[at + 1]
        del arguments[at : at + 2]
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.stderr.write("usage: python3 verify.py BUNDLE [--key VERIFIER-KEY]" + "\n")
        return 2
    try:
        with open(arguments[0], "rb") as file:
            sys.stdout.write(Verification(file, pinned).verdict(pinned is not None) + "\n")
        return 0
    except OSError as error:
        sys.stderr.write("%s cannot be read: %s" % (arguments[0], error.strerror) + "\n")
        return 2
    except Wrong as error:
        sys.stderr.write("THE BUNDLE DOES NOT HOLD: %s" % error + "\n")
    except (
        ValueError,
        LookupError,
        TypeError,
        RecursionError,
        OverflowError,
        struct.error,
    ) as error:
        sys.stderr.write("THE BUNDLE DOES NOT HOLD: it is malformed (%s)" % error + "\n")
    except StopIteration:
        sys.stderr.write("THE BUNDLE DOES NOT HOLD: something is missing" + "\n")
    return 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
