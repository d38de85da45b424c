"""Ground floor: what flows and where it lies. Imports nothing else of affectflow."""
