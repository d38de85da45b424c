"""Peak memory of training base-size encoders: each alone, and all three with a fusion.

Random weights from the real configuration classes (bert-base, hubert-base, swin3d_t), batches of 8
utterances of 10 s: 64 tokens, 500 rows of sound, 100 pictures of 128 x 128. What is trained is what
the recipe boosting_msa trains: all layers above the embeddings, above the positional convolution,
and all of Video Swin. A process each; the peak is that of two steps with Adam.

    OMP_NUM_THREADS=2 python benchmarks/finetune.py [text audio vision joint] [--kept]
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from affectflow.cache.table import FeatureTable
from affectflow.extract.cut import upper_of
from affectflow.extract.registry import extractor
from affectflow.train.batches import Part
from affectflow.train.dataset import Input, join
from affectflow.train.loop import Loop
from affectflow.train.prepare import prepare
from affectflow.train.registry import fit_settings, network_class
from affectflow.train.seeds import Streams
from affectflow.train.targets import Target

BATCH, LIMIT = 8, 22.0
#: Modality -> rows of 10 s, and whether the recipe recomputes what happens inside the encoder.
ROWS = {"text": 64, "audio": 500, "vision": 100}
TASKS = {"text": "T", "audio": "A", "vision": "V"}


def lower(modality: str, folder: Path):
    """The node below the layers that are trained, of a base-size model with random weights."""
    import transformers as tf
    from torchvision.models.video import swin3d_t

    if modality == "text":
        tf.BertModel(tf.BertConfig(vocab_size=21128)).save_pretrained(folder)
        (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
        tf.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
        return extractor("hf-text", model=str(folder), layer=0, dtype="float32")
    if modality == "audio":
        tf.HubertModel(tf.HubertConfig()).save_pretrained(folder)
        tf.Wav2Vec2FeatureExtractor().save_pretrained(folder)
        return extractor("hf-speech", model=str(folder), layer=0)
    folder.mkdir(exist_ok=True)
    torch.save(swin3d_t().state_dict(), folder / "swin.pth")
    return extractor("swin3d", checkpoint=str(folder / "swin.pth"), layer=0)


def given(modality: str, folder: Path, ids: list[str]) -> Input:
    """Ten seconds of noise for each utterance, and the layers above."""
    made = lower(modality, folder)
    n, shape = ROWS[modality] * len(ids), made.spec["values"].shape
    rng = np.random.default_rng(0)
    if modality == "vision":
        values = rng.integers(0, 256, (n, *shape), np.uint8)
    else:
        values = rng.standard_normal((n, *shape), np.float32)
    offsets = np.arange(0, n + 1, ROWS[modality])
    table = FeatureTable(tuple(ids), values, offsets, np.ones(n, bool), np.full((n, 2), np.nan))
    return Input(modality, modality, table, upper_of(made))


def measure(what: str, recompute: bool) -> None:
    """In a process of its own: two steps; print seconds a step and the peak in bytes."""
    modalities = list(ROWS) if what == "joint" else [what]
    name = "joint-mult" if what == "joint" else "finetune"
    tasks = [TASKS[m] for m in modalities] + (["M"] if what == "joint" else [])
    model, training = fit_settings(name, seeds=1, batch_size=BATCH, recompute=recompute)
    ids = [f"v/{i}" for i in range(BATCH)]
    with tempfile.TemporaryDirectory() as folder:
        inputs = [given(m, Path(folder) / m, ids) for m in modalities]
        labels = {task: np.linspace(-1, 1, BATCH) for task in tasks}
        data = prepare(model, training, join(ids, ["train"] * BATCH, labels, inputs), {})
    truth = np.stack(list(labels.values()), axis=1)
    part = Part(data.readings, truth, "cpu")
    streams = Streams(training.seeds)
    net = network_class(name)(model, data.specs, tasks, streams, (), data.encoders)
    data.encoders.clear()
    targets = [Target(task) for task in tasks]
    loop = Loop(net, training, streams, part, part, targets, tasks[-1])
    loop.epoch()
    begin = time.perf_counter()
    loop.epoch()
    seconds = time.perf_counter() - begin
    n = sum(p.numel() for p in net.parameters())
    status = Path("/proc/self/status").read_text()
    print(seconds, int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024, n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", nargs="*", default=[*ROWS, "joint"])
    parser.add_argument("--kept", action="store_true", help="without gradient checkpointing")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        measure(asked.what[0], not asked.kept)
        return
    over = []
    for what in asked.what:
        told = [sys.executable, __file__, what, "--measure", *(["--kept"] if asked.kept else [])]
        done = subprocess.run(told, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{what}: not measured: {done.stderr.strip().splitlines()[-1:]}")
        seconds, peak, n = done.stdout.split()[-3:]
        own = f"finetune_{what}" + ("_kept" if asked.kept else "")
        print(f"{what}: {int(n) / 1e6:.0f} million weights")
        print(f"figure {own}_peak = {int(peak) / 1e9:.2f} GB")
        print(f"figure {own}_step = {float(seconds):.1f} s", flush=True)
        over += [what] if int(peak) / 1e9 > LIMIT else []
    if over:
        raise SystemExit(f"over {LIMIT} GB: {', '.join(over)}")


if __name__ == "__main__":
    main()
