"""Top floor: what is run, in which order."""
