"""A client of the native API."""
