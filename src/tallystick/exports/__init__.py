"""Exports: every event that a question matches, once, as files that other programs read.

`rows` reads a log up to a pinned size and yields a line of JSON an event; `formats` turn such lines
into what other systems take. Both are pure readings: the same question at the same size has the
same bytes, whenever and however often it is asked.
"""
