"""A million utterances through the real driver, which is killed on the way and goes on.

Each utterance is a segment of a media file of its own hundred, and the one node makes a zero of it:
what is seen is the whole cost of planning, look-up, tasks, shards and index, and what the driver
holds in memory. It runs in a process of its own, which a SIGKILL ends when half are made; a second
one goes on, and a third finds everything made. Then every shard is read: each key must be there,
once.

    python benchmarks/million.py [--utterances 1000000] [--workers 2] [--scheduler processes]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from overhead import Nothing

from affectflow.cache.corpus import Corpus
from affectflow.cache.layout import all_shards
from affectflow.cache.shard_file import ShardFile
from affectflow.cache.store import FeatureStore
from affectflow.workflows.corpora import CorpusSpec
from affectflow.workflows.graph import Workflow
from affectflow.workflows.nodes import Extract
from affectflow.workflows.recipe import Recipe
from affectflow.workflows.result import Reporter
from affectflow.workflows.run import run

NODE = "nothing"
SEGMENTS = 100  # of each media file
LOOKS = 20  # at the driver's memory, over the whole corpus


def make_corpus(folder: Path, n: int) -> None:
    """Media files of a few bytes, and a table of their segments."""
    media = []
    for i in range(-(-n // SEGMENTS)):
        path = folder / "media" / f"{i % 100:02d}" / f"video_{i:06d}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % i)
        media.append(str(path))
    columns: dict[str, list[Any]] = {
        "id": [f"video_{i // SEGMENTS:06d}/{i % SEGMENTS:02d}" for i in range(n)],
        "media": [media[i // SEGMENTS] for i in range(n)],
        "start": [4.0 * (i % SEGMENTS) for i in range(n)],
        "end": [4.0 * (i % SEGMENTS) + 3.5 for i in range(n)],
    }
    Corpus.from_columns(columns, name=NODE).write(folder / "corpus.parquet")
    time.sleep(2.1)  # files changed in the last two seconds are not remembered


def resident() -> int:
    """Bytes of memory that this process holds now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


class Telling(Reporter):
    """Prints how many are made and what this process holds, every now and then."""

    def __init__(self, n: int) -> None:
        self.made, self.step = 0, max(n // LOOKS, 1)

    def start(self, stage: str, total: int) -> None:
        """A stage begins."""
        if stage == NODE:
            self.advance(stage, 0)

    def advance(self, stage: str, done: int, failed: int = 0) -> None:
        """So many more are made."""
        if stage != NODE:
            return
        before, self.made = self.made, self.made + done
        if not done or before // self.step != self.made // self.step:
            print(json.dumps([self.made, resident()]), flush=True)


def drive(folder: Path, n: int, workers: int, scheduler: str) -> None:
    """The driver: run, and print what it came to."""
    recipe = Recipe(NODE, Workflow(NODE, [Extract(NODE, Nothing())]), CorpusSpec(str(folder)), {})
    begin = time.perf_counter()
    cache = folder / "cache"
    done = run(recipe, cache, scheduler=scheduler, workers=workers, reporter=Telling(n))
    own = resource.getrusage(resource.RUSAGE_SELF)
    found = {
        "made": done.made.get(NODE, 0),
        "seconds": time.perf_counter() - begin,
        "driver_cpu": own.ru_utime + own.ru_stime,
        "peak": done.spent.driver,
    }
    print(json.dumps(found), flush=True)


def driven(folder: Path, asked: argparse.Namespace, kill_at: float = float("inf")) -> Iterator[Any]:
    """What a driver in a process of its own prints; it is killed when so many are made."""
    command = [sys.executable, __file__, "--drive", str(folder), "--workers", str(asked.workers)]
    command += ["--utterances", str(asked.utterances), "--scheduler", asked.scheduler]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    for line in process.stdout:
        told = json.loads(line)
        yield told
        if isinstance(told, list) and told[0] >= kill_at:
            process.send_signal(signal.SIGKILL)
            break
    process.stdout.close()
    code = process.wait()
    if code not in (0, -signal.SIGKILL):
        raise SystemExit(f"the driver ended with {code}")


def measure(folder: Path, asked: argparse.Namespace) -> None:
    """Run, kill, go on, look again, count."""
    n = asked.utterances
    begin = time.perf_counter()
    first = list(driven(folder, asked, kill_at=n / 2))
    killed = time.perf_counter() - begin
    *told, rest = driven(folder, asked)
    *_, again = driven(folder, asked)
    assert again["made"] == 0, f"made again: {again['made']}"
    keys = [key for path in all_shards(folder / "cache") for key in ShardFile(path).keys]
    assert len(keys) == len(set(keys)) == n, f"{len(keys)} features, {len(set(keys))} distinct"
    index = FeatureStore(folder / "cache").index_path.stat().st_size
    folders = [len(files) for _, _, files in os.walk(folder / "cache" / "shards") if files]
    print(f"figure million_utterances = {n} 1")
    print(f"figure million_made_before_the_kill = {n - rest['made']} 1")
    print(f"figure million_lost_or_doubled = {n - len(keys)} 1")
    print(f"figure million_overhead = {(killed + rest['seconds']) / n * 1e3:.4f} ms/utterance")
    print(f"figure million_driver_cpu = {rest['driver_cpu'] / rest['made'] * 1e3:.4f} ms/utterance")
    print(f"figure million_when_cached = {again['seconds'] / n * 1e3:.4f} ms/utterance")
    for made, held in (first[0], first[-1], told[0], told[-1]):
        print(f"figure million_driver_memory_at_{made} = {held / 1e6:.0f} MB")
    print(f"figure million_driver_memory_at_most = {max(rest['peak'], again['peak']) / 1e6:.0f} MB")
    print(f"figure million_index = {index / n:.1f} bytes/row")
    print(f"figure million_shards = {sum(folders)} 1")
    print(f"figure million_files_per_folder = {max(folders)} 1")


def main() -> None:
    """Make the corpus and measure; or, in a process of its own, drive."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--utterances", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--scheduler", default="processes")
    parser.add_argument("--drive", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.drive is not None:
        drive(asked.drive, asked.utterances, asked.workers, asked.scheduler)
        return
    with tempfile.TemporaryDirectory() as place:
        os.environ["XDG_CACHE_HOME"] = f"{place}/xdg"
        make_corpus(Path(place), asked.utterances)
        measure(Path(place), asked)


if __name__ == "__main__":
    main()
