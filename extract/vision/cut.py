"""Whether what a swin3d node stores can be gone on from, and the stages above it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...cache.errors import BadCall
from .swin3d import Swin3d

if TYPE_CHECKING:
    from .upper import UpperSwin


def cached_layer(made: Swin3d) -> int:
    """How many stages have run of what a node stores, where those above can be trained.

    Raises:
        BadCall: it stores the network's output.
    """
    if not isinstance(made.layer, int):
        raise BadCall(
            "swin3d must have layer: 0 (the crops) to 3, one that other stages stand above, not "
            f"{made.layer!r}"
        )
    return made.layer


def upper_of(made: Swin3d) -> UpperSwin:
    """The stages above what a node stores, as a module that can be trained.

    Raises:
        BadCall: as in ``cached_layer``; or the weights cannot be read, or are of another network.
    """
    from .upper import upper_swin

    return upper_swin(made, cached_layer(made))
