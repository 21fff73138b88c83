"""Events: fields, entry bytes, identifiers, differences, sentences."""
