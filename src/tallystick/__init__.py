"""Tallystick: one tamper-evident event store behind five documented Events APIs."""

__version__ = "0.1.0"
