"""The classic Lucene query syntax, read into the query tree; `parser` describes it."""

from tallystick.query.lucene.parser import Fields, Leaf, Operator, parse

__all__ = ["Fields", "Leaf", "Operator", "parse"]
