"""What was said, as an array of a node: UTF-8 bytes, one a row."""

from __future__ import annotations

import numpy as np

from ...cache.errors import BadInput
from ...cache.records import ArraySpec, Features, no_times

#: Name of the array in which a node that provides a transcript keeps it.
TEXT = "text"
#: What that node promises of it.
TEXT_SPEC = ArraySpec((1,), "uint8", ("utf8",))


def as_rows(text: str) -> Features:
    """A text as (n_bytes, 1) uint8 rows without times."""
    data = np.frombuffer(text.encode(), np.uint8)[:, None]
    return Features(data, no_times(len(data)), TEXT_SPEC.columns)


def as_text(features: Features) -> str:
    """The text among a node's arrays.

    Raises:
        BadInput: the features hold no text.
    """
    if TEXT not in features.more:
        raise BadInput(f"these features have no array '{TEXT}', so they are no transcript")
    return bytes(features.more[TEXT].values.astype(np.uint8)).decode()
