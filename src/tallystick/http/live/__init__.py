"""Live tail: what is committed, to everybody who follows it on this server, as it happens.

`hub` reads each log once for all of its readers, `reader` is one of them, `response` its answer to
a request. All of it belongs to the event loop's thread; only stores are read in worker threads.
"""
