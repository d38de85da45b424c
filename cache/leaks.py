"""What stands in two splits of a corpus: what is learned of it makes test scores too good."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .corpus_columns import dialogues_of
from .folds import Folds, folds_of, parts_of, video_of
from .validation import count, listing, show

if TYPE_CHECKING:
    import pandas as pd

    from .corpus import Corpus


@dataclass(frozen=True)
class Leak:
    """Something that stands in more than one split.

    Args:
        kind: ``speaker``; ``video`` (or dialogue); ``segment`` of the same file; ``overlap``, two
            segments of the same file that share some seconds; ``content``, the same bytes in other
            files.
        n: how many of them do.
        examples: the first of them, with their splits.
    """

    kind: str
    n: int
    examples: str

    def __str__(self) -> str:
        what = {
            "segment": f"{count(self.n, 'segment')} in more than one split (same media)",
            "overlap": f"{count(self.n, 'pair')} of overlapping stretches of one file in different "
            "splits",
            "content": f"{count(self.n, 'recording')} in more than one split (other files, but "
            "the same bytes)",
        }
        return f"{what.get(self.kind, f'{count(self.n, self.kind)} in more than one split')}: " + (
            self.examples
        )

    def told(self, known: Collection[str]) -> str:
        """Itself; kinds that official splits are known to share are told as such."""
        return f"known of its official splits: {self}" if self.kind in known else str(self)


def find_leaks(frame: pd.DataFrame, contents: Mapping[str, bytes] | None = None) -> list[Leak]:
    """Speakers, videos, segments and contents that stand in two splits; each utterance is in one.

    A video that only leaks because a speaker of it does is told as well: either may be what a model
    learns.

    Args:
        frame: columns as ``Corpus.to_frame`` gives them; what is in no split is passed over.
        contents: utterance id -> digest of its media and segment, where they are known.
    """
    placed = frame[frame["split"] != ""]
    return [
        *_named("speaker", placed["speaker"].tolist(), placed),
        *_named("video", _videos(placed), placed),
        *_segments(placed),
        *_overlaps(placed),
        *_contents(placed, contents or {}),
    ]


def _named(kind: str, names: Sequence[str], placed: pd.DataFrame) -> Iterator[Leak]:
    """Names that two splits share; empty ones are none."""
    found: dict[str, dict[str, None]] = {}
    for name, split in zip(names, placed["split"].tolist(), strict=True):
        if name:
            found.setdefault(name, {})[split] = None
    shared = [f"{show(name)} ({', '.join(own)})" for name, own in found.items() if len(own) > 1]
    if shared:
        yield Leak(kind, len(shared), listing(shared))


def _videos(placed: pd.DataFrame) -> list[str]:
    """The dialogue of each utterance, else its video; empty where it is a video of its own."""
    return [
        dialogue or (video_of(name) if "/" in name else "")
        for name, dialogue in zip(placed["id"].tolist(), dialogues_of(placed), strict=True)
    ]


def _segments(placed: pd.DataFrame) -> Iterator[Leak]:
    segment = ["media", "start", "end"]
    shown = placed.loc[placed["media"] != "", ["id", *segment, "split"]].fillna({"start": 0.0})
    unlike = shown.drop_duplicates([*segment, "split"])
    twice = unlike[unlike.duplicated(segment, keep=False)].sort_values(segment, kind="stable")
    if len(twice):
        names = [f"{show(i)} ({s})" for i, s in zip(twice["id"], twice["split"], strict=True)]
        yield Leak("segment", len(twice.drop_duplicates(segment)), listing(names))


def _overlaps(placed: pd.DataFrame) -> Iterator[Leak]:
    """Segments of one file that share some of its seconds, whatever video their ids name.

    Each is held against the one of every other split that reached furthest before it; the same
    segment twice is told already.
    """
    columns = ["id", "media", "start", "end", "split"]
    shown = placed.loc[placed["media"] != "", columns].fillna({"start": 0.0, "end": math.inf})
    once = shown.drop_duplicates(["media", "split"])["media"]
    several = shown[shown["media"].isin(once[once.duplicated()])]
    found, reached, file = list[str](), dict[str, tuple[float, float, str]](), ""
    for name, media, start, end, split in several.sort_values(
        ["media", "start"], kind="stable"
    ).itertuples(index=False):
        if media != file:
            reached, file = {}, media
        found += [
            f"{show(other)} ({part}) and {show(name)} ({split})"
            for part, (begin, until, other) in reached.items()
            if part != split and start < until and (begin, until) != (start, end)
        ]
        if split not in reached or end > reached[split][1]:
            reached[split] = (start, end, name)
    if found:
        yield Leak("overlap", len(found), listing(found))


def _contents(placed: pd.DataFrame, contents: Mapping[str, bytes]) -> Iterator[Leak]:
    """Bytes that stand in two splits under two paths; one path twice is a segment."""
    found: dict[bytes, list[tuple[str, str, str]]] = {}
    columns = (placed[name].tolist() for name in ("id", "split", "media"))
    for name, split, media in zip(*columns, strict=True):
        if name in contents:
            found.setdefault(contents[name], []).append((name, split, media))
    shared = [
        own
        for own in found.values()
        if len({split for _, split, _ in own}) > 1 and len({media for *_, media in own}) > 1
    ]
    if shared:
        names = [f"{show(name)} ({split})" for own in shared for name, split, _ in own]
        yield Leak("content", len(shared), listing(names))


def leaks_of(
    corpus: Corpus, folds: Folds, contents: Mapping[str, bytes] | None = None
) -> list[Leak]:
    """What splits of a corpus share, or where it is cut, what the parts that are tested in turn do.

    Two parts stand in different splits of some fold, so neither may have what the other has.

    Args:
        corpus: the corpus.
        folds: how it is cut.
        contents: utterance id -> digest of its media and segment, where they are known.
    """
    frame = corpus.to_frame()
    if folds_of(corpus, folds):
        parts = parts_of(corpus, folds).tolist()
        frame["split"] = [f"fold {part}" if part else "" for part in parts]
    return find_leaks(frame, contents)
