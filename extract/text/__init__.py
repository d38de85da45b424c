"""Extractors of text: one file each."""
