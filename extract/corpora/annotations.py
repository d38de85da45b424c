"""A table of further labels of a corpus' utterances: those of two modalities, say.

Source:
    Peng et al. (2023), "A fine-grained modal label-based multi-stage network for multimodal
    sentiment analysis", Expert Systems with Applications 221, 119721, section 3: they call the
    labels of two modalities AT, VT and AV.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...cache.corpus import Corpus
from ...cache.corpus_columns import TASKS
from ...cache.errors import BadCorpus
from ...cache.records import Array
from .sheet import read_sheet

#: Other names of label columns.
ALIASES = {
    **{f"label_{task}": task for task in TASKS},
    "label": "M",
    "AT": "TA",
    "VT": "TV",
    "VA": "AV",
    "label_AT": "TA",
    "label_VT": "TV",
    "label_VA": "AV",
}
#: Where an utterance has two names, as CH-SIMS has it.
VIDEO, CLIP = "video_id", "clip_id"


@dataclass(frozen=True, eq=False)
class Annotations:
    """Labels of some utterances.

    Args:
        ids: of the rows.
        labels: label column -> (n,) float64, NaN where there is none.
        notes: what was repaired while reading.
        faults: what could not be read.
    """

    ids: tuple[str, ...]
    labels: Mapping[str, Array]
    notes: tuple[str, ...]
    faults: tuple[str, ...]


def read_annotations(path: str | Path, encoding: str = "") -> Annotations:
    """Read a CSV, TSV or Parquet table with ``id`` (or ``video_id`` and ``clip_id``) and labels.

    Labels are columns with our names (``TA TV AV``), those of CH-SIMS (``label_TA``) or of FmlMSN
    (``AT VT``). Other columns are not read.

    Args:
        path: the file.
        encoding: of CSV and TSV; empty: UTF-8, or cp1252 with a note where it is not.

    Raises:
        BadCorpus: it cannot be read, or has no column of ids, or none of labels, or two of one.
    """
    sheet = read_sheet(Path(path), encoding)
    columns = sheet.columns
    if "id" in columns:
        ids = [str(name) for name in columns["id"]]
    elif VIDEO in columns and CLIP in columns:
        ids = [f"{v}/{c}" for v, c in zip(columns[VIDEO], columns[CLIP], strict=True)]
    else:
        raise BadCorpus(
            f"'{path}' does not say which utterances it labels: wanted is a column 'id', or "
            f"'{VIDEO}' and '{CLIP}'. Found: {', '.join(columns)}."
        )
    named = [(ALIASES.get(theirs, theirs), theirs) for theirs in columns]
    found = [(ours, theirs) for ours, theirs in named if ours in TASKS]
    double = [theirs for ours, theirs in found if sum(ours == one for one, _ in found) > 1]
    if double:
        raise BadCorpus(f"'{path}' has columns that mean the same label: {', '.join(double)}")
    if not found:
        raise BadCorpus(
            f"'{path}' has no column of labels; known are {', '.join(TASKS)} and, of others, "
            f"{', '.join(ALIASES)}. Found: {', '.join(columns)}."
        )
    given = {"id": ids, **{ours: columns[theirs] for ours, theirs in found}}
    read = Corpus.from_columns(given, name=Path(path).stem)
    renamed = [f"column '{theirs}' read as '{ours}'" for ours, theirs in found if ours != theirs]
    return Annotations(
        tuple(ids),
        {task: np.asarray(read.labels(task), np.float64) for task in read.tasks},
        (*sheet.notes, *renamed),
        (*sheet.faults, *read.reading_faults),
    )
