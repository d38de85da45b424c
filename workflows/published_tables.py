"""Tables that papers print, and which of our nodes measures each of their rows.

One file a paper, ``published/PAPER.yaml``::

    tables:
      "4":
        title: Modality subsets on CH-SIMS v2
        corpus: CH-SIMS v2                # what the numbers were measured on
        note: one sentence on the table, where there is something to know
        family: mag                       # where metrics of these names differ between families
        metrics: {Acc-2: Acc2, F1: F1_predweighted, MAE: MAE}   # heading -> ours (affectflow names)
        percent: [Acc-2, F1]              # headings whose numbers are printed times 100
        rows:
          - {name: T, variant: subsets, node: sf_T, task: M, published: {Acc-2: 80.1, MAE: 0.3}}
          - {name: Self-MM, published: {Acc-2: 80.0}}       # printed beside, run by nobody

A heading may stand for two of our metrics, as ``Acc-2: [Acc2_has0, Acc2_non0]``; its numbers are
then lists too. ``seconds`` is the time of an epoch of one seed, of the row's node and those that
are ``timed`` with it. A row's ``variant`` may be a list, its ``recipe`` another one than the
paper's, its ``corpus`` another one than the table's; ``group`` names the block it stands in.

``elsewhere: {"12": ...}`` says of tables that hold no scores (examples, drawings) where ours are.

Tables of your own lie in such a file too, which is named by its path; ``recipe: NAME`` at its top
says whose nodes measure them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Annotated, Any

import pydantic

from ..cache.errors import BadCall, BadRecipe, unknown
from ..train.metrics import FAMILIES
from .recipe import MAX_BYTES
from .safe_yaml import load_yaml, named_text, shipped_in

#: Time of an epoch of one seed.
SECONDS = "seconds"
#: Metrics of one class: ``F1_happy``.
OF_A_CLASS = re.compile("(F1|WA)_[a-z]+")


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], pydantic.BeforeValidator(_listed)]
#: A published number, several of one heading, or None where the paper has a dash.
Number = float | tuple[float | None, ...] | None


class Row(pydantic.BaseModel):
    """One row of a published table.

    Args:
        name: as the paper prints it.
        group: the block of rows it stands in; empty: none.
        recipe: whose node measures it; left out: the paper's.
        variant: variants of that recipe, in order.
        node: the fit that measures it; empty: none of ours does.
        task: of the fit, whose scores are meant.
        timed: nodes whose epochs count towards the row's ``seconds``, beside its own.
        corpus: what its numbers were measured on; empty: the table's.
        published: heading -> number.
        note: a sentence on it.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    name: str
    group: str = ""
    recipe: str = ""
    variant: Names = ()
    node: str = ""
    task: str = "M"
    timed: tuple[str, ...] = ()
    corpus: str = ""
    published: dict[str, Number] = {}
    note: str = ""


class Table(pydantic.BaseModel):
    """One published table.

    Args:
        title: what it is about.
        corpus: what its numbers were measured on, as the paper calls it.
        family: of its metrics, where another family has other ones of the same names.
        metrics: heading -> our metrics.
        percent: headings whose numbers are printed times 100.
        rows: in the paper's order.
        note: a sentence on the whole.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    title: str
    corpus: str
    family: str = ""
    metrics: dict[str, Names]
    percent: tuple[str, ...] = ()
    rows: tuple[Row, ...]
    note: str = ""

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Table:
        if self.family:
            _known("metric family", self.family, FAMILIES)
        known = metric_names()
        for heading, names in self.metrics.items():
            for name in names:
                if not OF_A_CLASS.fullmatch(name):
                    _known(f"metric of heading '{heading}'", name, known)
        for heading in self.percent:
            _known("heading in 'percent'", heading, self.metrics)
        for row in self.rows:
            for heading, number in row.published.items():
                _known(f"heading in row '{row.name}'", heading, self.metrics)
                n = len(self.metrics[heading])
                if isinstance(number, tuple) and len(number) != n:
                    raise ValueError(
                        f"row '{row.name}', '{heading}': {len(number)} numbers for {n} metric(s)"
                    )
            if row.variant and not row.node:
                raise ValueError(f"row '{row.name}' has a variant, and no node that measures it")
        return self

    @property
    def corpora(self) -> tuple[str, ...]:
        """Names of the corpora that its numbers were measured on, as the paper calls them."""
        return tuple(dict.fromkeys(row.corpus or self.corpus for row in self.rows))

    @property
    def ours(self) -> tuple[Row, ...]:
        """Rows that a node of ours measures."""
        return tuple(row for row in self.rows if row.node)


class _File(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    recipe: str = ""
    tables: dict[str, Table]
    elsewhere: dict[str, str] = {}


def papers() -> tuple[str, ...]:
    """Recipes with published tables, sorted."""
    return shipped_in("published")


def tables_of(paper: str) -> Mapping[str, Table]:
    """Tables of a paper by number, in the paper's order.

    Args:
        paper: name of a recipe with published tables, or path of a YAML file.

    Raises:
        UnknownName: no paper is called so.
        BadRecipe: its file is not what it should be; the message says where.
    """
    return read_tables(_text(paper), paper)


def elsewhere(paper: str) -> Mapping[str, str]:
    """Tables and figures of a paper that hold no scores, and where ours are.

    Raises:
        UnknownName: no paper is called so.
        BadRecipe: as ``tables_of``.
    """
    return _read(_text(paper), paper).elsewhere


def _text(paper: str) -> str:
    return named_text("paper with published tables", "published", paper, MAX_BYTES)


def read_tables(text: str, where: str) -> Mapping[str, Table]:
    """Published tables from YAML text, by number; each row of ours says which recipe's it is.

    Raises:
        BadRecipe: with every fault and the place of each.
    """
    file = _read(text, where)
    return {number: _whose(table, file.recipe or where) for number, table in file.tables.items()}


@lru_cache(maxsize=32)
def _read(text: str, where: str) -> _File:
    """A file's tables; one text is read once, as a list of recipes asks for all of them anew."""
    try:
        return _File.model_validate(load_yaml(text, f"published tables '{where}'"))
    except pydantic.ValidationError as error:
        told = [
            f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()
        ]
        listed = "\n".join(f"  {i}. {fault}" for i, fault in enumerate(told, 1))
        raise BadRecipe(
            f"published tables '{where}' have {len(told)} fault(s):\n{listed}"
        ) from error


def _whose(table: Table, recipe: str) -> Table:
    rows = tuple(
        row.model_copy(update={"recipe": row.recipe or recipe}) if row.node else row
        for row in table.rows
    )
    return table.model_copy(update={"rows": rows})


def table_of(paper: str, number: str) -> Table:
    """One table of a paper.

    Raises:
        UnknownName: no paper, or none of its tables, is called so.
        BadCall: it holds no scores; the message says where ours is.
    """
    found, others = tables_of(paper), elsewhere(paper)
    if number in others:
        raise BadCall(f"table {number} of '{paper}' holds no scores: {others[number]}")
    if number not in found:
        raise unknown(f"table of '{paper}'", number, found)
    return found[number]


def metric_names() -> frozenset[str]:
    """Every name that a metric of ours can have, those of single classes apart."""
    import numpy as np

    ends = np.array([-1.0, 1.0])
    found = {name for family in FAMILIES.values() for name in family(ends, ends)}
    return frozenset({*found, "CCC", "R2", "Acc", "MacroF1", "UAR", "WA", SECONDS})


def _known(what: str, name: str, known: Iterable[str]) -> None:
    """Refuse what is not known, as pydantic wants to hear it."""
    if name not in known:
        raise ValueError(str(unknown(what, name, known)))
