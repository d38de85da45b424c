"""Cached features in, scores out. Imports only ``cache``."""
