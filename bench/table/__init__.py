"""The table of all figures in one run, beside the peers: `python -m bench`."""
