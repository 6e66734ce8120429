"""Databases as sources: one small class for each kind over one way of reading."""
