"""The small corpus of the first run, made on the spot: synthetic, and it says so."""

from .corpus import make_demo

__all__ = ["make_demo"]
