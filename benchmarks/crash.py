"""SIGKILL at random moments of extraction and training, then run again: nothing lost or doubled.

Each round starts ``affectflow run`` on the demo corpus with an empty cache, kills one process at a
random moment, runs the same command again, and compares every feature and every model with those
of an undisturbed run at the same number of threads, bit for bit. In every other round the workers
are started beside the run (``dask worker``), each below a nanny of its own, and the run is given
the scheduler's address; then the victim may be the nanny, too. ``cache gc`` must leave no
temporary file, ``cache verify`` must find no damage.

    python benchmarks/crash.py [--rounds 20] [--utterances 24] [--seed 0]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

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


def command(folder: Path, cache: Path, address: str = "") -> list[str]:
    """A whole run of the recipe; on two workers of its own, or on those at an address."""
    where = ("--scheduler", address) if address else ("--workers", "2")
    recipe = str(folder / "crash.yaml")
    return [sys.executable, "-m", "affectflow", "run", recipe, "--cache", str(cache), *where]


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

    def stop(self) -> None:
        """End all of them."""
        for process in (*self.nannies, self._scheduler):
            process.terminate()
            process.wait()


def workers_below(pid: int) -> list[int]:
    """Processes below one that run workers."""
    try:
        below = psutil.Process(pid).children(recursive=True)
        return [one.pid for one in below if "spawn_main" in " ".join(one.cmdline())]
    except psutil.NoSuchProcess:
        return []


def kill_one(run: subprocess.Popen[bytes], outside: Outside | None, draw: random.Random) -> str:
    """Kill the driver, a worker or a nanny; which it was."""
    victims = {"driver": [run.pid]}
    if outside:
        victims["nanny"] = [nanny.pid for nanny in outside.nannies]
        victims["worker"] = [pid for n in outside.nannies for pid in workers_below(n.pid)]
    else:
        victims["worker"] = workers_below(run.pid)
    name = draw.choice([name for name, pids in victims.items() if pids])
    if run.poll() is not None:
        return "nobody (too late)"
    try:
        os.kill(draw.choice(victims[name]), signal.SIGKILL)
    except ProcessLookupError:
        return "nobody (gone)"
    return name


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


def main() -> None:
    """Undisturbed run, then the rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--utterances", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    draw = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # what numba compiles is none of what is tested: it stays where this user has it
        os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_folder() / "numba"))
        os.environ |= {"XDG_CACHE_HOME": f"{folder}/xdg", "OMP_NUM_THREADS": "1"}
        text = RECIPE.replace("ROOT", str(folder)).replace("N}", f"{asked.utterances}}}")
        (folder / "crash.yaml").write_text(text)
        subprocess.run(command(folder, folder / "warm"), check=True, **QUIET)
        begin = time.perf_counter()
        subprocess.run(command(folder, folder / "calm"), check=True, **QUIET)
        seconds = time.perf_counter() - begin
        expected, models = content(folder / "calm"), fits(folder / "calm")
        outside = Outside(folder)
        bad, killed = 0, dict.fromkeys(("driver", "worker", "nanny"), 0)
        try:
            for number in range(asked.rounds):
                cache, there = folder / f"killed-{number}", outside if number % 2 else None
                outside.mend()
                words = command(folder, cache, outside.address if there else "")
                run = subprocess.Popen(words, **QUIET)
                begin = time.perf_counter()
                with suppress(subprocess.TimeoutExpired):
                    run.wait(draw.uniform(0.2, seconds))
                    seconds = time.perf_counter() - begin  # done already: it goes faster now
                victim = kill_one(run, there, draw)
                killed[victim] = killed.get(victim, 0) + 1
                run.wait()
                outside.mend()
                again = subprocess.run(words, **QUIET, check=False)
                wrong = differences(cache, expected, models)
                wrong += [f"the second run ended with {again.returncode}"] * (again.returncode != 0)
                bad += bool(wrong)
                where = "workers beside" if there else "own workers"
                print(f"round {number}: {where}, killed {victim}", *wrong[:5], sep="; ", flush=True)
        finally:
            outside.stop()
    print(f"killed: {killed}")
    print(f"figure features = {len(expected)} 1")
    print(f"figure models = {len(models)} 1")
    print(f"figure rounds = {asked.rounds} 1")
    print(f"figure rounds_with_differences = {bad} 1")
    raise SystemExit(bool(bad))


if __name__ == "__main__":
    main()
