"""A node: one store opened with all that serves it."""
