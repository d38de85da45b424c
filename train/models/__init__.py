"""One file a model; their names and settings stand in ``train/registry.py``."""
