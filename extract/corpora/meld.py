"""MELD: utterances of a television series, a clip each, with emotion and polarity.

Source:
    Poria et al. (2019), "MELD: A Multimodal Multi-Party Dataset for Emotion Recognition in
    Conversations", ACL; issues 20, 22, 27 and 39 of its repository on clips that are missing,
    broken or cut wrongly.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...cache.corpus import Corpus
from ...cache.errors import BadMedia
from ...cache.labels import POLARITIES
from ...cache.validation import count, listing, show
from .kind import Kind, counted
from .media_folder import MediaFolder, Unusable
from .repairs import spreadsheet_faults, windows_characters, without_doubles
from .sheet import Sheet, read_sheet

LAYOUT = """\
train_sent_emo.csv  dev_sent_emo.csv  test_sent_emo.csv    (each also inside train/, dev/, test/)
train_splits/dia<D>_utt<U>.mp4
dev_splits_complete/dia<D>_utt<U>.mp4
output_repeated_splits_test/dia<D>_utt<U>.mp4    (the folders also inside train/, dev/, test/)"""
REQUIRED = ("Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID")
#: Their split -> ours, and what the folder of its clips is called.
SPLITS = {
    "train": ("train", ("train_splits", "train/train_splits", "train")),
    "dev": ("valid", ("dev_splits_complete", "dev/dev_splits_complete", "dev")),
    "test": ("test", ("output_repeated_splits_test", "test/output_repeated_splits_test", "test")),
}
#: Label column of ours -> theirs, and the words in it.
LABELS = {
    "emotion": (
        "Emotion",
        ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"),
    ),
    "polarity": ("Sentiment", POLARITIES),
}
#: Clips that the release lacks, or has as a file that nothing can play.
LACKING = ("train/dia125_utt3", "dev/dia110_utt7")
#: Clips that were cut wrongly: minutes long, most of it not what was said.
MISCUT = ("train/dia309_utt0", "test/dia38_utt4", "test/dia220_utt0")


@dataclass
class Found:
    """What the tables said so far: columns of the corpus, notes, faults."""

    columns: dict[str, list[Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def add(self, columns: dict[str, list[Any]]) -> None:
        """Further rows."""
        for name, cells in columns.items():
            self.columns.setdefault(name, []).extend(cells)


def read(root: str | Path, *, name: str = "", encoding: str = "", note: str = "") -> Corpus:
    """Read the tables of the three splits and find the clips.

    Dialogues are numbered anew in each split, so ids are ``train/dia0_utt0`` and so on. StartTime
    and EndTime are times in an episode, not in the clip, and are left out. A clip that is known to
    be missing or broken has its transcript and labels alone, with a note.

    Args:
        root: the folder with ``train_sent_emo.csv``.
        name: empty: ``meld``.
        encoding: of the tables; empty: UTF-8, with single bytes of cp1252 where they stand.
        note: shown wherever the corpus is shown.

    Raises:
        BadCorpus: there is no table, or columns are missing in one.
    """
    folder = Path(root)
    KIND.require(folder)
    found = Found()
    for split in SPLITS:
        _read_split(folder, split, encoding, found)
    columns, doubled = without_doubles(found.columns)
    return Corpus.from_columns(
        columns,
        name=name or "meld",
        note=note,
        notes=(*found.notes, *doubled),
        reading_faults=found.faults,
        shared=["speaker"],  # the friends are in all of its splits
    )


def _read_split(root: Path, split: str, encoding: str, found: Found) -> None:
    places = (root / f"{split}_sent_emo.csv", root / split / f"{split}_sent_emo.csv")
    table = next((place for place in places if place.is_file()), None)
    if table is None:
        found.notes.append(f"no table of split '{split}': '{places[0].name}' is not there")
        return
    sheet = read_sheet(table, encoding, header=REQUIRED)
    sheet.require(REQUIRED)
    numbers = {name: [_whole(c) for c in sheet.columns[name]] for name in REQUIRED[-2:]}
    pairs = list(zip(*numbers.values(), strict=True))
    ids = [f"{split}/dia{dialogue}_utt{turn}" for dialogue, turn in pairs]
    texts, mended = windows_characters([str(t or "") for t in sheet.columns["Utterance"]], ids)
    media, notes, faults = _media(root, split, ids)
    labels = {ours: _words(sheet, theirs) for ours, (theirs, _) in LABELS.items()}
    faults += [fault for name, own in labels.items() for fault in _strange(name, own, ids)]
    found.add(
        {
            "id": ids,
            "media": media,
            "text": texts,
            "speaker": [str(who or "").strip() for who in sheet.columns["Speaker"]],
            "language": ["en"] * len(ids),
            "dialogue": [f"{split}/dia{dialogue}" for dialogue, _ in pairs],
            "turn": [turn for _, turn in pairs],
            "split": [SPLITS[split][0]] * len(ids),
            **labels,
        }
    )
    found.notes += [*sheet.notes, *(f"{split}: {own}" for own in mended), *notes]
    found.faults += [*sheet.faults, *spreadsheet_faults(numbers), *faults]


def _whole(cell: Any) -> str:
    """A number of a dialogue or turn; a column with gaps is saved as 1.0, 2.0."""
    return str(cell).strip().removesuffix(".0")


def _strange(name: str, words: Sequence[str], ids: Sequence[str]) -> Iterator[str]:
    """Say which labels are none of theirs."""
    theirs, known = LABELS[name]
    pairs = zip(words, ids, strict=True)
    wrong = [f"{show(word)} ({show(own)})" for word, own in pairs if word not in (*known, "")]
    if wrong:
        n = count(len(wrong), "label")
        yield f"column '{theirs}': {n} that MELD does not have: {listing(wrong)}"


def _words(sheet: Sheet, name: str) -> list[str]:
    return [str(word or "").strip().lower() for word in sheet.columns[name]]


def _media(root: Path, split: str, ids: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Paths of the clips of a split, notes on those known to be lacking, faults."""
    folders = SPLITS[split][1]
    folder = next((own for own in folders if (root / own).is_dir()), folders[0])
    place = MediaFolder(os.path.abspath(root), os.path.abspath(root))
    paths, lacking, outside = [], [], []
    for own in ids:
        try:
            path, _ = place.find(f"{folder}/{own.rpartition('/')[2]}")
        except Unusable as error:
            path = ""
            outside.append(f"{show(own)} ({error})")
        if own in LACKING and not _plays(path):
            path = ""
            lacking.append(own)
        paths.append(path)
    what = "known to be missing or broken in the release, the transcript alone is used"
    notes = [counted(lacking, "clip", what)] if lacking else []
    long = [own for own in ids if own in MISCUT]
    what = "known to be cut wrongly in the release, of minutes of other things"
    notes += [counted(long, "clip", what)] if long else []
    n = count(len(outside), "clip")
    faults = [f"{n} not to be found inside '{root}': {listing(outside)}"] if outside else []
    return paths, notes, faults


def _plays(path: str) -> bool:
    """Whether a file is there that can be opened: some replace what is broken in the release."""
    from ..media import probe

    try:
        return bool(path) and probe(path).has_video
    except BadMedia:
        return False


KIND = Kind(
    about="MELD: the three tables and folders of clips",
    layout=LAYOUT,
    read=read,
    marks=tuple(f"{place}{s}_sent_emo.csv" for s in SPLITS for place in ("", f"{s}/")),
    paper="Poria et al. (2019), ACL",
    counts={"train": 9989, "valid": 1109, "test": 2610},
)
