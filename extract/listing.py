"""The list of all extractors, for the command line and the README: made from the registry."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from ..cache.errors import AffectflowError
from ..cache.records import FeatureSpec
from .base import ANY, Extractor
from .registry import EXTRACTORS, extractor_class

#: Column names printed in full up to this many; of more, the first and the last.
SHOWN = 100
#: Stands for the default of a setting that must be given.
NEEDED = "(needed)"
#: Heads of the table.
HEADS = ("extractor", "modality", "columns", "rows", "licence note", "paper")


@dataclass(frozen=True)
class Row:
    """One extractor, in words.

    Args:
        name: registry name.
        modality: ``text``, ``audio``, ``vision``; ``any`` where it follows from what is read.
        columns: how many, at the default settings.
        rate: rows a second, or what there is a row for.
        licence: a restriction on the use of what computes; empty: there is none.
        paper: what to cite.
    """

    name: str
    modality: str
    columns: str
    rate: str
    licence: str
    paper: str


def table() -> list[Row]:
    """One row for each extractor, by modality and name."""
    order = ("text", "audio", "vision", ANY)
    rows = [_row(extractor_class(name)) for name in EXTRACTORS]
    return sorted(rows, key=lambda row: (order.index(row.modality), row.name))


def markdown() -> str:
    """The table as it stands in the README."""
    lines = ["| " + " | ".join(HEADS) + " |", "|" + "---|" * len(HEADS)]
    for row in table():
        name, *cells = dataclasses.astuple(row)
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _row(kind: type[Extractor]) -> Row:
    spec = default_spec(kind)
    columns, rate = kind.sizes, kind.rows
    if spec is not None:
        main = spec["values"]
        columns = columns or " x ".join(map(str, main.shape))
        rate = rate or ("" if main.hop is None else f"{1 / main.hop:.4g} Hz")
    return Row(kind.name, kind.modality, columns, rate, kind.licence, kind.paper)


def settings(kind: type[Extractor]) -> list[tuple[str, object]]:
    """Each setting and its default; ``NEEDED`` where it has none."""
    fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(kind)  # type: ignore[arg-type]
    missing = dataclasses.MISSING
    return [(f.name, NEEDED if f.default is missing else f.default) for f in fields]


def default_spec(kind: type[Extractor]) -> FeatureSpec | None:
    """The arrays of an extractor at its default settings; None where it cannot be without some."""
    if any(default == NEEDED for _, default in settings(kind)):
        return None
    try:
        return kind().spec
    except AffectflowError:  # it follows from the node that it reads
        return None


def arrays(spec: FeatureSpec) -> list[tuple[str, str, str, str]]:
    """Name, dtype, shape of a row and names of the columns of each array, in words."""
    found = []
    for name, part in spec.items():
        shown = part.columns
        if len(shown) > SHOWN:
            shown = (
                *shown[: SHOWN // 2],
                f"... {len(shown) - SHOWN} more ...",
                *shown[-SHOWN // 2 :],
            )
        found.append((name, part.dtype, " x ".join(map(str, part.shape)), ", ".join(shown)))
    return found
