"""Whether decoding ahead in a thread makes mtcnn-face quicker: on this CPU, and on a GPU if any.

One process on real clips, in turns; the median ratio of several rounds counts.

    python benchmarks/read_ahead.py CLIP... [--rounds 5] [--device cpu]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

from affectflow.extract.clip import Clip
from affectflow.extract.registry import extractor
from affectflow.workflows.worker import AHEAD


def seconds(paths: list[str], device: str, ahead: int) -> float:
    """Wall-clock seconds of the faces of all clips."""
    clips = [Clip(path, path, ahead=ahead) for path in paths]
    begin = time.perf_counter()
    for answer in extractor("mtcnn-face").many(clips, device):
        if isinstance(answer, Exception):
            raise answer
    return time.perf_counter() - begin


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    seconds(asked.clips, asked.device, 0)  # loads the nets
    found = [
        [seconds(asked.clips, asked.device, n) for n in (0, AHEAD)] for _ in range(asked.rounds)
    ]
    ratio = statistics.median(ahead / plain for plain, ahead in found)
    plain = statistics.median(plain for plain, _ in found)
    print(f"load: {os.getloadavg()[0]:.1f}")
    print(f"figure faces_without_reading_ahead = {plain:.2f} s")
    print(f"figure reading_ahead_to_not = {ratio:.3f} 1")


if __name__ == "__main__":
    main()
