"""COVAREP's acoustic features, one file a family."""
