"""Recipes shipped with affectflow: data, no logic."""
