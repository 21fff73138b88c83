"""Streams: subscriptions that this program sends out, to a receiver that keeps nothing for us.

`records` (in `identity`) says what a stream is, `state` how far it has come. A sender reads the
log with the engine of `subscriptions`, one of the `sinks` makes requests of what it reads, and
`exchange` carries them to an address that `addresses` let pass.
"""
