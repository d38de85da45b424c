"""What is told of a recipe in a list: paper, corpora, nodes, and the scores expected of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .corpora import SEVERAL
from .measured import Line, Reproduction, published_on
from .printed import blocks_of
from .published_tables import papers, tables_of
from .variants import variants_of


def facts_of(recipe: str, source: Mapping[str, Any]) -> dict[str, str]:
    """Facts of a recipe by what they are; those that it has not are empty.

    Args:
        recipe: its name.
        source: as it is written.
    """
    tables, variants = expected(recipe), len(variants_of(source))
    numbers = ", ".join(found.called for found in tables)
    return {
        "paper": text_of(source, "paper"),
        "about": "" if "paper" in source else text_of(source, "about"),
        "corpora": corpora_of(recipe, source),
        "nodes": f"{len(source['nodes'])}: {', '.join(source['nodes'])}",
        "variants": f"{variants}: affectflow recipes {recipe}" if variants else "",
        "expected": "\n".join(_scores(tables)),
        "reproduces": f"{numbers}: affectflow reproduce {tables[0].paper} NUMBER" if tables else "",
    }


def text_of(source: Mapping[str, Any], key: str) -> str:
    """A text of a recipe on one line; empty where it has none."""
    return " ".join(str(source.get(key, "")).split())


def corpora_of(recipe: str, source: Mapping[str, Any]) -> str:
    """What a recipe runs on: the corpora that its paper measured on, and those that it names."""
    published = dict.fromkeys(
        published_on(found.table, line) for found in expected(recipe) for line in found.lines
    )
    told = [", ".join(published)] if published else []
    own = source.get("corpus") or {}
    if SEVERAL in own:
        told.append(
            f"given as {', '.join(f'corpus.{SEVERAL}.{name}.root' for name in own[SEVERAL])}"
        )
    elif "root" in own or "kind" in own:
        told.append(f"its own: {own.get('root', own.get('kind'))}")
    else:
        told.append("given by --corpus FOLDER")
    return "; ".join(told)


def expected(recipe: str) -> list[Reproduction]:
    """Rows of published tables that a recipe measures, a table each."""
    return [
        Reproduction(paper, number, table, [Line(row) for row in mine])
        for paper in papers()
        for number, table in tables_of(paper).items()
        if (mine := [row for row in table.ours if row.recipe == recipe])
    ]


def _scores(tables: list[Reproduction]) -> Iterator[str]:
    """What a paper printed of the recipe as it stands: of each corpus, the first table's rows."""
    seen: dict[str, str] = {}
    for found in tables:
        for row in (row for block in blocks_of(found) for row in block.rows):
            printed, corpus = row.line.row.published, published_on(found.table, row.line)
            if row.line.row.variant or not printed:
                continue
            if seen.setdefault(corpus, found.number) == found.number:
                cells = zip(found.table.metrics, row.cells, strict=True)
                scores = ", ".join(
                    f"{heading} {'/'.join(map(str, cell))}"
                    for heading, cell in cells
                    if printed.get(heading) is not None
                )
                yield f"{row.name} on {corpus} ({found.called}): {scores}"
