"""Splits of corpora that have none: who is learned from, and who is validated by."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

from ...cache.errors import BadCall


def check_share(valid: float) -> None:
    """Refuse what is no share of a whole.

    Raises:
        BadCall: it is no number between 0 and 1.
    """
    if isinstance(valid, bool) or not isinstance(valid, int | float) or not 0 < valid < 1:
        raise BadCall(f"valid must be a share between 0 and 1, not {valid!r}")


def sides(groups: Sequence[str], valid: float) -> list[str]:
    """``train`` or ``valid`` for each utterance; all of one group are on one side.

    The side follows from the digest of the group's name, so that none changes it when others come.
    Of several groups at least one is on each side; a single one is learned from.

    Args:
        groups: of each utterance who speaks, or which video it is from; not empty.
        valid: about this share of the groups is for validation.
    """
    place = {group: _place(group) for group in {*groups}}
    limit = max(valid, math.nextafter(min(place.values()), 1))
    held = {group for group, at in place.items() if at < limit}
    if len(held) == len(place):  # of a handful, all may fall below: the last one is learned from
        held.discard(max(place, key=lambda group: place[group]))
    return ["valid" if group in held else "train" for group in groups]


def _place(group: str) -> float:
    """A number in [0, 1) that follows from a name alone."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:6], "big") / 2**48
