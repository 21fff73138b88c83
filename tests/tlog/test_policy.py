"""Policies: the document's example, quorums of groups, and lines that are refused."""

from __future__ import annotations

import pytest

from tallystick.errors import BadSignature, MalformedNote
from tallystick.tlog.checkpoint import sign_checkpoint
from tallystick.tlog.cosignature import CosignatureAlgorithm, Cosigner
from tallystick.tlog.note import Signer
from tallystick.tlog.policy import LINES_MAX, POLICY_BYTES_MAX, Policy, parse_witness

LOG = Signer.generate("log.example/a")
WITNESSES = {
    name: Cosigner(f"witness.example/{name}", CosignatureAlgorithm.ED25519, bytes([n]) * 32)
    for n, name in enumerate(("X1", "X2", "X3", "Y1", "Y2", "Y3"), 1)
}
EXAMPLE = "\n".join(
    [
        f"log {LOG.verifier} https://log.example/",
        "# the first organisation",
        *(f"witness {name} {cosigner.verifier}" for name, cosigner in WITNESSES.items()),
        " \t group X-witnesses 2 X1\tX2 X3",
        "group Y-witnesses any Y1 Y2 Y3 ",
        "",
        "group X-and-Y all X-witnesses Y-witnesses",
        "quorum X-and-Y",
        "",
    ]
)


def cosigned(*names: str) -> str:
    note = sign_checkpoint(LOG, LOG.name, 7, b"r" * 32)
    text = note.partition("\n\n")[0] + "\n"
    return note + "".join(WITNESSES[name].cosign(text, 1_700_000_000) for name in names)


@pytest.mark.parametrize(
    ("names", "accepted"),
    [
        (("X1", "X2", "Y1"), True),
        (("X1", "X2", "X3", "Y1", "Y2", "Y3"), True),
        (("X1", "X2", "X3"), False),
        (("X1", "Y1", "Y2", "Y3"), False),
        ((), False),
    ],
)
def test_quorum_of_the_example(names: tuple[str, ...], accepted: bool) -> None:
    policy = Policy.parse(EXAMPLE)
    if accepted:
        found = policy.accept(cosigned(*names))
        assert found.checkpoint.size == 7
        assert len(found.cosignatures) == len(names)
    else:
        with pytest.raises(BadSignature, match="quorum 'X-and-Y' is not reached"):
            policy.accept(cosigned(*names))


def test_log_that_is_not_in_the_policy_is_refused_whoever_cosigned() -> None:
    other = Signer.generate("log.example/b")
    note = sign_checkpoint(other, other.name, 7, b"r" * 32)
    with pytest.raises(BadSignature, match="knows no log"):
        Policy.parse(EXAMPLE).accept(note)
    same_name = Signer.generate(LOG.name)
    with pytest.raises(BadSignature, match="no known key"):
        Policy.parse(EXAMPLE).accept(sign_checkpoint(same_name, LOG.name, 7, b"r" * 32))


def test_quorum_none_needs_no_witness() -> None:
    policy = Policy.parse(f"quorum none\nlog {LOG.verifier}\n")
    assert policy.accept(cosigned()).cosignatures == ()


KEY = str(WITNESSES["X1"].verifier)
OTHER = str(WITNESSES["X2"].verifier)


@pytest.mark.parametrize(
    "lines",
    [
        ["quorum a"],
        ["quorum none", "quorum none"],
        [f"witness a {KEY}", f"witness a {OTHER}", "quorum a"],
        [f"witness a {KEY}", f"witness b {KEY}", "quorum a"],
        [f"witness none {KEY}", "quorum none"],
        [f"witness a {LOG.verifier}", "quorum a"],
        [f"log {KEY}", "quorum none"],
        [f"log {LOG.verifier}", f"log {LOG.verifier} https://x", "quorum none"],
        [f"witness a {KEY}", "group g 2 a", "quorum g"],
        [f"witness a {KEY}", "group g 0 a", "quorum g"],
        [f"witness a {KEY}", "group g 01 a", "quorum g"],
        [f"witness a {KEY}", "group g any", "quorum g"],
        [f"witness a {KEY}", "group g any none", "quorum g"],
        [f"witness a {KEY}", "group g any a a", "quorum g"],
        [f"witness a {KEY}", "group g any a", "group h any a", "quorum g"],
        ["group g any g", "quorum g"],
        [f"witness a {KEY}", "quorum a b"],
        ["witness a", "quorum none"],
        ["something else", "quorum none"],
        ["quorum none\r"],
        [f"log {LOG.verifier}"],
        [],
    ],
)
def test_lines_that_mean_nothing_are_refused(lines: list[str]) -> None:
    with pytest.raises(MalformedNote):
        Policy.parse("".join(f"{line}\n" for line in lines))
    with pytest.raises(MalformedNote):
        Policy.parse("quorum none")  # the last line has no end


def test_names_are_octets() -> None:
    text = b"witness \xff " + KEY.encode() + b"\nquorum \xff\n"
    assert Policy.parse(text).is_quorum([Policy.parse(text).witnesses[0].name])


def test_witness_line_with_and_without_its_word() -> None:
    line = f"witness X1 {KEY} https://witness.example/"
    assert parse_witness(line) == parse_witness(line.removeprefix("witness "))
    assert parse_witness(line).to_line() == line


def test_sizes_of_a_policy_are_bounded() -> None:
    with pytest.raises(MalformedNote, match="at most"):
        Policy.parse("#" * (POLICY_BYTES_MAX + 1))
    lines = (
        f"witness w{n} {Cosigner(f'w/{n}', CosignatureAlgorithm.ED25519, n.to_bytes(32)).verifier}"
        for n in range(1, LINES_MAX + 2)
    )
    with pytest.raises(MalformedNote, match="names at most"):
        Policy.parse("\n".join(lines) + "\n")


def test_log_line_has_a_key_and_perhaps_a_url() -> None:
    with pytest.raises(MalformedNote, match="perhaps a URL"):
        Policy.parse(f"log {LOG.verifier} https://log.example/ more\n")
