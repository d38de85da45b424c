"""What a user waits for: the first command cold, the same again, and ``--help``.

Each command runs as a process of its own, in a folder of its own, with an empty user cache.

    python benchmarks/commands.py [--workers 2] [--skip-cold]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

AGAIN = 5


def seconds(*words: str, folder: str) -> tuple[float, str]:
    """Wall-clock seconds and standard output of one command."""
    begin = time.perf_counter()
    done = subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True)
    return time.perf_counter() - begin, done.stdout


def median(*words: str, folder: str) -> float:
    """Median seconds over a few runs after a warm one."""
    seconds(*words, folder=folder)
    return statistics.median(seconds(*words, folder=folder)[0] for _ in range(AGAIN))


def main() -> None:
    """Time the commands and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--skip-cold", action="store_true", help="only --help and import")
    asked = parser.parse_args()
    affectflow = (sys.executable, "-m", "affectflow")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/xdg"
        print(f"load before: {os.getloadavg()[0]:.1f}")
        if not asked.skip_cold:
            run = (*affectflow, "run", "demo", "--workers", str(asked.workers))
            cold, first = seconds(*run, folder=folder)
            again, second = seconds(*run, folder=folder)
            again = statistics.median([again, *(seconds(*run, folder=folder)[0] for _ in range(4))])
            assert "0 features made, 0 models trained" in second, second
            print(next(line for line in first.splitlines() if "features made" in line))
            print(f"figure first_command_cold = {cold:.1f} s")
            print(f"figure first_command_again = {again:.2f} s")
        nothing = median(sys.executable, "-c", "pass", folder=folder)
        imported = median(sys.executable, "-c", "import affectflow", folder=folder)
        print(f"figure help = {median(*affectflow, '--help', folder=folder):.3f} s")
        print(f"figure import = {imported - nothing:.3f} s")


if __name__ == "__main__":
    main()
