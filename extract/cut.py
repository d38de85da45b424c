"""Which extractors store states that can be gone on from, and the layers above, to be trained.

Of each modality one family of networks can be cut: below lies what an extractor stores, above it
is a torch module that a fit trains. All such modules keep one contract: ``module(rows, mask)`` maps
rows (B, T, columns) and mask (B, T), True on real ones, to rows (B, ceil(T / stride), width), and
what it makes of an utterance does not depend on padding or on what stands beside it. Attributes:

``summary``: what stands for the whole utterance: the ``first`` or the ``last`` real row, or the
    ``mean`` of all; empty: nothing is known to.
``width``: columns of a row that it makes.
``stride``: rows that it makes one of; that one is real where at least half of them are.
``blocks()``: its parts that run one after another, between which little is to be kept.
"""

from __future__ import annotations

import importlib
from typing import Any

from .base import Extractor

#: Modality -> the extractor whose networks can be cut, and the module that knows where.
CUTS = {
    "text": ("hf-text", ".text.cut"),
    "audio": ("hf-speech", ".audio.cut"),
    "vision": ("swin3d", ".vision.cut"),
}


def is_cut(made: Extractor) -> bool:
    """Whether it stores the states of one layer that others stand above."""
    known = {name for name, _ in CUTS.values()}
    return made.name in known and isinstance(getattr(made, "layer", None), int)


def check_cut(made: Extractor) -> int:
    """See that the layers above what one of these extractors stores can be trained.

    Asks for no weights.

    Returns:
        Number of the layer whose states it stores; 0: what goes into the first.

    Raises:
        BadCall: they cannot, or there are none.
    """
    number: int = _module(made).cached_layer(made)
    return number


def upper_of(made: Extractor) -> Any:
    """The layers above those whose states an extractor stores: a module as said above.

    Raises:
        BadCall: as in ``check_cut``; or the model cannot be loaded, or not be cut there.
    """
    return _module(made).upper_of(made)


def _module(made: Extractor) -> Any:
    return importlib.import_module(dict(CUTS.values())[made.name], __package__)
