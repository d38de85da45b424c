"""The list of all extractors, for the command line and the README: made from the registry."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..cache.errors import AffectflowError
from ..cache.records import FeatureSpec
from .base import ANY, Extractor, Needs
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
        modality: ``text``, ``audio``, ``vision``, ``marks``; ``any`` where it follows from what is
            read.
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
    order = ("text", "audio", "vision", "marks", ANY)
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
    columns, rate = kind.sizes, kind.rows
    spec = None if columns and rate else default_spec(kind)  # which may load a large library
    if spec is not None:
        main = spec["values"]
        columns = columns or " x ".join(map(str, main.shape))
        rate = rate or ("" if main.hop is None else f"{1 / main.hop:.4g} Hz")
    return Row(kind.name, kind.modality, columns, rate, kind.licence, kind.paper)


def about(kind: type[Extractor]) -> list[tuple[str, str]]:
    """What is to be known of an extractor beside its docstring, each under its head."""
    needs = _needs(kind)
    told = [
        ("reads", ", ".join(_reads(needs))),
        ("fills", " and ".join(f"'{role}'" for role in _roles(kind))),
        ("recipe", _recipe_line(kind, needs)),
        ("paper", kind.paper),
        ("licence", kind.licence),
    ]
    return [(head, text) for head, text in told if text]


def _needs(kind: type[Extractor]) -> Needs:
    """What is read at the default settings; nothing where that follows from a model or a choice."""
    given = {name: "..." for name, default in settings(kind) if default == NEEDED}
    try:
        return kind(**given).needs
    except AffectflowError:
        return Needs()


def _reads(needs: Needs) -> Iterator[str]:
    if needs.audio:
        yield f"sound at {needs.audio} Hz"
    if needs.frames:
        yield f"pictures, {needs.frames:g} a second"
    if needs.text:
        yield "the transcript"
    for role in needs.features:
        yield "the features of any node" if role == ANY else f"a node that fills '{role}'"


def _roles(kind: type[Extractor]) -> tuple[str, ...]:
    """Roles that its features can fill for other extractors."""
    found = kind.provides
    return tuple(filter(None, (found,) if isinstance(found, str) else found))


def _recipe_line(kind: type[Extractor], needs: Needs) -> str:
    """A node of a recipe with what must be given, in capitals."""
    given = [f"{name}: {name.upper()}" for name, default in settings(kind) if default == NEEDED]
    roles = [f"{role}: NODE" for role in needs.features]
    on = [f"on: {{{', '.join(roles)}}}"] if roles else []
    return f"name: {{{', '.join([f'extract: {kind.name}', *given, *on])}}}"


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
