"""Feature pickles, whichever of the known layouts they have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...cache.errors import BadInput
from . import feature_pickle, mag_pickle, mult_pickle
from .plain import kind_of
from .records import Foreign
from .unpickle import load_plain

LAYOUTS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Foreign]], ...] = (
    (feature_pickle.fits, feature_pickle.read),
    (mult_pickle.fits, mult_pickle.read),
    (mag_pickle.fits, mag_pickle.read),
)
#: First bytes of protocols 0 and 1 of a dict; later protocols say so.
FIRST = (b"\x80", b"(d", b"}")


def knows(path: Path, head: bytes) -> bool:
    """Whether a file begins like a pickle of a dict."""
    return path.is_file() and head.startswith(FIRST)


def read(path: Path) -> Foreign:
    """Read a feature pickle.

    Raises:
        BadInput: it holds more than plain data, is damaged, or has no layout that is known.
    """
    data = load_plain(path)
    for fits, layout in LAYOUTS:
        if fits(data):
            return layout(data)
    held = kind_of(data)
    if isinstance(data, dict):
        held += f" ({', '.join(repr(str(key)[:20]) for key in list(data)[:5])})"
    raise BadInput(
        f"'{path}' is a pickle without features that are known. Wanted: a dict of splits (train, "
        "valid, test), each with 'regression_labels' (the community's feature pickles), with "
        f"'labels' and 'text' (MulT's), or a list of word-aligned tuples (MAG-BERT's); got {held}"
    )
