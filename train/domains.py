"""Of several corpora in one fit: whose each utterance is, and which are shown more than once.

Nothing here knows torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .dataset import Array, Dataset
from .settings.base import ModelSettings


@dataclass(frozen=True, eq=False)
class Domains:
    """The corpora of a training split's n utterances.

    Args:
        number: (n,) int64, of each one's corpus among the sorted names of those that are there.
        again: (m,) int64, utterances that an epoch shows once more for each time they stand here.
    """

    number: Array
    again: Array


def domains_of(model: ModelSettings, dataset: Dataset, chosen: Array) -> Domains | None:
    """Domains of the chosen utterances; None where the model does not ask, or all are of one."""
    if not model.domains or dataset.domains is None:
        return None
    number = np.unique(dataset.domains[chosen], return_inverse=True)[1].astype(np.int64)
    return Domains(number, np.array(model.shown_again(number.tolist()), np.int64))
