"""Labels that a node has made, as a fit learns from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..cache.errors import TrainingError
from ..cache.records import Array
from ..cache.store import FeatureStore

if TYPE_CHECKING:
    from .fitting import FitTask


def made_labels(task: FitTask, store: FeatureStore) -> dict[str, Array]:
    """Labels of the tasks that are columns of a node, NaN where an utterance has no real row there.

    Raises:
        TrainingError: it has no such column, or an utterance several rows; or whoever made them
            finds that they cannot serve as labels (``Extractor.unfit``).
    """
    if task.made is None:
        return {}
    table = store.table(task.ids, task.made.places, allow_mixed=task.allow_mixed)
    several = np.flatnonzero(table.lengths > 1)
    if len(several):
        raise TrainingError(
            f"node '{task.node}': labels are one row an utterance, and '{task.made.name}' has "
            f"{table.lengths[several[0]]} for '{task.ids[several[0]]}' ({len(several)} utterances "
            "have more than one). Set its 'level', or make labels by another node"
        )
    real = table.offsets[:-1][table.lengths == 1]
    has = table.lengths == 1
    has[has] = table.mask[real]
    rows = np.full((len(task.ids), len(table.columns)), np.nan)
    rows[has] = table.values[table.offsets[:-1][has]]
    why = task.maker.unfit(rows[table.lengths == 1]) if task.maker else ""
    if why:
        raise TrainingError(f"node '{task.node}' cannot learn from '{task.made.name}': {why}")
    return {
        name: rows[:, table.columns.index(name)] for name in task.tasks if name in table.columns
    }
