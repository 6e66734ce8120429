"""Rows put in place of those with the same keys, in one snapshot."""
