"""The followers that send what is subscribed to: a file and a line each."""

from __future__ import annotations

FOLLOWERS = ("tallystick.subscriptions.streams.follower:STREAMS_KIND",)
