"""The console: what people look at, as HTML under `/console`.

Server-rendered pages with small scripts of our own. Every page reads with the rights of the person
who signed in, through the same ledger as the APIs, and works without scripts; what scripts add is
in `static`.
"""
