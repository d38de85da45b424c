"""Whole cost of an extractor that does nothing: schedule, digest look-up, shard, index.

A hundred thousand utterances, each with a media file of its own (a few bytes, digested once before
the clock starts, as a second run would find them), through the real driver and dask workers.

    python benchmarks/overhead.py [--utterances 100000] [--workers 2] [--scheduler processes]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from affectflow.cache.corpus import Corpus
from affectflow.cache.digests import default_memory, digest_files
from affectflow.cache.records import ArraySpec, Features, FeatureSpec, no_times
from affectflow.extract.base import Extractor, Needs
from affectflow.extract.clip import Clip
from affectflow.workflows.corpora import CorpusSpec
from affectflow.workflows.graph import Workflow
from affectflow.workflows.nodes import Extract
from affectflow.workflows.recipe import Recipe
from affectflow.workflows.run import run

NOTHING = Features(np.zeros((1, 1), np.float32), no_times(1))


@dataclass(frozen=True)
class Nothing(Extractor):
    """One zero an utterance; the media are named but not opened."""

    name: ClassVar[str] = "nothing"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "audio"

    @property
    def needs(self) -> Needs:
        """Sound, so that the media are digested."""
        return Needs(audio=16000)

    @property
    def spec(self) -> FeatureSpec:
        """One column."""
        return {"values": ArraySpec((1,))}

    def extract(self, clip: Clip) -> Features:
        """The same for everybody."""
        return NOTHING


def main() -> None:
    """Make the files, run, print the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--utterances", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--scheduler", default="processes")
    asked = parser.parse_args()
    n = asked.utterances
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/xdg"
        media = [f"{folder}/media/{i % 100}/{i}" for i in range(n)]
        for i, path in enumerate(media):
            if i < 100:
                os.makedirs(os.path.dirname(path))
            Path(path).write_bytes(b"%d" % i)
        time.sleep(2.1)  # files changed in the last two seconds are not remembered
        columns = {"id": [str(i) for i in range(n)], "media": media}
        Corpus.from_columns(columns, name="nothing").write(f"{folder}/corpus.parquet")
        begin = time.perf_counter()
        digest_files(media, default_memory())
        digest = time.perf_counter() - begin
        workflow = Workflow("nothing", [Extract("nothing", Nothing())])
        recipe = Recipe("nothing", workflow, CorpusSpec(folder), {})
        begin = time.perf_counter()
        done = run(recipe, f"{folder}/cache", scheduler=asked.scheduler, workers=asked.workers)
        seconds = time.perf_counter() - begin
        assert done.made == {"nothing": n}, done.made
        begin = time.perf_counter()
        run(recipe, f"{folder}/cache", scheduler=asked.scheduler, workers=asked.workers)
        again = time.perf_counter() - begin
    print(f"figure utterances = {n} 1")
    print(f"figure first_digest = {digest / n * 1e3:.4f} ms/utterance")
    print(f"figure overhead = {seconds / n * 1e3:.4f} ms/utterance")
    print(f"figure overhead_when_cached = {again / n * 1e3:.4f} ms/utterance")


if __name__ == "__main__":
    main()
