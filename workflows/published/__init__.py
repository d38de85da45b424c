"""Tables that papers print, as YAML; data, no logic. Read by ``published_tables``."""
