"""Pure transparency-log arithmetic: hashes, tiles, proofs, signed notes, checkpoints, receipts.

Nothing here reads a clock, a file or a database, and nothing but the standard library,
`cryptography` and `tallystick.errors` is imported, so that a sceptic can read and run the
verifier alone. Sources: RFC 6962 section 2.1; C2SP signed-note, tlog-checkpoint and tlog-tiles.
"""
