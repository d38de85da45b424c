"""Two runs of one recipe on one cache at once: the result of one, and hardly any work done twice.

Two processes run the same recipe, with extraction, training and encoding, on the same empty cache,
round after round; they begin up to a fifth of a second apart. The features and models must be those
of one run alone, each there once. Work done twice is what both made, beyond what one makes alone.

    python benchmarks/two_drivers.py [--rounds 50] [--utterances 96] [--seed 0]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from random import Random

from faulty_disk import make_recipe
from store_content import content, same

from affectflow.cache import checkpoints
from affectflow.cache.names import PART
from affectflow.workflows.run import run


def drive(recipe: Path, cache: Path, begin: float) -> tuple[bool, int]:
    """One run that begins at a time of the clock: whether it ended well, and what it made."""
    time.sleep(max(0.0, begin - time.time()))
    done = run(recipe, cache, scheduler="sync")
    return done.ok, sum(done.made.values())


def left_over(cache: Path) -> list[str]:
    """Temporary files, leases and claims."""
    leases = [path for path in (cache / "leases").rglob("*") if path.is_file()]
    return [f"left over: {path}" for path in (*cache.rglob(f"*{PART}"), *leases)]


def main() -> None:
    """One run alone, then the rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--utterances", type=int, default=96)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    draw = Random(asked.seed)
    bad = doubled = shared = 0
    with (
        tempfile.TemporaryDirectory() as name,
        ProcessPoolExecutor(1, get_context("spawn")) as one,
        ProcessPoolExecutor(1, get_context("spawn")) as other,
    ):
        folder = Path(name)
        os.environ |= {"XDG_CACHE_HOME": f"{folder}/xdg", "OMP_NUM_THREADS": "1"}
        recipe = make_recipe(folder, asked.utterances)
        for driver in (one, other):
            _, work = driver.submit(drive, recipe, folder / f"alone-{id(driver)}", 0.0).result()
        alone = folder / f"alone-{id(other)}"
        expected, models = content(alone), checkpoints.checkpoint_names(alone)
        for number in range(asked.rounds):
            cache, begin = folder / f"both-{number}", time.time() + 0.05
            later = begin + draw.uniform(0, 0.2)
            both = [one.submit(drive, recipe, cache, begin)]
            both += [other.submit(drive, recipe, cache, later)]
            ended = [run.result() for run in both]
            wrong = same(content(cache), expected) + left_over(cache)
            wrong += [] if all(ok for ok, _ in ended) else ["a run failed"]
            wrong += ["other models"] if checkpoints.checkpoint_names(cache) != models else []
            doubled += sum(made for _, made in ended) - work
            shared += all(made for _, made in ended)
            bad += bool(wrong)
            print(f"round {number}: {[made for _, made in ended]} made of {work}", *wrong[:3])
    print(f"figure two_drivers_rounds = {asked.rounds} 1")
    print(f"figure two_drivers_rounds_with_differences = {bad} 1")
    print(f"figure two_drivers_rounds_in_which_both_worked = {shared} 1")
    print(f"figure two_drivers_doubled_work = {100 * doubled / (work * asked.rounds):.2f} %")
    raise SystemExit(bool(bad))


if __name__ == "__main__":
    main()
