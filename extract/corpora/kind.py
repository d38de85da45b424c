"""What a kind of corpus is: how it lies on disk, who reads it, how large it officially is."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...cache.corpus import Corpus
from ...cache.errors import BadCorpus
from ...cache.validation import count, listing, show

#: How far above and below a folder the corpus is looked for when it does not lie there.
LEVELS = 2


@dataclass(frozen=True)
class Kind:
    """A kind of corpus.

    Args:
        about: what it is, one line.
        layout: how it lies on disk, a line a file or folder.
        read: reads it; the first argument is its root, the others are its options.
        marks: patterns of files and folders, one of which lies in the root of such a corpus; none:
            the root is a file, or nothing marks it.
        tells: patterns of what lies in the root of such a corpus and of no other kind.
        paper: who published it.
        counts: official number of utterances of each part of it.
        part_of: which part each utterance is in; the splits unless told otherwise.
        counted_if: whether a corpus may be this one, and not another in the same layout whose
            counts have nothing to do with the official ones.
    """

    about: str
    layout: str
    read: Callable[..., Corpus]
    marks: tuple[str, ...] = ()
    tells: tuple[str, ...] = ()
    paper: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    part_of: Callable[[Corpus], Iterable[str]] = lambda corpus: corpus.splits.tolist()
    counted_if: Callable[[Corpus], bool] = lambda corpus: True

    def lies_at(self, folder: Path) -> bool:
        """Whether something of such a corpus lies in a folder."""
        return _any(folder, self.marks)

    def is_told_by(self, folder: Path) -> bool:
        """Whether something lies in a folder that no other kind has."""
        return _any(folder, self.tells)

    def require(self, root: Path) -> None:
        """Refuse a folder in which nothing of such a corpus lies.

        Raises:
            BadCorpus: it says what was wanted, what is there, and where it may be instead: folders
                above and below are looked at.
        """
        if not root.is_dir():
            what = "it is a file" if root.exists() else "there is no such folder"
            raise BadCorpus(
                f"no corpus at '{root}': {what}. Wanted is a folder with:\n{self.layout}"
            )
        if self.lies_at(root):
            return
        inside = [show(name) for name in sorted(os.listdir(root))]
        near = [f"'{place}'" for place in self._nearby(root)]
        hint = f" Did you mean {listing(near)}? There it is." if near else ""
        raise BadCorpus(
            f"'{root}' has {_neither(self.marks)}. In it: {listing(inside) or 'nothing'}.{hint} "
            f"Wanted is a folder with:\n{self.layout}"
        )

    def _nearby(self, root: Path) -> Iterator[Path]:
        """Folders above and below one in which such a corpus lies, those above first."""
        for above in list(root.absolute().parents)[:LEVELS]:
            if self.lies_at(above):
                yield above
        for level in range(1, LEVELS + 1):
            found = {
                place.relative_to(root).parts[:level]
                for mark in self.marks
                for place in root.glob("*/" * level + mark)
            }
            yield from (root.joinpath(*parts) for parts in sorted(found))

    def against_official(self, corpus: Corpus) -> dict[str, tuple[int, int]]:
        """Of each part how many utterances there are, and how many there officially are.

        Empty where nothing is known of the corpus.
        """
        if not self.counts or not self.counted_if(corpus):
            return {}
        found = Counter(self.part_of(corpus))
        parts = dict.fromkeys([*self.counts, *sorted(found)])
        return {part: (found[part], self.counts.get(part, 0)) for part in parts}

    def differences(self, corpus: Corpus) -> tuple[str, ...]:
        """A sentence on how the counts of a corpus differ from the official ones, if they do."""
        both = self.against_official(corpus)
        unlike = [
            f"{show(part)} {here:,} of {wanted:,} ({here - wanted:+,})"
            for part, (here, wanted) in both.items()
            if here != wanted
        ]
        if not unlike:
            return ()
        return (f"utterances differ in number from {self.paper}: {', '.join(unlike)}",)


def _any(folder: Path, patterns: Sequence[str]) -> bool:
    return any(True for pattern in patterns for _ in folder.glob(pattern))


def _neither(marks: Sequence[str]) -> str:
    named = [f"'{mark}'" for mark in marks]
    if len(named) > 2:
        return f"none of {listing(named)}"
    return f"neither {' nor '.join(named)}" if len(named) > 1 else f"no {named[0]}"


def counted(names: Sequence[str], noun: str, what: str) -> str:
    """How many there are, what of them, and the first by name.

    >>> counted(["a.mp4", "b.mp4"], "file", "left out")
    "2 files left out: 'a.mp4', 'b.mp4'"
    """
    return f"{count(len(names), noun)} {what}: {listing([show(name) for name in names])}"
