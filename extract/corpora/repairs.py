"""What happens to tables of corpora on their way: found, mended where that is certain, and said."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ...cache.validation import count, show
from .kind import counted

#: Control characters that nobody writes; as bytes of Windows' cp1252 they are quotes and dashes.
_CONTROLS = re.compile("[\x80-\x9f]")
#: What a spreadsheet makes of an id that looks like a formula (``-3g5yACwYnA``) or a number.
_SPREADSHEET = re.compile(r"#NAME\?|#VALUE!|#REF!|#{3,}|-?\d(?:[.,]\d+)?E[+-]?\d+", re.IGNORECASE)


def without_doubles(
    columns: Mapping[str, Sequence[Any]],
) -> tuple[dict[str, Sequence[Any]], list[str]]:
    """Columns without the rows that say again what another row says; a note on each such id.

    Rows of one id that differ are left: nobody knows which of them is right, and ``Corpus.check``
    reports the id.
    """
    ids = [str(own) for own in columns["id"]]
    if len({*ids}) == len(ids):
        return dict(columns), []
    rows = list(zip(*columns.values(), strict=True))
    seen: defaultdict[str, list[int]] = defaultdict(list)
    again = set()
    for i, (own, row) in enumerate(zip(ids, rows, strict=True)):
        if any(_same(rows[j], row) for j in seen[own]):
            again.add(i)
        else:
            seen[own].append(i)
    if not again:
        return dict(columns), []
    kept = [i for i in range(len(rows)) if i not in again]
    names = [ids[i] for i in sorted(again)]
    note = counted(names, "row", "said again what another row says, left out")
    return {name: [own[i] for i in kept] for name, own in columns.items()}, [note]


def _same(row: Sequence[Any], other: Sequence[Any]) -> bool:
    """Whether two rows say the same; missing numbers are equal to one another."""
    pairs = zip(row, other, strict=True)
    return all(a == b or (a != a and b != b) for a, b in pairs)


def windows_characters(texts: Sequence[str], ids: Sequence[str]) -> tuple[list[str], list[str]]:
    r"""Texts in which bytes of cp1252 became control characters, as they were meant; a note.

    >>> windows_characters(["It\x92s"], ["u1"])[0]
    ['It’s']
    """
    mended = [_CONTROLS.sub(_as_windows, text) for text in texts]
    names = [own for own, a, b in zip(ids, texts, mended, strict=True) if a != b]
    what = "with Windows' (cp1252) characters inside UTF-8 mended"
    return mended, [counted(names, "transcript", what)] if names else []


def _as_windows(found: re.Match[str]) -> str:
    """The character of a byte in cp1252; five bytes stand for none there and stay as they are."""
    return found[0].encode("latin-1").decode("cp1252", "ignore") or found[0]


def spreadsheet_faults(columns: Mapping[str, Sequence[Any]]) -> list[str]:
    """Ids that a spreadsheet took for formulas or numbers: they are lost, a fault a column."""
    faults = []
    for name, cells in columns.items():
        broken = [str(cell) for cell in cells if _SPREADSHEET.fullmatch(str(cell).strip())]
        if broken:
            faults.append(
                f"column '{name}': {count(len(broken), 'id')} spoilt by a spreadsheet, such as "
                f"{show(broken[0])}; take the table as it was published, and do not save it again"
            )
    return faults
