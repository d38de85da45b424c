"""Single utterances, head by head: what each task of a multi-task recipe says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...cache.labels import DIMENSIONS
from ..blocks import fits_of
from ..fit_view import FitView
from ..nodes import Encode
from ..result import Run
from .fits import label_column

#: Utterances that are shown, those first whose heads disagree most.
SHOWN = 12


@dataclass(frozen=True)
class Said:
    """What one head says of one utterance.

    Args:
        predicted: mean over seeds.
        truth: its label; NaN: there is none.
        wrong: whether they lie on different sides of 0.
    """

    predicted: float
    truth: float
    wrong: bool


@dataclass(frozen=True)
class Case:
    """One utterance of the test split: its transcript, and what each head says of it."""

    utterance: str
    text: str
    heads: Sequence[Said]


@dataclass(frozen=True)
class Cases:
    """Utterances of the test split.

    Args:
        heads: fit, task, and the label column that it learns from.
        shown: the utterances, those first whose heads lie farthest apart.
        n: how many there are in all.
    """

    heads: Sequence[tuple[str, str, str]]
    shown: Sequence[Case]
    n: int


def cases(run: Run, most: int = SHOWN) -> Cases | None:
    """Test utterances as all heads of multi-task fits, and of what reads those, see them.

    None where no fit has several tasks that are values.
    """
    heads: dict[tuple[str, str, str], Mapping[str, Said]] = {}
    for fit in _fits(run):
        table = fit.checkpoint.predictions()
        if table is None:
            continue
        rows = table[table["split"] == "test"]
        for task in fit.tasks:
            if fit.target(task).kind != "value" or task in DIMENSIONS:
                continue  # they have no side
            mine = rows[rows["task"] == task].groupby("id")
            means, truths = mine["prediction"].mean(), mine["truth"].first()
            heads[fit.name, task, label_column(run, fit, task)] = {
                str(name): _said(float(p), float(y), zero_is_positive=fit.family != "sims")
                for name, p, y in zip(means.index, means, truths, strict=True)
            }
    ids = set.intersection(*(set(found) for found in heads.values())) if heads else set()
    if not ids:
        return None
    apart = {one: float(np.ptp([found[one].predicted for found in heads.values()])) for one in ids}
    order = sorted(ids, key=lambda one: (-apart[one], one))
    texts = {utterance.id: utterance.text or "" for utterance in run.corpus}
    shown = [
        Case(one, texts.get(one, ""), [found[one] for found in heads.values()])
        for one in order[:most]
    ]
    return Cases(list(heads), shown, len(order))


def _said(predicted: float, truth: float, zero_is_positive: bool) -> Said:
    side = np.greater_equal if zero_is_positive else np.greater
    wrong = np.isfinite(truth) and bool(side(predicted, 0) != side(truth, 0))
    return Said(predicted, truth, bool(wrong))


def _fits(run: Run) -> list[FitView]:
    """Fits with several tasks, and those that read what these encode."""
    many = {one.name for fit in fits_of(run) if len(fit.tasks) > 1 for one in fit.parts}
    encoded = {node.name for node in run.workflow if isinstance(node, Encode) and node.of in many}
    found = [
        fit
        for fit in fits_of(run)
        if (part := fit.parts[0].name) in many or encoded & set(run.workflow[part].inputs)
    ]
    return found if many else []
