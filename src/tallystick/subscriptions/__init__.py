"""What leaves the store as it happens: a subscription is a cursor into a log, with a filter.

`changes` reads a stretch of a log as the changes that readers follow; `subscription` decides which
of them pass a filter and may be seen; `notices` is their JSON; `cursor` is the text that a reader
goes on from. All of it only reads a store, so it works in the server's process and beside it.
A deliverer (the live tail, a stream's sender, a poller's page) is a loop over these four.
"""
