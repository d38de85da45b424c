"""Media in, features out. Of affectflow, imports only ``cache``: records, corpus, errors."""
