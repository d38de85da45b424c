"""The commands under ``affectflow corpus``: take corpora in, look at them."""

from __future__ import annotations

import click

from .cli_corpus_annotate import corpus_annotate
from .cli_corpus_import import corpus_import
from .cli_corpus_look import corpus_check, corpus_merge, corpus_show
from .cli_options import CommandGroup


@click.group(name="corpus", cls=CommandGroup)
def corpus_group() -> None:
    """Take corpora in, as they lie on disk; look at them, put them together."""


for command in (corpus_import, corpus_show, corpus_check, corpus_merge, corpus_annotate):
    corpus_group.add_command(command)
