"""Media in, features out. Of affectflow, imports only the records, corpus and errors of ``cache``."""
