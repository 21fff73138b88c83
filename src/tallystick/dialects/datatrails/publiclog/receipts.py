"""Receipts about a public log as its latest seal covers it."""

from __future__ import annotations

from tallystick.dialects.datatrails.merklelog import cose, mmr, receipts
from tallystick.dialects.datatrails.merklelog.receipts import Form
from tallystick.dialects.datatrails.merklelog.seal import VDS, Sealer
from tallystick.dialects.datatrails.publiclog.log import PublicLog
from tallystick.errors import FollowerBehind, Malformed
from tallystick.log.proofs import Inclusion

VDS_RFC9162 = 1
"""Of receipts about the tenant's own log, which has that tree."""

_ISSUER, _SUBJECT = 1, 2
_INCLUSION = -1


def inclusion(log: PublicLog | None, index: int, sealer: Sealer, form: Form) -> bytes:
    """Return a receipt that the leaf of the entry at `index` is in the log.

    In the draft's form the signature is the seal's own; the other form needs a new one.
    Raises: FollowerBehind while no seal covers the entry.
    """
    if log is None or index >= log.cursor.sealed:
        raise FollowerBehind("the event is not confirmed yet", hint="ask again shortly")
    node = mmr.size_of(index)
    path = [log.node(sibling) for sibling in mmr.inclusion_path(node, log.sealed_size)]
    _, peak = mmr.fold(node, log.node(node), path)
    if form is Form.DRAFT:
        return receipts.complete_receipt(log.peak_receipts()[peak], node, path)
    return receipts.inclusion_receipt(node, path, peak=peak, sealer=sealer, form=form)


def own_inclusion(proof: Inclusion, sealer: Sealer) -> bytes:
    """Return a receipt that an entry is in the tenant's own log: no other log is needed for it.

    Source: RFC 9942 section 5.2.
    """
    parts = cose.encode([proof.size, proof.index, proof.path])
    return cose.sign(
        sealer.key,
        protected={
            cose.KEY_ID: sealer.key_id.encode(),
            cose.CWT_CLAIMS: {_ISSUER: sealer.issuer, _SUBJECT: sealer.subject},
            VDS: VDS_RFC9162,
        },
        payload=proof.root,
        unprotected={receipts.PROOFS: {_INCLUSION: [parts]}},
    )


def consistency(log: PublicLog | None, old: int, new: int | None, sealer: Sealer) -> bytes:
    """Return a receipt that the log at `new` nodes extends the one at `old`; None is the latest.

    Raises: Malformed for sizes that the log never had.
    """
    sealed = 0 if log is None else log.sealed_size
    size = sealed if new is None else new
    if log is None or not 0 < size <= sealed or not mmr.is_complete(size):
        raise Malformed(f"to is a size that the log had; it has {sealed} nodes", path="to")
    if not 0 <= old < size or (old and not mmr.is_complete(old)):
        raise Malformed("from is a size that the log had before", path="from")
    return receipts.consistency_receipt(old, size, nodes=log.node, sealer=sealer)
