"""Measurements of the product beside its ceiling and its peers; `python -m bench` runs them."""
