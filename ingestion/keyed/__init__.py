"""The rows of one load by their keys, within a fixed amount of memory; what does not fit waits on disk."""
