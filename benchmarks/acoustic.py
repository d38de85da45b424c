"""Speed of the acoustic extractors: real-time factor of one core, two workers against one, memory.

The sound is the demo corpus' voice: utterances of 1 to 12 s as 16-bit wav files of 44.1 kHz, so
that decoding and resampling count. Real-time factor: seconds of one core for a second of sound, the
whole node (decode to cached shard) in this process, best of three, after a warm-up. Two workers
against one: the same node on dask workers of one thread that have imported everything, each run
with a cache of its own, in turns, best of three.

    python benchmarks/acoustic.py [NAME ...] [--utterances 200] [--repeats 3] [--long MINUTES]

With ``--long``, the peak memory of each on one recording of that many minutes, in a process of its
own.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is loaded; workers inherit it

from affectflow.cache.index import cache_folder

# The index of each run goes to a scratch folder; what numba has compiled stays where it is.
os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_folder() / "numba"))

import resource
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import numpy as np
from one_node import seconds_of

from affectflow.extract.registry import extractor
from affectflow.workflows.demo import voice
from affectflow.workflows.demo.render import _voice

RATE = 44100
#: What is measured, by the name of its figures.
NODES = {
    "librosa_33": ("librosa-33", {}),
    "logmel_64": ("logmel-64", {}),
    "librosa": ("librosa", {}),
    "librosa_pyin": ("librosa", {"features": ("f0_pyin",)}),
    "librosa_tempogram": ("librosa", {"features": ("tempogram",)}),
    "egemaps": ("egemaps", {}),
    "opensmile_egemaps_functionals": ("opensmile", {}),
    "opensmile_compare_lld": ("opensmile", {"feature_set": "ComParE_2016", "level": "lld"}),
    "opensmile_compare_functionals": (
        "opensmile",
        {"feature_set": "ComParE_2016", "level": "functionals"},
    ),
    "opensmile_emobase_functionals": (
        "opensmile",
        {"feature_set": "emobase", "level": "functionals"},
    ),
}
TEXT = "what a lovely day and yet i would not call this movie a very good one at all"


def speech(seconds: float, speaker: int) -> np.ndarray:
    """Samples of the demo's voice, (n,) float32 at ``RATE``."""
    rng = np.random.default_rng(speaker)
    pieces, n = [], 0
    while n < seconds * voice.RATE:
        spoken = voice.speak(TEXT, _voice(0, speaker), voice.make_prosody(0.3, rng), rng)
        pieces.append(spoken.samples)
        n += len(spoken.samples)
    native = np.concatenate(pieces)[: round(seconds * voice.RATE)]
    places = np.arange(round(seconds * RATE)) * voice.RATE / RATE
    return np.interp(places, np.arange(len(native)), native).astype(np.float32)


def write(path: Path, sound: np.ndarray, copies: int = 1) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        data = (np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes()
        for _ in range(copies):
            file.writeframes(data)


def make_sounds(folder: Path, n: int) -> tuple[dict[str, list[str]], float]:
    """Write n utterances; the columns of their corpus, and seconds of sound in all."""
    lengths = np.random.default_rng(0).uniform(1, 12, n)
    voices = [speech(12.0, speaker) for speaker in range(8)]
    media = []
    for i, length in enumerate(lengths):
        media.append(f"{folder}/{i:04}.wav")
        write(Path(media[-1]), voices[i % 8][: round(length * RATE)])
    return {"id": [f"u{i:04}" for i in range(n)], "media": media}, float(lengths.sum())


def measure(names: list[str], n: int, repeats: int) -> None:
    from distributed import LocalCluster

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ["XDG_CACHE_HOME"] = str(folder / "xdg")
        columns, total = make_sounds(folder, n)
        print(f"figure acoustic_sound = {total:.0f} s")
        workers = {"processes": True, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
        clusters = {
            k: LocalCluster(n_workers=k, host="127.0.0.1", local_directory=scratch, **workers)
            for k in (1, 2)
        }
        for name in names:
            kind, settings = NODES[name]
            made = extractor(kind, **settings)
            places = {"here": "sync"} | {k: c.scheduler_address for k, c in clusters.items()}
            best = dict.fromkeys(places, np.inf)
            for repeat in range(repeats + 1):  # the first run loads libraries
                for place, scheduler in places.items():
                    seconds = seconds_of(made, columns, folder, scheduler)
                    if repeat:
                        best[place] = min(best[place], seconds)
            print(f"figure acoustic_{name}_real_time_factor = {best['here'] / total:.4f} s/s")
            print(f"figure acoustic_{name}_two_workers = {best[1] / best[2]:.2f} x", flush=True)
        for cluster in clusters.values():
            cluster.close()


def measure_long(names: list[str], minutes: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/long.wav"
        write(Path(path), speech(60.0, 0), copies=max(1, round(minutes)))
        for name in names:
            subprocess.run([sys.executable, __file__, name, "--peak", path], check=True)


def peak(name: str, path: str) -> None:
    """In a process of its own: extract, print the peak memory and the time."""
    from affectflow.cache.errors import BadInput

    kind, settings = NODES[name]
    begin = time.perf_counter()
    try:
        extractor(kind, **settings)(path)
    except BadInput as error:
        print(f"{name}: refused: {error}")
        return
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"figure acoustic_{name}_long_peak = {memory:.0f} MB")
    print(f"figure acoustic_{name}_long_time = {time.perf_counter() - begin:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NODES))
    parser.add_argument("--utterances", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--long", type=float, metavar="MINUTES")
    parser.add_argument("--peak", metavar="FILE", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    names = asked.names or list(NODES)
    if asked.peak:
        peak(names[0], asked.peak)
    elif asked.long:
        measure_long(names, asked.long)
    else:
        measure(names, asked.utterances, asked.repeats)


if __name__ == "__main__":
    main()
