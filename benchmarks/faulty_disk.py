"""Runs on a disk that fails at random points: a clear error, no torn file, and the next goes on.

Two parts. In the first, the calls with which the cache touches its folder are counted in one
process, and in each round one of them, drawn at random, meets a fault: no room, a quota, a folder
that became read-only, an error of the device (once, a few times, or from then on), a network
folder that went away, half a write, or calls that take long. In the second, the cache lies on a
real file system of a few hundred kB (tmpfs, where this user may mount one) which fills up, and on
one that becomes read-only, and dask workers write to it.

After each fault: the run ended well or with one of our own errors that names the folder; every
shard is whole; and the same call again, without a fault, makes the very features and scores of an
undisturbed run.

    python benchmarks/faulty_disk.py [--points 100] [--seed 0] [--no-tmpfs]
"""

from __future__ import annotations

import argparse
import errno
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from store_content import content, same

from affectflow.cache import leases
from affectflow.cache.corpus import Corpus
from affectflow.cache.errors import AffectflowError, CacheError
from affectflow.cache.names import PART
from affectflow.cache.verify import verify
from affectflow.workflows import answers
from affectflow.workflows.recipe import load_recipe
from affectflow.workflows.run import run

RECIPE = """
name: faults
corpus: {root: ROOT}
nodes:
  text: {extract: vader}
  f: {fit: unimodal, on: [text], tasks: [M], seeds: 2, epochs: 2}
  h: {encode: f}
"""
#: What a fault is called -> the system's error, and how many calls meet it.
FAULTS = {
    "full": (errno.ENOSPC, 10**9),
    "full, half a write": (errno.ENOSPC, 10**9),
    "quota": (errno.EDQUOT, 10**9),
    "read-only": (errno.EROFS, 10**9),
    "device, once": (errno.EIO, 1),
    "device, three times": (errno.EIO, 3),
    "device, for good": (errno.EIO, 10**9),
    "network folder away": (errno.ESTALE, 10**9),
    "interrupted": (errno.EINTR, 1),
    "slow": (0, 10**9),
}
#: Calls that change a folder or a file, and those that only look.
CHANGES = ("open", "mkdir", "link", "replace", "unlink", "utime", "write", "fsync")
LOOKS = ("stat", "scandir")


@dataclass
class Disk:
    """Calls below a folder, counted; those from number ``at`` on meet a fault.

    Args:
        folder: where it is faulty.
        fault: one of ``FAULTS``; "": none.
        at: number of the first call that meets it.
    """

    folder: str
    fault: str = ""
    at: int = 0
    n: int = 0
    n_met: int = 0

    def call(self, name: str, real: Callable[..., Any], *args: Any, **more: Any) -> Any:
        """One call: made, or failed."""
        self.n += 1
        code, times = FAULTS.get(self.fault, (0, 0))
        if self.n < self.at or self.n_met >= times or (code != errno.EIO and name in LOOKS):
            return real(*args, **more)
        self.n_met += 1
        if self.fault == "slow":
            time.sleep(0.002)
            return real(*args, **more)
        if name == "unlink" and code in (errno.ENOSPC, errno.EDQUOT):
            return real(*args, **more)  # a full disk lets go of files
        if name == "open" and args[1] & os.O_ACCMODE == os.O_RDONLY and code != errno.EIO:
            return real(*args, **more)
        if self.fault == "full, half a write" and name == "write":
            return real(args[0], bytes(args[1])[: max(1, len(args[1]) // 2)])
        raise OSError(code, os.strerror(code), str(args[0]))


@contextmanager
def faulty(disk: Disk) -> Iterator[None]:
    """``os`` as the cache uses it, with a disk in its place."""
    real = {name: getattr(os, name) for name in CHANGES + LOOKS}
    ours: set[int] = set()

    def below(target: Any) -> bool:
        if isinstance(target, int):
            return target in ours
        return os.fspath(target).startswith(disk.folder)

    def made(name: str) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            if not args or not isinstance(args[0], int | str | os.PathLike) or not below(args[0]):
                return real[name](*args, **more)
            answer = disk.call(name, real[name], *args, **more)
            if name == "open":
                ours.add(answer)
            return answer

        return call

    close = os.close

    def closed(handle: int) -> None:
        ours.discard(handle)
        close(handle)

    for name in real:
        setattr(os, name, made(name))
    os.close = closed
    try:
        yield
    finally:
        os.close = close
        for name, function in real.items():
            setattr(os, name, function)


def make_recipe(folder: Path, n: int = 24) -> Path:
    """A small corpus of sentences, and a recipe on it."""
    words = ["a", "lovely", "dull", "great", "awful", "nice", "day", "night", "film"]
    draw = Random(0)
    texts = [" ".join(draw.choices(words, k=6)) + f" {i}" for i in range(n)]
    columns = {
        "id": [f"v{i // 4}/{i}" for i in range(n)],
        "text": texts,
        "split": [("train", "valid", "test")[i // 4 % 3] for i in range(n)],
        "M": [round(draw.uniform(-1, 1), 1) for _ in range(n)],
    }
    corpus = Corpus.from_columns(columns, name="faults", family="sims", label_range=(-1, 1))
    corpus.write(folder / "corpus.parquet")
    (folder / "faults.yaml").write_text(RECIPE.replace("ROOT", str(folder)))
    return folder / "faults.yaml"


def one_round(recipe: Any, cache: Path, disk: Disk, expected: Any) -> tuple[str, list[str]]:
    """One run on a faulty disk and one after it; how it ended, and what is wrong."""
    wrong, ended = [], "well"
    try:
        with faulty(disk):
            if not run(recipe, cache, scheduler="sync").ok:
                ended = "with failures"
    except AffectflowError as error:
        ended = type(error).__name__
        if isinstance(error, CacheError) and disk.folder not in str(error):
            wrong.append(f"the error does not name the folder: {error}")
    except Exception as error:  # whatever it is, it is what this script looks for
        wrong.append(f"{type(error).__name__} instead of an error of ours: {error}")
    if (cache / "cache.json").exists():
        wrong += [f"torn: {fault.message}" for fault in verify(cache).faults]
    if disk.fault.startswith("full") and list(cache.rglob(f"*{PART}")):
        wrong.append("a temporary file is left on the full disk")
    again = run(recipe, cache, scheduler="sync", retry_failed=True)
    wrong += [] if again.ok else [f"the second run failed: {again.failures} {again.errors}"]
    return ended, wrong + same(content(cache), expected)


def points(folder: Path, n: int, draw: Random) -> int:
    """Faults at random calls of a run in this process; how many rounds went wrong."""
    answers.PAUSE, leases.DEAD = 0.0, 0.5  # nobody else is at work here who could be waited for
    recipe = load_recipe(make_recipe(folder))
    calm = Disk(str(folder / "calm"))
    with faulty(calm):
        run(recipe, folder / "calm", scheduler="sync")
    expected = content(folder / "calm")
    ends: Counter[str] = Counter()
    bad = met = 0
    for number in range(n):
        fault = list(FAULTS)[number % len(FAULTS)]
        cache = folder / f"cache-{number}"
        disk = Disk(str(cache), fault, draw.randrange(1, calm.n + 1))
        ended, wrong = one_round(recipe, cache, disk, expected)
        ends[f"{fault}: {ended}"] += 1
        met += disk.n_met > 0
        bad += bool(wrong)
        for line in wrong[:3]:
            print(f"round {number} ({fault} at call {disk.at} of {calm.n}): {line}", flush=True)
    for name, count in sorted(ends.items()):
        print(f"  {name}: {count}")
    print(f"figure fault_points = {n} 1")
    print(f"figure fault_points_met = {met} 1")
    print(f"figure fault_points_gone_wrong = {bad} 1")
    return bad


def extract(recipe: Path, cache: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """The command, as a user gives it."""
    words = ("extract", str(recipe), "--cache", str(cache), "--workers", "2")
    return subprocess.run(
        [sys.executable, "-m", "affectflow", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )


def mounted(place: Path, options: str) -> bool:
    """Mount a tmpfs, or mount it anew with other options."""
    place.mkdir(exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", options, "none", str(place)]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def small_file_systems(folder: Path) -> int:
    """A tmpfs that is full and then larger, read-only and then not; how many went wrong."""
    (folder / "large").mkdir()
    recipe = make_recipe(folder / "large", 4000)
    place, bad = folder / "mount", 0
    faults = {"full": ("size=160k", "remount,size=64m"), "read-only": ("ro", "remount,rw,size=64m")}
    extract(recipe, folder / "calm-2", folder)
    expected = content(folder / "calm-2")
    for name, (first, then) in faults.items():
        if not mounted(place, first):
            print("no tmpfs can be mounted here: left out (see --help)")
            return bad
        try:
            said = extract(recipe, place / "cache", folder)
            told = "no room to write" if name == "full" else "cannot write"
            wrong = [] if said.returncode == 1 and told in said.stderr else ["no clear error"]
            wrong += ["a traceback"] if "Traceback" in said.stderr else []
            if (place / "cache" / "cache.json").exists():
                wrong += [fault.message for fault in verify(place / "cache").faults]
            mounted(place, then)
            wrong += [] if extract(recipe, place / "cache", folder).returncode == 0 else ["again"]
            wrong += same(content(place / "cache"), expected)
        finally:
            subprocess.run(["umount", str(place)], check=True)
        print(f"tmpfs, {name}:", said.stderr.strip()[-400:], *wrong[:3], sep="\n  ")
        print(f"figure tmpfs_{name.replace('-', '_')}_differences = {len(wrong)} 1")
        bad += bool(wrong)
    return bad


def main() -> None:
    """Both parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-tmpfs", action="store_true", help="only the first part")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.environ["XDG_CACHE_HOME"] = f"{place}/xdg"
        bad = points(Path(place), asked.points, Random(asked.seed)) if asked.points else 0
        if not asked.no_tmpfs:
            bad += small_file_systems(Path(place))
    raise SystemExit(bool(bad))


if __name__ == "__main__":
    main()
