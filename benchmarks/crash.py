"""SIGKILL at random moments of extraction and training, then run again: nothing lost or doubled.

Each round runs the demo corpus into an empty cache, kills one process at a random moment, runs the
same once more, and compares every feature and every model with those of an undisturbed run at the
same number of threads, bit for bit. ``cache gc`` must leave no temporary file, ``cache verify``
must find no damage. A round whose run was over before anybody could be killed is done again.

The moment is drawn from extraction in one round and from training in the next: the work is watched
in the cache, and the kill comes as long after it began as chance says. Workers are started beside
the run (``dask worker``), each below a nanny of its own, so that the victim may be the driver, a
worker or a nanny; in every eighth round the run has workers of its own instead. Runs start from a
process that has loaded every library: what is tested is the work, not the loading.

    python benchmarks/crash.py [--rounds 20] [--utterances 24] [--seed 0]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Self

import psutil
from store_content import Content, content, same

from affectflow.cache import checkpoints
from affectflow.cache.garbage import collect
from affectflow.cache.index import cache_folder
from affectflow.cache.names import PART
from affectflow.cache.verify import verify

RECIPE = """
name: crash
corpus: {kind: demo, root: ROOT/demo, n: N}
nodes:
  text: {extract: vader}
  sound: {extract: librosa-33}
  f: {fit: unimodal, on: [sound], tasks: [M], seeds: 4, epochs: 40, patience: 40}
  h: {encode: f}
"""
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
#: In every so many-th round the run has workers of its own.
OWN = 8
KINDS = ("extract", "fit", "encode")
STAGES = ("extraction", "training")
SERVER = get_context("forkserver")
LOADED = ("affectflow.workflows.run", "distributed", "librosa", "pandas", "torch")


def drive(recipe: Path, cache: Path, address: str, kinds: tuple[str, ...]) -> None:
    """What ``affectflow run`` does but for the report; what it says goes to a file."""
    log = os.open(recipe.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    from affectflow.workflows.run import run

    raise SystemExit(not run(recipe, cache, kinds=kinds, scheduler=address, workers=2).ok)


def start(
    folder: Path, cache: Path, address: str, kinds: tuple[str, ...] = KINDS
) -> ForkServerProcess:
    """A run of the recipe; on two workers of its own, or on those at an address."""
    run = SERVER.Process(target=drive, args=(folder / "crash.yaml", cache, address, kinds))
    run.start()
    return run


class Outside:
    """A dask scheduler and two workers, each below a nanny, beside the run."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "scheduler.json"
        self._folder = folder
        words = ("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self._scheduler = self._start(*words, "--scheduler-file", str(self._file))
        while not self._file.exists():
            time.sleep(0.1)
        self.nannies: list[subprocess.Popen[bytes]] = []

    @property
    def address(self) -> str:
        """Of the scheduler."""
        return str(json.loads(self._file.read_text())["address"])

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        given = os.environ | {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
        return subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:]],
            cwd=self._folder,
            env=given,
            **QUIET,
        )

    def mend(self) -> None:
        """Two workers again."""
        self.nannies = [nanny for nanny in self.nannies if nanny.poll() is None]
        words = ("worker", self.address, "--host", "127.0.0.1", "--nthreads", "1", "--no-dashboard")
        while len(self.nannies) < 2:
            self.nannies.append(self._start(*words))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """End all of them."""
        for process in (*self.nannies, self._scheduler):
            process.terminate()
            process.wait()


def workers_below(pid: int | None) -> list[int]:
    """Processes below one that run workers: started afresh, or forked from a server."""
    try:
        below = psutil.Process(pid).children(recursive=True)
        return [one.pid for one in below if is_worker(one, pid)]
    except psutil.NoSuchProcess:
        return []


def is_worker(one: psutil.Process, above: int | None) -> bool:
    """Whether a process is one that was started for somebody's work.

    What a server forks is called like itself, but the server alone is a child of who started it.
    """
    words = " ".join(one.cmdline())
    return "spawn_main" in words or ("multiprocessing.forkserver" in words and one.ppid() != above)


def kill_one(run: ForkServerProcess, outside: Outside | None, draw: random.Random) -> str:
    """Kill the driver, a worker or a nanny: which it was; nobody if it is gone already."""
    victims = {"driver": [run.pid]}
    if outside:
        victims["nanny"] = [nanny.pid for nanny in outside.nannies]
        victims["worker"] = [pid for n in outside.nannies for pid in workers_below(n.pid)]
    else:
        victims["worker"] = workers_below(run.pid)
    name = draw.choice([name for name, pids in victims.items() if pids])
    if not run.is_alive():
        return ""
    try:
        os.kill(draw.choice(victims[name]) or 0, signal.SIGKILL)
    except ProcessLookupError:
        return ""
    return name


class Watch:
    """How far the run is that fills a cache, seen from outside."""

    def __init__(self, cache: Path, n_shards: int) -> None:
        self._cache, self._n_shards = cache, n_shards

    @property
    def stage(self) -> str:
        """Extraction until all shards of extracted features are there, then training."""
        if checkpoints.checkpoint_names(self._cache):
            return "encoding"
        if not self._cache.joinpath("leases", "claims").is_dir():
            return "start"
        n_shards = sum(1 for _ in self._cache.glob("shards/*/*/*.h5"))
        return STAGES[n_shards >= self._n_shards]

    def until(self, stage: str, run: ForkServerProcess) -> float:
        """Wait until a stage is reached, or the run is over; seconds that took."""
        begin, order = time.monotonic(), ("start", *STAGES, "encoding")
        while run.is_alive() and order.index(self.stage) < order.index(stage):
            time.sleep(0.005)
        return time.monotonic() - begin


def differences(cache: Path, expected: Content, models: dict[str, str]) -> list[str]:
    """What is wrong with a store after a kill and a second run."""
    wrong = same(content(cache), expected)
    got = fits(cache)
    wrong += [
        f"model {name[:12]} differs" for name, mark in models.items() if got.get(name) != mark
    ]
    collect(cache)
    wrong += [f"left over: {path}" for path in cache.rglob(f"*{PART}")]
    wrong += [f"damaged: {fault.message}" for fault in verify(cache).faults]
    return wrong


def fits(cache: Path) -> dict[str, str]:
    """Fingerprint of each fit -> digest of its checkpoint."""
    made = {name: checkpoints.load(cache, name) for name in checkpoints.checkpoint_names(cache)}
    return {name: one.digest for name, one in made.items() if one}


class Rounds:
    """An undisturbed run, and what rounds of kills make of the same.

    Args:
        folder: holds the recipe; is filled with its corpus and a cache for each round.
        outside: workers beside the runs.
        seed: of the draws.
    """

    def __init__(self, folder: Path, outside: Outside, seed: int) -> None:
        self._folder, self._outside, self._draw = folder, outside, random.Random(seed)
        self._n_shards = 0
        self.expected, self.models, self._lengths = self._undisturbed(folder / "calm")
        self.killed: Counter[tuple[str, str]] = Counter()

    def _undisturbed(self, cache: Path) -> tuple[Content, dict[str, str], dict[str, float]]:
        """Features, models, and the seconds of each stage."""
        self._outside.mend()
        only = start(self._folder, cache, self._outside.address, KINDS[:1])
        only.join()
        self._n_shards = sum(1 for _ in cache.glob("shards/*/*/*.h5"))
        shutil.rmtree(cache, ignore_errors=True)
        run, watch = start(self._folder, cache, self._outside.address), Watch(cache, self._n_shards)
        watch.until("extraction", run)
        lengths = {
            "extraction": watch.until("training", run),
            "training": watch.until("encoding", run),
        }
        run.join()
        if only.exitcode or run.exitcode:
            raise SystemExit((self._folder / "crash.log").read_text())
        return content(cache), fits(cache), lengths

    def one(self, number: int) -> tuple[str, list[str]]:
        """A round: who was killed and when, empty where all was over; what is wrong then."""
        cache = self._folder / f"killed-{number}"
        outside = self._outside if number % OWN else None
        address = outside.address if outside else "processes"
        self._outside.mend()
        run, watch = start(self._folder, cache, address), Watch(cache, self._n_shards)
        watch.until(STAGES[number % 2], run)
        run.join(self._draw.uniform(0, self._lengths[STAGES[number % 2]]))
        stage = watch.stage
        victim = kill_one(run, outside, self._draw)
        run.join()
        self._outside.mend()
        again = start(self._folder, cache, address)
        again.join()
        wrong = differences(cache, self.expected, self.models)
        wrong += [f"the second run ended with {again.exitcode}"] * bool(again.exitcode)
        shutil.rmtree(cache)
        if not victim:
            self._lengths[STAGES[number % 2]] *= 0.5  # quicker than undisturbed: warm
            return "", wrong
        self.killed[victim, stage] += 1
        return f"{victim} at {stage}, {'workers beside' if outside else 'own workers'}", wrong


def main() -> None:
    """Undisturbed run, then the rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--utterances", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    # what numba compiles is none of what is tested: it stays where this user has it
    os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_folder() / "numba"))
    with tempfile.TemporaryDirectory() as name:
        os.environ |= {"XDG_CACHE_HOME": f"{name}/xdg", "OMP_NUM_THREADS": "1"}
        SERVER.set_forkserver_preload([*LOADED])
        text = RECIPE.replace("ROOT", name).replace("N}", f"{asked.utterances}}}")
        Path(name, "crash.yaml").write_text(text)
        with Outside(Path(name)) as outside:
            rounds = Rounds(Path(name), outside, asked.seed)
            bad, number = 0, 1
            while rounds.killed.total() < asked.rounds:
                told, wrong = rounds.one(number)
                bad += bool(wrong)
                told = f"round {number}: killed {told or 'nobody'}"
                print(told, *wrong[:5], sep="; ", flush=True)
                number += 1
    for (victim, stage), n in sorted(rounds.killed.items()):
        print(f"figure killed_{victim}_at_{stage} = {n} 1")
    print(f"figure features = {len(rounds.expected)} 1")
    print(f"figure models = {len(rounds.models)} 1")
    print(f"figure rounds = {rounds.killed.total()} 1")
    print(f"figure rounds_with_differences = {bad} 1")
    raise SystemExit(bool(bad))


if __name__ == "__main__":
    main()
