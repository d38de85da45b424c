"""What one process keeps of the good and broken clips that it has decoded: nothing.

A hundred clips, four broken in each way that does not stop the process (``broken_media.py``) and as
many good ones as fill the hundred, are decoded turn after turn, the same ones in the same order.
After the first turns a process holds what its worst clip needed; what it gains from then on, for
each thousand clips, is what it would keep of every clip. The garbage collector is called after each
turn: pictures whose side data were looked at wait for it, and when it comes is Python's choice.
``--lazy`` leaves it to Python.

    python benchmarks/decoder_memory.py [--turns 30] [--lazy]
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from random import Random

from broken_media import WAYS, alike, broken, clip

from affectflow.cache.errors import AffectflowError
from affectflow.extract.clip import Clip

CLIPS, OF_EACH = 100, 4


def write_clips(folder: Path, draw: Random) -> list[Path]:
    """Files of the clips, in random order."""
    whole = clip(draw)
    ways = [way for way in WAYS if way != "crashing decoder"]
    images = [broken(way, whole, draw) for way in ways for _ in range(OF_EACH)]
    images += [alike(whole, b"%d" % i) for i in range(CLIPS - len(images))]
    draw.shuffle(images)
    paths = [folder / f"{i}.mp4" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        path.write_bytes(image)
    return paths


def resident() -> float:
    """Memory of this process, MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def decode(path: Path) -> None:
    """All sound and pictures, or a reason why not."""
    made = Clip(path.stem, str(path))
    with suppress(AffectflowError):
        made.audio(16000)
        for _ in made.frames(5.0):
            pass


def main() -> None:
    """Turn after turn, then the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--lazy", action="store_true")
    asked = parser.parse_args()
    sizes = []
    with tempfile.TemporaryDirectory() as place:
        paths = write_clips(Path(place), Random(0))
        for _ in range(asked.turns):
            for path in paths:
                decode(path)
            if not asked.lazy:
                gc.collect()
            sizes.append(resident())
    warm = asked.turns // 3
    print(*(f"{size:.1f}" for size in sizes), "MiB after each turn")
    gained = 1000 * (sizes[-1] - sizes[warm]) / (CLIPS * (asked.turns - 1 - warm))
    print(f"figure decoder_memory_until_warm = {sizes[warm] - sizes[0]:.1f} MiB")
    print(f"figure decoder_memory_gained_in_a_thousand_clips = {gained:.2f} MiB")


if __name__ == "__main__":
    main()
