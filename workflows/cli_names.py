"""Commands that list what there is: extractors, models; recipes are in ``cli_papers``."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable

import click

from .cli_options import complete


def _extractor_names(_: click.Context) -> Iterable[str]:
    from ..extract.registry import EXTRACTORS

    return EXTRACTORS


def _model_names(_: click.Context) -> Iterable[str]:
    from ..train.registry import MODELS

    return MODELS


@click.command()
@click.argument("name", required=False, shell_complete=complete(_extractor_names))
def extractors(name: str | None) -> None:
    """List all extractors, or one with its settings and what it makes."""
    from ..extract.listing import HEADS, about, arrays, default_spec, settings, table
    from ..extract.registry import extractor_class
    from .console import OUT, show_rows
    from .recipe_nodes import EXTRACT_KEYS

    if name is None:
        show_rows(HEADS, [dataclasses.astuple(row) for row in table()])
        return
    kind = extractor_class(name)
    OUT.print(f"{inspect.getdoc(kind)}\n", highlight=False, markup=False)
    for head, text in about(kind):
        OUT.print(f"{head}: {text}\n", highlight=False, markup=False)
    if settings(kind):
        show_rows(("setting", "default"), settings(kind))
    spec = default_spec(kind)
    if spec is not None:
        OUT.print()
        show_rows(("array", "dtype", "a row", "columns"), arrays(spec))
    OUT.print("\nA recipe says further of an extract:\n")
    show_rows(("key", "what"), EXTRACT_KEYS.items())


@click.command()
@click.argument("name", required=False, shell_complete=complete(_model_names))
def models(name: str | None) -> None:
    """List all models, or one with its settings and those of its training."""
    from ..train.registry import MODELS, model_class, settings_table
    from ..train.training import Training
    from .console import OUT, show_rows
    from .recipe_nodes import ENCODE_KEYS, FIT_KEYS

    if name is None:
        show_rows(
            ("model", "what"),
            [(key, (model_class(key).__doc__ or "").split("\n")[0]) for key in MODELS],
        )
        return
    rows = settings_table(name).items()
    for explained in (model_class(name), Training):
        OUT.print(f"{inspect.getdoc(explained)}\n", highlight=False)
    show_rows(("setting", "default"), rows)
    OUT.print("\nA recipe says further of a fit, and of an encode of it ({encode: FIT}):\n")
    show_rows(("key", "what"), [*FIT_KEYS.items(), *ENCODE_KEYS.items()])
