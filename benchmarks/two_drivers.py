"""Two runs of one recipe on one cache at once: the result of one, and hardly any work done twice.

Each round starts ``affectflow run`` twice at (nearly) the same moment on the same empty cache, on a
recipe with extraction, training and encoding. The features and models must be those of one run
alone, each there once; work that was done twice is what both report as made, beyond what there is.

    python benchmarks/two_drivers.py [--rounds 50] [--utterances 48] [--seed 0]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from faulty_disk import make_recipe
from store_content import content, same

from affectflow.cache import checkpoints, runs
from affectflow.cache.publish import PART


def start(recipe: Path, cache: Path) -> subprocess.Popen[bytes]:
    """One run, in this machine's first free process."""
    words = ("run", str(recipe), "--cache", str(cache), "--scheduler", "sync")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, "-m", "affectflow", *words], **quiet)


def made(cache: Path) -> int:
    """Features and models that all runs say they made."""
    return sum(
        sum(record["made"].values())
        for name in runs.run_names(cache)
        for record in runs.read_records(cache, name, "run-").values()
    )


def main() -> None:
    """One run alone, then the rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--utterances", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    draw = Random(asked.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ |= {"XDG_CACHE_HOME": f"{folder}/xdg", "OMP_NUM_THREADS": "1"}
        recipe = make_recipe(folder, asked.utterances)
        start(recipe, folder / "alone").wait()
        expected = content(folder / "alone")
        models, work = checkpoints.checkpoint_names(folder / "alone"), made(folder / "alone")
        bad, doubled, shared = 0, 0, 0
        for number in range(asked.rounds):
            cache = folder / f"both-{number}"
            first = start(recipe, cache)
            time.sleep(draw.uniform(0, 0.2))
            second = start(recipe, cache)
            codes = [first.wait(), second.wait()]
            wrong = same(content(cache), expected)
            wrong += [f"a run ended with {code}" for code in codes if code]
            wrong += ["other models"] if checkpoints.checkpoint_names(cache) != models else []
            wrong += [f"left over: {path}" for path in cache.rglob(f"*{PART}")]
            left = [path for path in (cache / "leases").rglob("*") if path.is_file()]
            wrong += [f"left over: {path}" for path in left]
            doubled += made(cache) - work
            shared += len(runs.read_records(cache, runs.run_names(cache)[0], "run-")) > 1
            bad += bool(wrong)
            print(f"round {number}: {made(cache)} made, {work} needed", *wrong[:3], flush=True)
    print(f"figure two_drivers_rounds = {asked.rounds} 1")
    print(f"figure two_drivers_rounds_with_differences = {bad} 1")
    print(f"figure two_drivers_rounds_in_which_both_worked = {shared} 1")
    print(f"figure two_drivers_doubled_work = {100 * doubled / (work * asked.rounds):.2f} %")
    raise SystemExit(bool(bad))


if __name__ == "__main__":
    main()
