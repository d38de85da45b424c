"""Word times that other tools wrote: TextGrid, CTM, tables of words, GRID's alignments."""

from __future__ import annotations

import codecs
import csv
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...cache.errors import BadInput

#: What aligners write where nobody speaks a word; case does not count.
SILENCE = frozenset(
    ["", "sil", "sp", "pau", "silence", "#", "<eps>", "<sil>", "<silence>", "<p:>"]
    + ["{sl}", "{ns}", "{br}", "{cg}", "{lg}"]
)
#: GRID counts in samples of 25 kHz.
GRID_RATE = 25_000
#: Names of a TextGrid's tier of words, best first; a speaker may stand before them ("A - words").
WORD_TIERS = ("words", "word", "ort-mau", "ort")
#: The header of a table lies within so many bytes.
HEADER_BYTES = 1 << 16
#: A file of word times beyond this is not one.
MAX_BYTES = 256 << 20


@dataclass(frozen=True)
class Word:
    """A word with its start and end in seconds."""

    text: str
    start: float
    end: float


def read_words(path: Path, tier: str = "") -> dict[str, list[Word]]:
    """The words of a file by utterance, in order of time, silence left out.

    Formats go by the suffix: ``.TextGrid`` (Praat's long and short text form, UTF-8 or UTF-16),
    ``.ctm`` (utterance, channel, start, duration, word), ``.csv`` and ``.tsv`` (columns ``word``,
    ``start``, ``end``, perhaps ``id``), ``.align`` (start, end, word in 1/25000 s).

    Args:
        path: the file.
        tier: name of a TextGrid's tier; empty: the one that is called after words, or the only
            one.

    Returns:
        Utterance to words; files of one utterance have the key ``""``.

    Raises:
        BadInput: the file is not what its suffix says; the line or tier is named.
        OSError: it cannot be read.
    """
    if path.stat().st_size > MAX_BYTES:
        raise BadInput(f"{path}: more than {MAX_BYTES >> 20} MiB, which is no file of word times")
    read = READERS[path.suffix.lower()]
    try:
        found = read(_text(path.read_bytes()), tier)
    except (BadInput, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path}: {error}") from error
    return {name: _in_order(path, words) for name, words in found.items()}


def _text(data: bytes, errors: str = "strict") -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors)
    return data.decode("utf-8-sig", errors)


def _in_order(path: Path, words: Sequence[Word]) -> list[Word]:
    last = -math.inf
    for word in words:
        if not (math.isfinite(word.start) and word.start <= word.end < math.inf):
            raise BadInput(
                f"{path}: the word '{word.text}' lasts from {word.start:g} to {word.end:g} s"
            )
        if word.start < last:
            raise BadInput(
                f"{path}: the word '{word.text}' starts at {word.start:g} s, before the one that "
                "stands before it"
            )
        last = word.start
    return [word for word in words if word.text.strip().casefold() not in SILENCE]


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadInput(f"{where}: '{text}' is not a number") from None


def read_text_grid(text: str, tier: str) -> dict[str, list[Word]]:
    """Praat's TextGrid: long and short form hold the same values in the same order.

    Source:
        Boersma and Weenink, Praat manual, "TextGrid file formats".
    """
    values = _values(text)
    if next(values, None) not in ("ooTextFile", "ooTextFile short") or next(values) != "TextGrid":
        raise BadInput("not a TextGrid in Praat's text form")
    try:
        tiers = _tiers(values)
    except (StopIteration, ValueError, TypeError):
        raise BadInput("the TextGrid is cut off or damaged") from None
    return {"": tiers[_tier_name(tiers, tier)]}


def _values(text: str) -> Iterator[str | float]:
    """Texts in quotes and free-standing numbers; all else is there for people."""
    pattern = r'"((?:[^"]|"")*)"|(?<![\w\[.])([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?![\w\]])'
    for match in re.finditer(pattern, text):
        quoted, number = match.groups()
        yield quoted.replace('""', '"') if number is None else float(number)


def _tiers(values: Iterator[str | float]) -> dict[str, list[Word]]:
    """Tiers of intervals by name; tiers of points are passed over."""
    next(values), next(values)  # the whole grid's start and end
    tiers: dict[str, list[Word]] = {}
    for _ in range(_whole(next(values))):
        kind, name = next(values), str(next(values))
        if kind not in ("IntervalTier", "TextTier"):
            raise ValueError(kind)
        next(values), next(values)
        marks = []
        for _ in range(_whole(next(values))):
            start = float(next(values))
            end = float(next(values)) if kind == "IntervalTier" else start
            marks.append(Word(str(next(values)).strip(), start, end))
        if kind == "IntervalTier":
            tiers.setdefault(name, marks)
    return tiers


def _whole(value: str | float) -> int:
    if isinstance(value, str) or value != int(value):
        raise ValueError(value)
    return int(value)


def _tier_name(tiers: Mapping[str, Sequence[Word]], wanted: str) -> str:
    names = ", ".join(f"'{name}'" for name in tiers) or "none"
    if wanted:
        if wanted not in tiers:
            raise BadInput(f"there is no tier of intervals '{wanted}' (there are: {names})")
        return wanted
    for known in WORD_TIERS:
        found = [name for name in tiers if name.casefold().split(" - ")[-1].strip() == known]
        if len(found) == 1:
            return found[0]
    if len(tiers) == 1:
        return next(iter(tiers))
    raise BadInput(f"which tier of intervals holds the words? Set tier to one of {names}")


def read_ctm(text: str, tier: str) -> dict[str, list[Word]]:
    """NIST's time marked conversation: utterance, channel, start, duration, word, confidence.

    Source:
        NIST, SCTK manual, "ctm - Definition of time marked conversation scoring input".
    """
    found: dict[str, list[Word]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        parts = line.split()
        if not parts or line.startswith(";;"):
            continue
        if len(parts) not in (5, 6):
            raise BadInput(f"line {number} has {len(parts)} fields, a line of CTM has 5 or 6")
        start, length = (_number(part, f"line {number}") for part in parts[2:4])
        found.setdefault(parts[0], []).append(Word(parts[4], start, start + length))
    return found


def holds_words(path: Path) -> bool:
    """Whether a file among others is one of word times; a table is by its column ``word``.

    Raises:
        OSError: it cannot be read.
    """
    if READERS[path.suffix.lower()] is not read_table:
        return True
    with path.open("rb") as file:
        return "word" in _table(_text(file.read(HEADER_BYTES), "replace"))[1]


def _table(text: str) -> tuple[csv.DictReader[str], list[str]]:
    """Rows of a table, and the names of its columns in lower case."""
    header = text.split("\n", 1)[0]
    rows = csv.DictReader(text.splitlines(), delimiter="\t" if "\t" in header else ",")
    return rows, [name.strip().casefold() for name in rows.fieldnames or ()]


def read_table(text: str, tier: str) -> dict[str, list[Word]]:
    """A table with a header: columns ``word``, ``start``, ``end`` in seconds, perhaps ``id``."""
    rows, names = _table(text)
    missing = [name for name in ("word", "start", "end") if name not in names]
    if missing:
        raise BadInput(
            f"the table has no column {' and no '.join(repr(name) for name in missing)} "
            f"(its header: {text.partition(chr(10))[0].strip()[:80]!r})"
        )
    rows.fieldnames = names
    found: dict[str, list[Word]] = {}
    for row in rows:
        where = f"line {rows.line_num}"
        if None in row or None in row.values():
            raise BadInput(f"{where} has another number of fields than the header")
        times = (_number(row[name], where) for name in ("start", "end"))
        found.setdefault(row.get("id", "").strip(), []).append(Word(row["word"].strip(), *times))
    return found


def read_align(text: str, tier: str) -> dict[str, list[Word]]:
    """GRID's alignments: start, end, word in 1/25000 s.

    Source:
        Cooke et al. (2006), "An audio-visual corpus for speech perception and automatic speech
        recognition", JASA 120(5).
    """
    words = []
    for number, line in enumerate(text.splitlines(), 1):
        parts = line.split()
        if not parts:
            continue
        if len(parts) != 3:
            raise BadInput(f"line {number} has {len(parts)} fields, not start, end and word")
        start, end = (_number(part, f"line {number}") / GRID_RATE for part in parts[:2])
        words.append(Word(parts[2], start, end))
    return {"": words}


#: Suffix in lower case -> how such a file is read.
READERS: dict[str, Callable[[str, str], dict[str, list[Word]]]] = {
    ".align": read_align,
    ".csv": read_table,
    ".ctm": read_ctm,
    ".textgrid": read_text_grid,
    ".tsv": read_table,
}
