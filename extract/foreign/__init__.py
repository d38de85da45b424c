"""Features that others made, in and out: one file a format, known by its content."""
