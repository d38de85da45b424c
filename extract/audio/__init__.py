"""Extractors of sound: one file each."""
