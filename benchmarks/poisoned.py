"""A corpus of 1,000 clips of which 200 are broken in 20 ways, one of which kills its worker.

The clips are small MP4 files (``broken_media.py``). An extractor decodes the sound and pictures of
each in dask workers, and stops its process by a segmentation fault at those of the last way, as a
decoder with a fault would. Counted are the good clips that were made, the broken ones that were
given a reason of ours, the clips that were set aside because their worker died of them, the workers
that live at the end, and how much memory workers gain from their first clips to their last.

    python benchmarks/poisoned.py [--clips 1000] [--broken 200] [--workers 2]
"""

from __future__ import annotations

import argparse
import ctypes
import os
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import ClassVar

import numpy as np
from broken_media import DEADLY, WAYS, alike, broken, clip

from affectflow.cache.corpus import Corpus
from affectflow.cache.errors import AffectflowError
from affectflow.cache.records import ArraySpec, Features, FeatureSpec, no_times
from affectflow.extract.base import Extractor, Needs
from affectflow.extract.clip import Clip
from affectflow.workflows.corpora import CorpusSpec
from affectflow.workflows.graph import Workflow
from affectflow.workflows.nodes import Extract
from affectflow.workflows.recipe import Recipe
from affectflow.workflows.result import Reporter, Run
from affectflow.workflows.run import run

#: Clips that a worker needs until it has loaded all it ever loads.
WARM = 10


@dataclass(frozen=True)
class Resident(Extractor):
    """Decodes all of a clip; says which process did it and how large that is, bytes."""

    name: ClassVar[str] = "resident"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "video"

    @property
    def needs(self) -> Needs:
        """Sound and pictures."""
        return Needs(audio=16000, frames=5.0)

    @property
    def spec(self) -> FeatureSpec:
        """One row."""
        return {"values": ArraySpec((3,), "float64", columns=("process", "time", "bytes"))}

    def extract(self, clip: Clip) -> Features:
        """Process, seconds, bytes."""
        if DEADLY in Path(clip.media or "").read_bytes():
            ctypes.string_at(0)
        clip.audio(16000)
        for _ in clip.frames(5.0):
            pass
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        size = pages * os.sysconf("SC_PAGE_SIZE")
        return Features(np.array([[os.getpid(), time.time(), size]]), no_times(1))


class Heard(Reporter):
    """Keeps what a run says to people."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """A line."""
        self.notes.append(text)


def make_corpus(folder: Path, n: int, n_broken: int, draw: Random) -> dict[str, str]:
    """Write the clips in random order; id -> the way in which it is broken, "" where it is not."""
    templates = [clip(draw) for _ in range(8)]
    ways = [list(WAYS)[i % len(WAYS)] for i in range(n_broken)] + [""] * (n - n_broken)
    draw.shuffle(ways)
    (folder / "media").mkdir()
    for i, way in enumerate(ways):
        data = templates[i % len(templates)]
        image = broken(way, data, draw) if way else alike(data, b"%d" % i)
        (folder / "media" / f"{i:04d}.mp4").write_bytes(image)
    ids = [f"{i:04d}" for i in range(n)]
    columns = {"id": ids, "media": [f"{folder}/media/{name}.mp4" for name in ids]}
    Corpus.from_columns(columns, name="poisoned").write(folder / "corpus.parquet")
    return dict(zip(ids, ways, strict=True))


def gain(values: Sequence[tuple[float, float, float]]) -> float:
    """Bytes that the workers gained, first to last quarter of their clips, of the most by one."""
    workers: dict[float, list[tuple[float, float]]] = defaultdict(list)
    for process, when, size in values:
        workers[process].append((when, size))
    gains = [0.0]
    for seen in workers.values():
        sizes = [size for _, size in sorted(seen)][WARM:]
        if len(sizes) >= 4 * WARM:
            quarter = len(sizes) // 4
            gains.append(float(np.median(sizes[-quarter:]) - np.median(sizes[:quarter])))
    return max(gains)


def tell(done: Run, ways: dict[str, str], seconds: float) -> int:
    """Print the figures; how many clips came out wrong."""
    table = done.table("resident")
    present = dict(zip(table.ids, table.present.tolist(), strict=True))
    failed = {failure.utterance: failure for failure in done.failures}
    wrong = [name for name, way in ways.items() if present[name] == bool(way)]
    wrong += [name for name, way in ways.items() if way and name not in failed]
    ours = {kind.__name__ for kind in _below(AffectflowError)} | {"WorkerDied"}
    unclear = [f for f in failed.values() if f.error not in ours or not f.message]
    deadly = {name for name, way in ways.items() if way == "crashing decoder"}
    died = {name for name, failure in failed.items() if failure.error == "WorkerDied"}
    for failure in unclear:
        print(f"{failure.utterance} ({ways[failure.utterance]}): {failure.error}")
    for name in wrong:
        print(f"{name} ({ways[name] or 'good'}): {failed.get(name, 'no reason')}")
    values = [tuple(table[i].values[0].tolist()) for i in np.flatnonzero(table.present)]
    print(f"figure clips = {len(ways)} 1")
    print(f"figure good_clips_made = {sum(present.values())} 1")
    print(f"figure broken_clips_with_a_reason = {len(failed)} 1")
    print(f"figure reasons_that_are_bugs = {len(unclear)} 1")
    print(f"figure clips_that_killed_a_worker = {len(died)} 1")
    print(f"figure innocent_clips_set_aside = {len(died - deadly)} 1")
    print(f"figure worker_processes_seen = {len({process for process, *_ in values})} 1")
    print(f"figure memory_gained = {gain(values) / 2**20:.2f} MiB")
    print(f"figure seconds = {seconds:.1f} s")
    print(*sorted(Counter(f.error for f in failed.values()).items()))
    return len(wrong) + len(unclear) + len(died ^ deadly)


def _below(kind: type) -> set[type]:
    """A class and all that are made from it."""
    return {kind}.union(*(_below(one) for one in kind.__subclasses__()))


def main() -> None:
    """Make the corpus, run, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--broken", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.environ["XDG_CACHE_HOME"] = f"{place}/xdg"
        ways = make_corpus(Path(place), asked.clips, asked.broken, Random(asked.seed))
        workflow = Workflow("poisoned", [Extract("resident", Resident())])
        recipe = Recipe("poisoned", workflow, CorpusSpec(place), {})
        heard, begin = Heard(), time.perf_counter()
        done = run(recipe, f"{place}/cache", workers=asked.workers, reporter=heard)
        wrong = tell(done, ways, time.perf_counter() - begin)
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
