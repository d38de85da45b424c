"""Extractors of pictures: one file each."""
