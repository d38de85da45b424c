"""Import of a feature pickle of MOSEI's size: memory and time against a bare ``pickle.load``.

    python benchmarks/import_pickle.py              # a tenth of MOSEI, 0.85 GB
    python benchmarks/import_pickle.py --scale 1    # the whole, 8.5 GB; needs 26 GB of disk

The bare way loads the file with ``pickle``, writes the bytes of its arrays to a plain file and
syncs it. Each way runs in a process of its own, with the file in the page cache, in turns; figures
are of the best of each. Memory is the process' own (anonymous) and what it maps of the file.
"""

from __future__ import annotations

import argparse
import os
import pickle
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

#: Utterances of MOSEI's splits, rows and columns of its arrays.
SPLITS = {"train": 16326, "valid": 1871, "test": 4659}
SHAPES = {"text": (50, 768), "audio": (500, 74), "vision": (500, 35)}
MOSI = {"train": 1284, "valid": 229, "test": 686}
MOSI_SHAPES = {"text": (50, 768), "audio": (375, 5), "vision": (500, 20)}


def make(path: Path, splits: dict[str, int], shapes: dict[str, tuple[int, int]]) -> None:
    """Write an unaligned pickle without padding: as many rows are stored as the file holds."""
    rng = np.random.default_rng(0)
    data = {}
    for name, n in splits.items():
        data[name] = {
            key: rng.standard_normal((n, *shape), dtype=np.float32) for key, shape in shapes.items()
        }
        data[name] |= {
            "raw_text": [f"sentence {i}" for i in range(n)],
            "id": [f"{name}{i // 10}$_${i}" for i in range(n)],
            "regression_labels": rng.uniform(-3, 3, n).astype(np.float32),
            "audio_lengths": [shapes["audio"][0]] * n,
            "vision_lengths": [shapes["vision"][0]] * n,
        }
    with path.open("wb") as file:
        pickle.dump(data, file, 4)


def bare(path: Path, out: Path) -> None:
    with path.open("rb") as file:
        data = pickle.load(file)
    with out.open("wb") as file:
        for split in data.values():
            for key in SHAPES:
                file.write(split[key].data)
        file.flush()
        os.fsync(file.fileno())


def ours(path: Path, out: Path) -> None:
    from affectflow.workflows.importing import import_features

    import_features(path, out / "corpus", out / "features")


def measured(way: str, path: Path, out: Path) -> None:
    """Run one way and print seconds, and peaks of all memory and of the process' own, in MB."""
    peaks = {"VmRSS": 0, "RssAnon": 0}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            status = Path("/proc/self/status").read_text()
            for name in peaks:
                peaks[name] = max(peaks[name], int(status.split(f"{name}:")[1].split()[0]))

    threading.Thread(target=watch, daemon=True).start()
    if way == "ours":  # the program's start is not what is measured
        import h5py  # noqa: F401
        import pyarrow.parquet  # noqa: F401

        import affectflow.workflows.importing  # noqa: F401
    began = time.perf_counter()
    (ours if way == "ours" else bare)(path, out)
    seconds = time.perf_counter() - began
    over.set()
    print(seconds, *(peak * 1024 / 1e6 for peak in peaks.values()))


def in_turns(path: Path, folder: Path, turns: int) -> dict[str, list[float]]:
    best: dict[str, list[float]] = {}
    for turn in range(turns):
        for way in ("bare", "ours"):
            out = folder / f"{way}{turn}"
            env = {**os.environ, "XDG_CACHE_HOME": str(folder / f"xdg{turn}")}
            command = [sys.executable, __file__, "--run", way, str(path), str(out)]
            found = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
            figures = [float(x) for x in found.stdout.split()[-3:]]
            print(f"# {way}: {figures[0]:.2f} s, {figures[1]:.0f} MB, own {figures[2]:.0f} MB")
            best[way] = min(best.get(way, figures), figures)
            subprocess.run(["rm", "-rf", str(out)], check=True)
    return best


def training_start(folder: Path) -> float:
    """Seconds from the call of ``run`` to the first epoch of a fit on features of MOSI's size."""
    from affectflow.train.loop import Loop  # with torch: its start is not what is measured
    from affectflow.workflows.importing import import_features
    from affectflow.workflows.run import run

    path = folder / "mosi.pkl"
    make(path, MOSI, MOSI_SHAPES)
    done = import_features(path, folder / "mosi", folder / "mosi-features")
    first: list[float] = []
    epoch = Loop.epoch

    def noted(loop):
        first.append(time.perf_counter() - began)
        return epoch(loop)

    Loop.epoch = noted
    recipe = Path(done.recipe)
    recipe.write_text(recipe.read_text().replace("fit: mult", "fit: lf-dnn"))  # its epoch is short
    once = ["mult.epochs=1", "mult.seeds=1"]
    began = time.perf_counter()
    run(recipe, folder / "mosi-features", scheduler="sync", overrides=once)
    return first[0]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", type=float, default=0.1, help="of MOSEI's utterances")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--folder", help="where the files go [default: a temporary folder]")
    parser.add_argument("--run", nargs=3, metavar=("WAY", "FILE", "OUT"))
    options = parser.parse_args()
    if options.run:
        way, path, out = options.run
        return measured(way, Path(path), Path(out))
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        path = folder / "unaligned_50.pkl"
        make(path, {s: max(2, int(n * options.scale)) for s, n in SPLITS.items()}, SHAPES)
        size = path.stat().st_size / 1e6
        best = in_turns(path, folder, options.turns)
        print(f"figure size of the pickle = {size:.0f} MB")
        print(f"figure time over the bare way = {best['ours'][0] / best['bare'][0]:.2f} times")
        print(f"figure peak memory over the file = {best['ours'][1] / size:.2f} times")
        print(f"figure own memory over the file = {best['ours'][2] / size:.2f} times")
        path.unlink()
        print(f"figure start to first epoch, MOSI's size = {training_start(folder):.2f} s")
    return None


if __name__ == "__main__":
    main()
