"""Settings of each model, in a file named as that of its network in ``models``; no torch here."""
