"""Commands that list what there is: recipes, extractors, models."""

from __future__ import annotations

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
def recipes() -> None:
    """List the recipes that come with affectflow."""
    from .console import show_rows
    from .recipe import load_recipe, shipped

    loaded = [load_recipe(name) for name in shipped()]
    show_rows(
        ("recipe", "nodes", "about"),
        [
            (
                r.name,
                len(r.workflow.nodes),
                r.workflow.about.get("paper") or r.workflow.about["about"],
            )
            for r in loaded
        ],
    )


@click.command()
@click.argument("name", required=False, shell_complete=complete(_extractor_names))
def extractors(name: str | None) -> None:
    """List all extractors, or one with its settings and what it makes."""
    from ..extract.base import settings_table
    from ..extract.registry import EXTRACTORS, extractor_class
    from .console import OUT, show_rows

    if name is None:
        kinds = [extractor_class(known) for known in EXTRACTORS]
        show_rows(
            ("extractor", "modality", "what"),
            [(k.name, k.modality, (k.__doc__ or "").split("\n")[0]) for k in kinds],
        )
        return
    kind = extractor_class(name)
    OUT.print((kind.__doc__ or "").strip(), highlight=False)
    show_rows(("setting", "default"), settings_table(kind).items())


@click.command()
@click.argument("name", required=False, shell_complete=complete(_model_names))
def models(name: str | None) -> None:
    """List all models, or one with its settings and those of its training."""
    from ..train.registry import MODELS, settings_table
    from ..train.training import Training
    from .console import OUT, show_rows

    if name is None:
        show_rows(
            ("model", "what"),
            [(key, (e.settings.__doc__ or "").split("\n")[0]) for key, e in MODELS.items()],
        )
        return
    rows = settings_table(name).items()
    for explained in (MODELS[name].settings, Training):
        OUT.print(f"{inspect.getdoc(explained)}\n", highlight=False)
    show_rows(("setting", "default"), rows)
