"""The page of a corpus check: what is odd about which clip, and how long they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from markupsafe import Markup

from ...cache.publish import publish
from ..clip_check import ERRORS, KINDS
from ..corpus_check import CorpusCheck, closing
from . import corpus_part
from .charts import histograms
from .template import render_page

#: Clips that are listed of each kind of finding, and bars of the histogram of lengths.
LISTED, BINS = 200, 20


def write_check(check: CorpusCheck, path: Path) -> Path:
    """Write a check as one self-contained HTML file; its folder is made.

    Raises:
        StoreFull: the file system has no room.
        StoreReadOnly: the folder cannot be written to.
    """
    publish(path, render_check(check).encode(), replace=True)
    return path


def render_check(check: CorpusCheck) -> str:
    """The page as text; ids and messages are escaped by the template engine."""
    return render_page(
        "corpus_check.html",
        check=check,
        corpus=check.corpus,
        closing=closing(check),
        kinds=KINDS,
        grave=ERRORS,
        listed=LISTED,
        splits=corpus_part.split_rows(check.corpus),
        labels=corpus_part.distributions(check.corpus),
        lengths=_lengths(check.seconds),
    )


def _lengths(seconds: list[float]) -> Markup | None:
    """Histogram of the clips' lengths up to the 99th percentile."""
    if not seconds:
        return None
    high = max(float(np.quantile(seconds, 0.99)), 0.1)
    bars = [int(n) for n in np.histogram(seconds, BINS, (0.0, high))[0]]
    return histograms(f"Lengths of {len(seconds)} clips in seconds", [("all", bars)], 0.0, high)
