"""Readers of corpora as they lie on disk: one file each."""
