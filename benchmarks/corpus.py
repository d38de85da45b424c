"""Time to read, check, digest, iterate, write and read again a large corpus.

The table is a CSV in the folder layout of CH-SIMS whose clips are not there: looking for them costs
the same as finding them, and the check must list a million faults without taking long over it.

    python benchmarks/corpus.py [--rows 1000000] [--folder DIR]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from affectflow.cache.corpus import Corpus
from affectflow.extract.corpora import read_corpus

CLIPS = 20  # a video


def make_table(path: Path, n_rows: int) -> None:
    labels = np.random.default_rng(0).uniform(-1, 1, n_rows).round(1).tolist()
    with path.open("w", encoding="utf-8") as file:
        file.write("video_id,clip_id,text,label,label_T,label_A,label_V,annotation,mode\n")
        for i, label in enumerate(labels):
            video = i // CLIPS
            split = ("train", "train", "train", "valid", "test")[video % 5]
            file.write(
                f"video_{video:06},{i % CLIPS:04},sentence number {i},"
                f"{label},{label},,{label},Positive,{split}\n"
            )


def timed(name: str, work: Callable[[], Any]) -> Any:
    start = time.perf_counter()
    done = work()
    print(f"figure corpus_{name} = {time.perf_counter() - start:.3g} s", flush=True)
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        folder = Path(place)
        make_table(folder / "label.csv", options.rows)
        import pandas  # noqa: F401  # its import is not what is measured here
        import pyarrow.parquet  # noqa: F401

        corpus = timed("read_csv", lambda: read_corpus("ch-sims", folder))
        faults = timed("check", lambda: corpus.check(training=True))
        timed("check_without_media", lambda: corpus.check(media=False))
        timed("digest", corpus.digest)
        timed("iterate", lambda: sum(1 for _ in corpus))
        path = timed("write", lambda: corpus.write(folder))
        again = timed("read", lambda: Corpus.read(folder))
        print(f"figure corpus_file = {path.stat().st_size / options.rows:.3g} bytes/row")
        print(f"figure corpus_rows = {len(again)} rows")
    if again.digest() != corpus.digest() or len(faults.errors) != 1:
        raise SystemExit(f"the corpus came back changed, or has other faults: {faults}")


if __name__ == "__main__":
    main()
