"""Faults of a corpus table: all of them at once, counted, with a few examples each."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import BadCall, BadCorpus, unknown

if TYPE_CHECKING:
    import pandas as pd

    from .records import Array

SPLITS = ("train", "valid", "test")
#: Other names of splits, in lower case; readers of foreign tables take them for ours.
SPLIT_NAMES = {"val": "valid", "dev": "valid", "validation": "valid", "training": "train"}
#: Examples shown of each fault, and the length at which a name is cut.
SHOWN = 5
WIDEST = 80


@dataclass(frozen=True)
class Faults:
    """What is wrong with a corpus: errors forbid its use, warnings do not.

    Args:
        errors: one sentence a fault.
        warnings: one sentence a doubt.
        corpus: name of the corpus, for the message.
        notes: one sentence each on what is known of the corpus, and no fault.
    """

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    corpus: str = ""
    notes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.errors or self.warnings)

    def __str__(self) -> str:
        parts = []
        for kind, found in (("error", self.errors), ("warning", self.warnings)):
            if found:
                parts.append(f"corpus '{self.corpus}' has {count(len(found), kind)}:")
                parts += [f"  {i}. {fault}" for i, fault in enumerate(found, 1)]
        return "\n".join(parts) or f"corpus '{self.corpus}' has no faults"

    def raise_if_any(self) -> None:
        """Raise if there are errors; warnings do not raise.

        Raises:
            BadCorpus: numbered list of all errors.
        """
        if self.errors:
            raise BadCorpus(str(Faults(self.errors, (), self.corpus)))


def count(n: int, noun: str) -> str:
    """A number with its noun.

    >>> count(1, "utterance"), count(2000, "utterance")
    ('1 utterance', '2,000 utterances')
    """
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def show(value: object) -> str:
    """A name in quotes: one line, nothing that a terminal would obey, at most 80 characters."""
    text = str(value)
    return repr(text if len(text) <= WIDEST else text[: WIDEST - 1] + "…")


def sentence(text: str) -> str:
    """A note as a sentence: a capital first, one full stop last.

    >>> sentence("made of clay")
    'Made of clay.'
    """
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def listing(items: Sequence[str], n: int | None = None) -> str:
    """At most five of the items, and how many more of the ``n`` (default: the items) there are.

    >>> listing(["a", "b", "c", "d", "e", "f", "g"])
    'a, b, c, d, e and 2 more'
    """
    rest = (len(items) if n is None else n) - SHOWN
    return ", ".join(items[:SHOWN]) + (f" and {rest:,} more" if rest > 0 else "")


def find_faults(
    frame: pd.DataFrame,
    labels: Sequence[str],
    label_range: tuple[float, float] | None,
    *,
    media: bool = True,
    training: bool = False,
    tasks: Sequence[str] = (),
    hint: str = "",
) -> tuple[list[str], list[str]]:
    """Errors and warnings of a corpus' table.

    Args:
        frame: columns as ``Corpus.to_frame`` gives them.
        labels: which of them are labels.
        label_range: lowest and highest value that a label may have; None: any finite one.
        media: whether the media files are looked for.
        training: whether the table is to be trained on.
        tasks: labels that are needed; empty: all there are, but none must be there.
        hint: what would mend labels outside the range.
    """
    if not len(frame):
        return ["there is no utterance in it"], []
    errors = [*_ids(frame), *_sources(frame), *_segments(frame), *_splits(frame)]
    errors += outside(frame, labels, label_range, hint)
    absent = [task for task in tasks if task not in labels]
    errors += [str(unknown("label column", task, labels)) for task in absent]
    needed = [task for task in (tasks or labels) if task not in absent]
    warnings: list[str] = []
    if media:
        missing, empty = _files(frame)
        errors += missing
        warnings += empty
    if training:
        errors += _empty_splits(frame)
        untaught = _untaught(frame, needed)
        errors += untaught if tasks else []
        warnings += [*_outside(frame), *([] if tasks else untaught)]
    if _bare(frame).all():
        warnings.append("no utterance has media or a transcript: only imported features do")
    warnings += [*_silent(frame), *_unlabelled(frame, needed)]
    return errors, warnings


def _named(frame: pd.DataFrame, rows: Array | pd.Series[bool]) -> tuple[int, str]:
    """How many rows are True, and the first ids of them."""
    ids = frame["id"][rows]
    return len(ids), listing([show(name) for name in ids.iloc[:SHOWN]], len(ids))


def _ids(frame: pd.DataFrame) -> Iterator[str]:
    ids = frame["id"]
    if n := int((ids == "").sum()):
        first = np.flatnonzero((ids == "").to_numpy(bool))[:SHOWN]
        rows = ", ".join(str(row) for row in first)
        yield f"{count(n, 'utterance')} without an id (first rows, counted from 0: {rows})"
    broken = ids.str.contains("[\r\n]", regex=True).to_numpy(bool)
    if broken.any():
        n, names = _named(frame, broken)
        yield f"{count(n, 'id')} with a line break: {names}"
    repeated = ids[ids.duplicated(keep=False)].value_counts(sort=False)
    if len(repeated):
        times = [f"{show(name)} ({n} times)" for name, n in repeated.items()]
        yield f"{count(len(times), 'id')} used more than once: {listing(times)}"


def _sources(frame: pd.DataFrame) -> Iterator[str]:
    bare = _bare(frame)
    if bare.any() and not bare.all():
        n, names = _named(frame, bare)
        yield f"{count(n, 'utterance')} with neither media nor transcript: {names}"


def _bare(frame: pd.DataFrame) -> pd.Series[bool]:
    return (frame["media"] == "") & (frame["text"].str.strip() == "")


def _segments(frame: pd.DataFrame) -> Iterator[str]:
    start, end = frame["start"].to_numpy(float), frame["end"].to_numpy(float)
    spans = [
        ("starting before 0 s or at no finite time", (start < 0) | np.isinf(start)),
        ("ending at or before the start", end <= np.where(np.isnan(start), 0.0, start)),
        ("ending at no finite time", end == np.inf),
    ]
    for what, rows in spans:
        if rows.any():
            hits = np.flatnonzero(rows)
            names = [
                f"{show(frame['id'].iloc[i])} ({start[i]:g} to {end[i]:g} s)" for i in hits[:SHOWN]
            ]
            yield f"{count(len(hits), 'segment')} {what}: {listing(names, len(hits))}"


def _splits(frame: pd.DataFrame) -> Iterator[str]:
    for split in frame["split"].drop_duplicates():
        if split not in ("", *SPLITS):
            n, names = _named(frame, frame["split"] == split)
            ours = SPLIT_NAMES.get(split.strip().lower())
            error = f"unknown split {show(split)}. Did you mean '{ours}'?" if ours else ""
            error = error or str(unknown("split", split, SPLITS))
            yield f"{error} {count(n, 'utterance')}: {names}"


def outside(
    frame: pd.DataFrame,
    labels: Iterable[str],
    label_range: tuple[float, float] | None,
    hint: str = "",
) -> Iterator[str]:
    """Say which labels lie outside of a range, with a hint, or, without one, are not finite."""
    low, high = label_range or (-np.inf, np.inf)
    wanted = f"outside [{low:g}, {high:g}]" if label_range else "not finite"
    for task in labels:
        if frame[task].dtype == "str":
            continue  # names of classes
        values = frame[task].to_numpy(float)
        wrong = (values < low) | (values > high) | np.isinf(values)
        if wrong.any():
            hits = np.flatnonzero(wrong)
            names = [f"{show(frame['id'].iloc[i])} ({values[i]:g})" for i in hits[:SHOWN]]
            n = count(len(hits), "value")
            mend = hint if label_range and np.isfinite(values[hits]).all() else ""
            yield f"label '{task}': {n} {wanted}: {listing(names, len(hits))}{mend}"


def as_range(pair: Sequence[float] | None) -> tuple[float, float] | None:
    """Lowest and highest value of labels, as they were given.

    Raises:
        BadCall: they are not two numbers, the lowest first.
    """
    if pair is None:
        return None
    try:
        low, high = (float(bound) for bound in pair)
    except (TypeError, ValueError) as error:
        raise BadCall(f"a label range is two numbers, lowest first, not {pair!r}") from error
    if not low < high:
        raise BadCall(f"a label range is two numbers, lowest first, not {pair!r}")
    return low, high


def _files(frame: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Media that are not plain files, and those of zero bytes; one look at each file."""
    used = frame.loc[frame["media"] != "", ["media", "id"]]
    first = used.drop_duplicates("media")
    missing, irregular, empty = [], [], []
    for path, name in zip(first["media"], first["id"], strict=True):
        try:
            found = os.stat(path)
        except (OSError, ValueError):  # ValueError: a zero byte inside the path
            missing.append((path, name))
            continue
        if not stat.S_ISREG(found.st_mode):
            irregular.append((path, name))
        elif found.st_size == 0:
            empty.append((path, name))

    def said(what: str, files: list[tuple[str, str]]) -> list[str]:
        shown = listing([f"{p!r} (of {show(name)})" for p, name in files[:SHOWN]], len(files))
        return [f"{count(len(files), 'media file')} {what}: {shown}"] if files else []

    errors = said("not found", missing) + said("not a plain file", irregular)
    return errors, said("of zero bytes", empty)


def _empty_splits(frame: pd.DataFrame) -> Iterator[str]:
    have = frame.loc[frame["split"] != "", "split"].value_counts(sort=False)
    counts = ", ".join(f"{name!r} {size:,}" for name, size in have.items()) or "none at all"
    for split in ("train", "valid"):
        if split not in have:
            yield f"split '{split}' is empty, training needs it (splits with utterances: {counts})"


def _untaught(frame: pd.DataFrame, tasks: Iterable[str]) -> list[str]:
    """Labels that a split which training needs has none of."""
    found = []
    for split in ("train", "valid"):
        rows = frame["split"] == split
        n = count(int(rows.sum()), "utterance")
        for task in tasks:
            if rows.any() and _missing(frame[task])[rows].all():
                found.append(f"label '{task}': none of {n} in '{split}' has one")
    return found


def _outside(frame: pd.DataFrame) -> Iterator[str]:
    if not (frame["split"] == "test").any():
        yield "split 'test' is empty: there will be no test scores"
    rows = frame["split"] == ""
    if rows.any():
        n, names = _named(frame, rows)
        yield f"{count(n, 'utterance')} in no split, not used: {names}"


def _silent(frame: pd.DataFrame) -> Iterator[str]:
    empty = (frame["text"].str.strip() == "") & (frame["media"] != "")
    if empty.any():
        n, names = _named(frame, empty)
        yield f"{count(n, 'empty transcript')}: {names}"


def _unlabelled(frame: pd.DataFrame, tasks: Iterable[str]) -> Iterator[str]:
    """Labels that utterances lack, those that the same ones lack in one sentence.

    Where several corpora are one, a label that one of them has nowhere is not missing in it.
    """
    missing = {task: _missing(frame[task]).to_numpy(bool) for task in tasks}
    if gone := [task for task, rows in missing.items() if rows.all()]:
        yield f"{_labels(gone)}: no utterance has one"
    there = {task: rows for task, rows in missing.items() if not rows.all()}
    domains = frame["corpus"].to_numpy() if "corpus" in frame else np.full(len(frame), "")
    for domain in dict.fromkeys(domains.tolist()):
        own = domains == domain
        alike: dict[bytes, list[str]] = {}
        for task, rows in there.items():
            if (rows & own).any() and not rows[own].all():
                alike.setdefault((rows & own).tobytes(), []).append(task)
        of = f"{own.sum():,}" + (f" of '{domain}'" if domain else "")
        for image, several in alike.items():
            n, names = _named(frame, np.frombuffer(image, bool))
            yield f"{_labels(several)}: missing in {n:,} of {of}: {names}"


def _labels(names: Sequence[str]) -> str:
    """Labels by name: ``label 'M'``, ``labels 'T', 'A'``."""
    return f"label{'s' * (len(names) > 1)} {listing([show(name) for name in names])}"


def _missing(labels: pd.Series[Any]) -> pd.Series[bool]:
    """Where there is no label: NaN, or no name of a class."""
    return labels == "" if labels.dtype == "str" else labels.isna()
