"""Run the nodes that measure one published table: each variant once, what they share made once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..cache.errors import AffectflowError, BadCall, BadInput
from ..cache.store import FeatureStore
from .measured import Line, Reproduction, line_of
from .published_tables import Row, table_of
from .recipe import Recipe, load_recipe, plain
from .result import Reporter, Run
from .run import run
from .variants import changed, overruled, written_name

#: What a row is run as: its recipe and variants.
Way = tuple[str, tuple[str, ...]]


def reproduce(
    paper: str,
    number: str,
    cache: str | Path | FeatureStore = "features",
    *,
    variants: Sequence[str] = (),
    overrides: Sequence[str] = (),
    corpus: str | Path | None = None,
    seeds: int | None = None,
    reporter: Reporter | None = None,
    **options: Any,
) -> Reproduction:
    """Run what measures the rows of a published table, and put it next to the table.

    A row that cannot be run says why; the others are run all the same.

    Args:
        paper: name of a recipe with published tables, or path of a YAML file of such.
        number: of the table.
        cache: folder of the feature store.
        variants: put beneath those of each row: the corpus' hyper-parameters, frozen encoders. A
            row whose own variants would undo them is not run.
        overrides: ``node.setting=value``, on top of each row's variants.
        corpus: folder or table to run on instead of the recipe's own corpus.
        seeds: of the fits whose scores stand in the table; None: those of the recipe.
        reporter: hears of progress.
        **options: as for ``run``.

    Raises:
        UnknownName: no paper, or no table of it, is called so.
        BadCall: the table has no row that ours measure, or none of them can be run.
        BadInput: none can, for weights that a fit cannot start from.
    """
    table = table_of(paper, number)
    if not table.ours:
        raise BadCall(f"table {number} of '{paper}' has no row that a recipe of ours measures")
    reporter = reporter or Reporter()
    done: dict[Way, Run] = {}
    whys: dict[Way, AffectflowError] = {}
    for way, rows in _ways(table.ours, variants).items():
        scored = list(dict.fromkeys(row.node for row in rows))
        wanted = list(dict.fromkeys([*scored, *(name for row in rows for name in row.timed)]))
        try:
            scored, wanted = _there(way, scored), _there(way, wanted)
            _agree(variants, way)
            recipe = _recipe(way, scored, corpus, overrides, seeds)
            done[way] = run(recipe, cache, until=wanted, reporter=reporter, **options)
        except (BadCall, BadInput) as error:
            whys[way] = error
            reporter.note(f"{_said(way)}: {error}")
    if not done:
        raise next(iter(whys.values()))
    lines = []
    for row in table.rows:
        way = _way(row, variants)
        if not row.node or way in whys:
            lines.append(Line(row, why=str(whys[way]) if row.node else ""))
        else:
            lines.append(line_of(table, row, done[way]))
    return Reproduction(paper, number, table, lines)


def _ways(rows: Sequence[Row], variants: Sequence[str]) -> Mapping[Way, list[Row]]:
    """Rows by what they are run as, in order."""
    found: dict[Way, list[Row]] = {}
    for row in rows:
        found.setdefault(_way(row, variants), []).append(row)
    return found


def _way(row: Row, variants: Sequence[str]) -> Way:
    """Variants of the row that were asked for too stay where the row has them."""
    beneath = (name for name in dict.fromkeys(variants) if name not in row.variant)
    return row.recipe, (*beneath, *row.variant)


def _agree(asked: Sequence[str], way: Way) -> None:
    """See that a row keeps what was asked for.

    Raises:
        BadCall: its own variants undo some of it, so that it would be measured without.
    """
    recipe, variants = way
    split = next((i for i, name in enumerate(variants) if name not in asked), len(variants))
    undone = overruled(plain(recipe), variants[:split], variants[split:])
    if undone:
        raise BadCall(f"what was asked for does not go with this row: {'; '.join(undone)}")


def _said(way: Way) -> str:
    return " ".join([way[0], *(f"--variant {name}" for name in way[1])])


def _there(way: Way, nodes: Sequence[str]) -> list[str]:
    """Those of some nodes that are left by the variants of a way.

    Raises:
        BadCall: none is.
    """
    written = changed(plain(way[0]), way[0], way[1])["nodes"]
    left = [name for name in nodes if written_name(name, written) in written]
    if not left:
        raise BadCall(f"its variants leave out {', '.join(nodes)}")
    return left


def _recipe(
    way: Way,
    nodes: Sequence[str],
    corpus: str | Path | None,
    overrides: Sequence[str],
    seeds: int | None,
) -> Recipe:
    """What measures some rows, with as many seeds as were asked for."""
    if seeds is not None:
        written = changed(plain(way[0]), way[0], way[1])["nodes"]
        names = dict.fromkeys(written_name(name, written) for name in nodes)
        overrides = [*overrides, *(f"{name}.seeds={seeds}" for name in names)]
    return load_recipe(way[0], overrides, corpus, way[1])
