"""What several benchmarks time: one extractor over a corpus, from file to cached shard."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from affectflow.cache.corpus import Corpus
from affectflow.extract.base import Extractor
from affectflow.workflows.corpora import CorpusSpec
from affectflow.workflows.graph import Workflow
from affectflow.workflows.nodes import Extract
from affectflow.workflows.recipe import Recipe
from affectflow.workflows.run import run


def seconds_of(
    made: Extractor, columns: Mapping[str, Sequence[str]], folder: Path, scheduler: str = "sync"
) -> float:
    """Seconds that ``affectflow.run`` takes for one node, its cache a new one in ``folder``.

    ``columns`` are those of the corpus: ``id`` beside ``media`` or ``text``.
    """
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        Corpus.from_columns(columns, name="corpus").write(f"{scratch}/corpus.parquet")
        recipe = Recipe("one", Workflow("one", [Extract("node", made)]), CorpusSpec(scratch), {})
        begin = time.perf_counter()
        done = run(recipe, f"{scratch}/cache", scheduler=scheduler)
        seconds = time.perf_counter() - begin
    assert done.made == {"node": len(columns["id"])}, (done.made, done.failures)
    return seconds
