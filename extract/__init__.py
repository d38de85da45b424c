"""Media in, features out. Imports only ``cache.records`` and ``cache.errors``."""
