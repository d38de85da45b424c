"""Speed of hf-speech, from media file to cached shard, beside the bare model; peak memory.

    python benchmarks/hf_speech.py [--utterances 200] [--threads N] [--rounds 2]
                                   [--precisions float32,bfloat16] [--model FOLDER]
    python benchmarks/hf_speech.py --memory two-hours | corpus [--layers 12] [--share 1.0]

Without a model a random one of HuBERT-base's configuration is made. The utterances last 1 to 12 s
and are cut from the sound of the demo corpus: wav files of 44.1 kHz. In each round take turns:

    node    `affectflow.run` with the scheduler ``sync``: digest, decode, model, shard;
    bare    the split model (convolutions over each utterance alone, padding after them) fed with
            normalised tensors that are ready, in the best of several batchings;
    alone   librosa.load and the model in float32, one utterance at a time.

The best round of each counts. ``--memory`` runs one node in a process of its own and prints its
peak resident memory: a recording of two hours, or 5,000 utterances; or a ``--share`` of them.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

RATE = 16000
NATIVE = 44100
#: Padded rows of a batch that the bare model is tried with; 1: one utterance at a time.
BUDGETS = (1, 400, 1000, 2000, 4000)


def random_hubert(folder: Path, layers: int, narrow: bool = False) -> None:
    """A model of HuBERT-base's configuration; ``narrow``: with thin convolutions."""
    import torch
    from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

    torch.manual_seed(0)
    more = {"conv_dim": (32,) * 7} if narrow else {}
    HubertModel(HubertConfig(num_hidden_layers=layers, **more)).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)


def demo_sound(folder: Path) -> np.ndarray:
    """Sound of the demo corpus, one clip after another, (n,) float32 at ``NATIVE`` Hz."""
    from affectflow.extract.media import read_audio
    from affectflow.workflows.demo.corpus import make_demo

    corpus = make_demo(folder, n=12)
    return np.concatenate([read_audio(u.media, NATIVE).samples for u in corpus])


def cut(sound: np.ndarray, seconds: np.ndarray, folder: Path) -> list[Path]:
    """Wav files of these lengths from places all over the sound, which goes round."""
    import scipy.io.wavfile

    random = np.random.default_rng(1)
    folder.mkdir()
    files = []
    for i, length in enumerate(seconds):
        n, start = round(length * NATIVE), random.integers(len(sound))
        piece = np.take(sound, np.arange(start, start + n), mode="wrap")
        path = folder / f"{i:05}.wav"
        scipy.io.wavfile.write(path, NATIVE, np.round(piece * 32767).astype(np.int16))
        files.append(path)
    return files


def node(files: list[Path], model: Path, folder: Path, **settings: str) -> float:
    """Seconds that a run over the files takes, with a cache of its own."""
    from one_node import seconds_of

    from affectflow.extract.registry import extractor

    columns = {"id": [f.stem for f in files], "media": [str(f) for f in files]}
    return seconds_of(extractor("hf-speech", model=str(model), **settings), columns, folder)


class Bare:
    """The network itself, its convolutions run over each utterance alone."""

    def __init__(self, model: Path, precision: str) -> None:
        import torch
        from transformers import AutoModel

        self.dtype = getattr(torch, precision)
        self.network = AutoModel.from_pretrained(model, dtype=self.dtype).eval()

    def prepared(self, sounds: list[np.ndarray]) -> list:
        import torch

        normal = [(s - s.mean()) / np.sqrt(s.var() + 1e-7) for s in sounds]
        return [torch.from_numpy(s)[None].to(self.dtype) for s in normal]

    def run(self, tensors: list, budget: int) -> float:
        """Seconds for all of them, longest first, in batches of at most ``budget`` padded rows."""
        import torch

        order = sorted(range(len(tensors)), key=lambda i: -tensors[i].shape[1])
        begin = time.perf_counter()
        with torch.inference_mode():
            while order:
                n = max(1, budget // (tensors[order[0]].shape[1] // 320))
                batch, order = order[:n], order[n:]
                seen = [self.network.feature_extractor(tensors[i])[0].T for i in batch]
                padded = torch.nn.utils.rnn.pad_sequence(seen, batch_first=True)
                lengths = torch.tensor([len(part) for part in seen])
                mask = torch.arange(padded.shape[1]) < lengths[:, None]
                hidden = self.network.feature_projection(padded)
                self.network.encoder(hidden, attention_mask=mask if len(batch) > 1 else None)
        return time.perf_counter() - begin


def alone(files: list[Path], model: Path) -> float:
    """Seconds of what is done without this package: load, prepare, run, one after another."""
    import librosa
    import torch
    from transformers import AutoFeatureExtractor, AutoModel

    network = AutoModel.from_pretrained(model).eval()
    prepare = AutoFeatureExtractor.from_pretrained(model)

    def one(path: Path) -> np.ndarray:
        samples, _ = librosa.load(path, sr=RATE)
        ready = prepare(samples, sampling_rate=RATE, return_tensors="pt")
        return network(**ready).last_hidden_state[0].numpy()

    with torch.inference_mode():
        one(files[0])
        begin = time.perf_counter()
        for path in files:
            one(path)
        return time.perf_counter() - begin


def compare(asked: argparse.Namespace, model: Path, folder: Path) -> None:
    """Print the ratios of speed."""
    from affectflow.extract.media import read_audio

    random = np.random.default_rng(0)
    sound = demo_sound(folder / "demo")
    files = cut(sound, random.uniform(1, 12, asked.utterances), folder / "wav")
    warm = cut(sound, random.uniform(1, 12, 4), folder / "warm")
    time.sleep(2.1)  # files changed in the last two seconds are not remembered
    sounds = [read_audio(f, RATE).samples for f in files]
    seconds = sum(map(len, sounds)) / RATE
    print(f"{len(files)} utterances, {seconds:.0f} s of sound")
    best_alone = np.inf
    bests: dict[str, tuple[float, float, int]] = {}
    for precision in asked.precisions.split(","):
        bare = Bare(model, precision)
        tensors = bare.prepared(sounds)
        few = tensors[:: max(1, len(tensors) // 40)]
        bare.run(few, 1000)
        budget = min(BUDGETS, key=lambda rows: bare.run(few, rows))
        node(warm, model, folder, precision=precision)
        ours = theirs = np.inf
        for _ in range(asked.rounds):
            ours = min(ours, node(files, model, folder, precision=precision))
            theirs = min(theirs, bare.run(tensors, budget))
            best_alone = min(best_alone, alone(files, model))
        bests[precision] = ours, theirs, budget
    for precision, (ours, theirs, budget) in bests.items():
        name = f"hf_speech_{precision}"
        print(f"bare {precision}: best with {budget} padded rows a batch, {theirs:.1f} s")
        print(f"figure {name}_seconds_per_second = {seconds / ours:.2f} s/s")
        print(f"figure {name}_speed_to_bare_model = {theirs / ours:.2f} ratio")
        print(f"figure {name}_speed_to_one_by_one = {best_alone / ours:.2f} ratio")


def memory(asked: argparse.Namespace, model: Path, folder: Path) -> None:
    """Print the peak memory of one node; the sound is noise, in pieces of one file."""
    import scipy.io.wavfile

    from affectflow.workflows.cluster import KEEP_MEMORY

    random = np.random.default_rng(0)
    whole = asked.memory == "two-hours"
    n = round(5000 * asked.share)
    lengths = [7199.0 * asked.share] if whole else random.uniform(1, 12, n)
    (folder / "wav").mkdir()
    noise = (3000 * random.standard_normal(RATE * 60)).astype(np.int16)
    for i, length in enumerate(lengths):
        n = round(length * RATE)
        piece = np.resize(np.roll(noise, -31 * i), n)
        scipy.io.wavfile.write(folder / f"wav/{i:05}.wav", RATE, piece)
    command = [sys.executable, __file__, "--node", str(model), "--folder", str(folder)]
    keep = {"MALLOC_TRIM_THRESHOLD_": KEEP_MEMORY, "MALLOC_MMAP_THRESHOLD_": KEEP_MEMORY}
    subprocess.run(command, check=True, env={**os.environ, **keep})


def one_node(model: Path, folder: Path) -> None:
    """In a process of its own: run, and print what it took."""
    files = sorted((folder / "wav").iterdir())
    seconds = node(files, model, folder)
    # ru_maxrss would begin with what the parent held: it made the model and the sound.
    status = Path("/proc/self/status").read_text()
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 2**20
    print(f"{len(files)} files in {seconds:.0f} s")
    print(f"figure hf_speech_peak_memory = {peak:.2f} GiB")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--utterances", type=int, default=200)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--precisions", default="float32,bfloat16")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--narrow", action="store_true", help="thin convolutions, to be quick")
    parser.add_argument("--memory", choices=("two-hours", "corpus"))
    parser.add_argument("--share", type=float, default=1.0, help="part of them, to be quick")
    parser.add_argument("--node", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        os.environ.setdefault("XDG_CACHE_HOME", f"{made}/xdg")
        if asked.threads:
            import torch

            torch.set_num_threads(asked.threads)
        if asked.node:
            one_node(asked.node, asked.folder)
            return
        model = asked.model or Path(made) / "model"
        if asked.model is None:
            random_hubert(model, asked.layers, asked.narrow)
        (memory if asked.memory else compare)(asked, model, Path(made))


if __name__ == "__main__":
    main()
