"""CH-SIMS v2, the unsupervised part: clips and transcripts, no labels; as ``ch_sims_v2``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ...cache.corpus import Corpus
from .ch_sims_v2 import find_part
from .kind import Kind
from .labelled import TABLES, Given, read_labelled
from .sides import check_share, sides

FOLDER = "ch-simsv2u"
LAYOUT = f"""\
meta(u).csv    (or meta.csv, label.csv: video_id, clip_id, text)
Raw/<video_id>/<clip_id>.mp4
all of it may lie one folder below, in {FOLDER}"""


def read(
    root: str | Path,
    *,
    valid: float = 0.05,
    name: str = "",
    media_root: str = "",
    encoding: str = "",
    note: str = "",
) -> Corpus:
    """Read the unsupervised part; it is for pretraining, and for training beside labelled clips.

    There are no splits in it: utterances are put into ``train`` and ``valid`` by the digest of
    their video's name, so that no video stands in both.

    Args:
        root: the folder of the part, or the one in which it is called ``ch-simsv2u``.
        valid: about this share of the videos is for validation.
        name: empty: the folder's name.
        media_root: folder of the media where it is not ``Raw``; may lie anywhere.
        encoding: of the table; empty: UTF-8, or cp1252 with a note where it is not.
        note: shown wherever the corpus is shown.

    Raises:
        BadCorpus: the part is not there, or columns are missing in its table.
        BadCall: ``valid`` is no share.
    """
    check_share(valid)
    table, notes = find_part(Path(root), FOLDER, KIND)
    given = Given(name, "sims", None, media_root, encoding, "zh", note)
    required = ("video_id", "clip_id", "text")
    corpus = read_labelled(table, given, tasks=(), required=required, notes=notes)
    if not len(corpus):
        return corpus
    frame = corpus.to_frame()
    frame["split"] = sides([own.rpartition("/")[0] for own in corpus.ids], valid)
    return dataclasses.replace(corpus, _frame=frame)


KIND = Kind(
    about="CH-SIMS v2, the unsupervised part: no labels",
    layout=LAYOUT,
    read=read,
    marks=("meta(u).csv", *TABLES, f"{FOLDER}/*.csv"),
    paper="Liu et al. (2022), ICMI",
    counts={"unlabelled": 10161},
    part_of=lambda corpus: ["unlabelled"] * len(corpus),
)
