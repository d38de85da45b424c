"""Peak memory of each extractor in a worker's process, beside what it declares.

A process for each: it imports what a dask worker imports, then extracts twice from a clip of 12 s,
1280x720 at 25 fps with sound. What an extractor reads of another is made in the same process, so
the larger declaration of the two counts. Extractors that need weights are measured when these are
named: NAME:SETTING=VALUE,SETTING=VALUE.

    python benchmarks/peak_memory.py [NAME[:SETTINGS] ...] [--seconds 12] [--size 1280x720]
                                     [--fps 25] [--times 2]

An hour is cheap with few pictures a second: each is looked at once, but shown at every step.

    python benchmarks/peak_memory.py faces mtcnn-face mouth-motion --seconds 3600 --size 320x180
                                     --fps 1 --times 1
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
RATE = 16000


def make_clip(path: Path, seconds: float, size: tuple[int, int], fps: int) -> None:
    """A photographed face, half as high as the picture, that moves, and a chord."""
    import cv2
    from skimage import data

    width, height = size
    side = height // 2
    face = cv2.resize(data.astronaut()[:360, 60:420], (side, side), interpolation=cv2.INTER_AREA)

    def pictures():
        for k in range(round(seconds * fps)):
            picture = np.full((height, width, 3), 90, np.uint8)
            left = width // 6 + (7 * k) % (width // 2 - side // 2)
            picture[height // 4 : height // 4 + side, left : left + side] = face
            yield picture

    times = np.arange(round(seconds * RATE), dtype=np.float32) / RATE
    tones = sum(np.sin(2 * np.pi * f * times) for f in (110, 220, 331))
    samples = (0.1 * tones * (1 + np.sin(2 * np.pi * 3 * times))).astype(np.float32)
    path.write_bytes(movie_bytes(pictures(), fps, samples, RATE))


def measure(asked: str, clip: str, times: int) -> None:
    """In a process of its own: extract, print the peak in bytes."""
    import distributed  # noqa: F401  # as in a worker

    name, _, settings = asked.partition(":")
    given = dict(part.split("=", 1) for part in settings.split(",") if part)
    made = extractor(name, **{key: yaml.safe_load(value) for key, value in given.items()})
    source = TEXT if made.needs.streams == ("text",) else clip
    for _ in range(times):
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
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--times", type=int, default=2)
    parser.add_argument("--measure", metavar="CLIP", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        measure(asked.names[0], asked.measure, asked.times)
        return
    over = []
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        width, height = map(int, asked.size.split("x"))
        make_clip(clip, asked.seconds, (width, height), asked.fps)
        for named in asked.names or [name for name in EXTRACTORS if ready(name)]:
            name = named.partition(":")[0]
            done = subprocess.run(
                [sys.executable, __file__, named, f"--measure={clip}", f"--times={asked.times}"],
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
