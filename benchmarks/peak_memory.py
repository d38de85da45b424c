"""Peak memory of each extractor in a worker's process, beside what it declares.

A process for each: it imports what a dask worker imports, then extracts twice from a clip of 12 s,
1280x720 at 25 fps with sound. What an extractor reads of another is made in the same process, so
the larger declaration of the two counts. Extractors that need weights are measured when these are
named: NAME:SETTING=VALUE,SETTING=VALUE.

    python benchmarks/peak_memory.py [NAME[:SETTINGS] ...] [--seconds 12]
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import yaml

from affectflow.extract.registry import EXTRACTORS, PROVIDERS, extractor, extractor_class
from affectflow.workflows.demo.movie import movie_bytes

TEXT = "what a lovely day, and yet I would not call this movie a good one " * 4
FPS, RATE = 25, 16000


def make_clip(path: Path, seconds: float) -> None:
    """A photographed face that moves over a large picture, and a chord."""
    from skimage import data

    face = data.astronaut()[:360, 60:420]

    def pictures():
        for k in range(round(seconds * FPS)):
            picture = np.full((720, 1280, 3), 90, np.uint8)
            left = 200 + (7 * k) % 600
            picture[180:540, left : left + 360] = face
            yield picture

    times = np.arange(round(seconds * RATE)) / RATE
    tones = [np.sin(2 * np.pi * f * times) for f in (110, 220, 331)]
    samples = (0.1 * sum(tones) * (1 + np.sin(2 * np.pi * 3 * times))).astype(np.float32)
    path.write_bytes(movie_bytes(pictures(), FPS, samples, RATE))


def measure(asked: str, clip: str) -> None:
    """In a process of its own: extract, print the peak in bytes."""
    import distributed  # noqa: F401  # as in a worker

    name, _, settings = asked.partition(":")
    given = dict(part.split("=", 1) for part in settings.split(",") if part)
    made = extractor(name, **{key: yaml.safe_load(value) for key, value in given.items()})
    source = TEXT if made.needs.streams == ("text",) else clip
    for _ in range(2):
        made(source, text=TEXT)
    # ru_maxrss would begin with what the parent held when it started this process.
    status = Path("/proc/self/status").read_text()
    print(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024)


def declared(name: str) -> int:
    """What a worker must have for it and for what it reads by default."""
    kind = extractor_class(name)
    needed = [kind.peak_memory]
    if all(f.default is not dataclasses.MISSING for f in dataclasses.fields(kind)):
        roles = extractor(name).needs.features
        needed += [extractor_class(PROVIDERS[r]).peak_memory for r in roles if r in PROVIDERS]
    return max(needed)


def ready(name: str) -> bool:
    """Whether it runs with its default settings on a clip alone."""
    if any(f.default is dataclasses.MISSING for f in dataclasses.fields(extractor_class(name))):
        return False
    try:
        return all(role in PROVIDERS for role in extractor(name).needs.features)
    except ValueError:  # weights must be named
        return False


def main() -> None:
    """Measure each in turn and print a line for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--measure", metavar="CLIP", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        measure(asked.names[0], asked.measure)
        return
    over = []
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        make_clip(clip, asked.seconds)
        for named in asked.names or [name for name in EXTRACTORS if ready(name)]:
            name = named.partition(":")[0]
            done = subprocess.run(
                [sys.executable, __file__, named, "--measure", str(clip)],
                capture_output=True,
                text=True,
            )
            if done.returncode:
                print(f"{name}: not measured: {done.stderr.strip().splitlines()[-1]}")
                continue
            peak, promise = int(done.stdout.split()[-1]), declared(name)
            over += [name] if peak > promise else []
            print(f"{name}: {promise >> 20} MiB declared")
            print(f"figure peak_memory_{name} = {peak >> 20} MiB", flush=True)
    print("over their declaration:", *over)
    print(f"figure extractors_over_their_declaration = {len(over)} 1")


if __name__ == "__main__":
    main()
