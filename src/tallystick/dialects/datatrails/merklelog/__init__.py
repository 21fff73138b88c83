"""The public Merkle log of the DataTrails dialect: its arithmetic and its file formats.

Pure functions and values: nothing here reads a file, a clock or a store. Source: wire
specification of DataTrails, sections 4 to 6.
"""
