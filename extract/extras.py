"""Packages that only some extractors need: an extra of the install, asked for when it is used."""

from __future__ import annotations

from importlib import metadata

from ..cache.errors import BadCall


def require(distribution: str, extractor: str, extra: str) -> None:
    """Check that a package is installed, without loading it.

    Args:
        distribution: its name in the package index.
        extractor: who needs it.
        extra: of affectflow, which installs it.

    Raises:
        BadCall: it is not installed.
    """
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError as error:
        raise not_there(distribution, extractor, extra, "it is not installed") from error


def not_there(distribution: str, extractor: str, extra: str, why: str) -> BadCall:
    """The error for a package that is not installed, or does not load."""
    return BadCall(f"{extractor} needs {distribution}: {why}; pip install 'affectflow[{extra}]'")
