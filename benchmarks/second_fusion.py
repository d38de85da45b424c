"""Two-step training: from the command for a further fusion to its first epoch, encoders being done.

The size of CH-SIMS v2: 4,402 utterances of 4.4 s, sequences of 768 columns (20 tokens, 220 rows of
sound, 22 of sight) as step 1 of the recipe boosting_msa leaves them in the cache; here they are
noise, and the extracts before them a row each. Timed are commands as a user gives them, another
model and another seed, from the start of the process to the start of the first epoch.

    python benchmarks/second_fusion.py [--n 4402] [--scheduler processes]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from affectflow.cache import checkpoints
from affectflow.cache.corpus import Corpus
from affectflow.cache.records import Features, Utterance, frame_times, no_times
from affectflow.workflows.encoding import encode_spec
from affectflow.workflows.nodes import Encode, Extract, Fit
from affectflow.workflows.run import look

WIDTH = 768
#: Encode -> rows of an utterance on average.
ROWS = {"text": 1, "audio": 1, "vision": 1, "text_s": 20, "audio_s": 220, "vision_s": 22}
#: Notes in a file when the first epoch of a fit starts, in whatever process that is.
HOOK = """
import sys, time, os
from importlib.machinery import PathFinder

class Noting(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        found = PathFinder.find_spec(name, path, target)
        if name == "affectflow.train.loop":
            load = found.loader.exec_module
            def exec_module(module):
                load(module)
                epoch = module.Loop.epoch
                def noted(self):
                    with open(os.environ["FIRST_EPOCH"], "a") as file:
                        file.write(f"{time.time()}\\n")
                    return epoch(self)
                module.Loop.epoch = noted
            found.loader.exec_module = exec_module
        return found

sys.meta_path.insert(0, Noting)
"""


def models(folder: Path) -> list[str]:
    """Tiny models, for their digests; nothing is computed with them."""
    import torch
    import transformers as tf
    from torchvision.models.video import swin3d_t

    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    tf.BertModel(tf.BertConfig(vocab_size=9, **small)).save_pretrained(folder / "bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (folder / "bert" / "vocab.txt").write_text("\n".join(words))
    tf.BertTokenizer(str(folder / "bert" / "vocab.txt")).save_pretrained(folder / "bert")
    tf.HubertModel(tf.HubertConfig(**small)).save_pretrained(folder / "hubert")
    tf.Wav2Vec2FeatureExtractor().save_pretrained(folder / "hubert")
    torch.save(swin3d_t().state_dict(), folder / "swin.pth")
    places = {"words.model": "bert", "speech.model": "hubert", "pixels.checkpoint": "swin.pth"}
    return [f"{setting}={folder / name}" for setting, name in places.items()]


def make_corpus(folder: Path, n: int) -> None:
    """Utterances with a file and labels of their own."""
    rng = np.random.default_rng(0)
    (folder / "media").mkdir()
    given = []
    for i in range(n):
        media = folder / "media" / f"{i}.mp4"
        media.write_bytes(rng.bytes(64))
        labels = dict(zip("MTAV", rng.uniform(-1, 1, 4).round(1).tolist(), strict=True))
        split = ("train", "train", "train", "valid", "test")[i % 5]
        given.append(Utterance(f"v/{i}", str(media), text=f"{i}", split=split, labels=labels))
    made = Corpus.from_utterances(given, name="sims2", family="sims", label_range=(-1, 1))
    made.write(folder / "corpus.parquet")


def fill(root: Path, folder: Path, settings: list[str]) -> None:
    """Leave in the store what step 1 would: a row for each extract, checkpoints, sequences."""
    names = ("sf", "tfn", "mult")
    loaded, corpus, board = look("boosting_msa", root, folder, (), settings, names, again=False)
    store, rng = board.store, np.random.default_rng(0)
    for node in loaded.workflow:
        state = board.look(node)
        if isinstance(node, Extract):
            spec = loaded.workflow.spec(node)
            blank = Features(
                np.zeros((1, *spec["values"].shape), spec["values"].dtype),
                no_times(1),
                spec["values"].columns,
                more={
                    name: Features(np.zeros((1, *a.shape), a.dtype), no_times(1), a.columns)
                    for name, a in spec.items()
                    if name != "values"
                },
            )
            items = dict.fromkeys(state.keys, blank)
            store.add([store.write(state.fingerprint, items, spec=spec, origin=board.origin(node))])
        elif isinstance(node, Fit) and node.name.startswith("tune"):
            meta = {"model": "finetune", "seeds": [{"seed": 0}], "chosen": 0}
            weights = {"net.weight": np.zeros((1, 1), np.float32)}
            meta["description"] = board.fit_description(node)
            checkpoints.publish(root, state.fingerprint, weights, meta)
        elif isinstance(node, Encode):
            write_rows(board, state, node, rng)
        board.look(node)
    print(f"{len(corpus.ids)} utterances")


def write_rows(board, state, node, rng) -> None:
    """Noise in the place of an encode's features, in shards as a run writes them."""
    store, mean = board.store, ROWS[node.name]
    spec, origin = None, {"description": board.encode_description(node), "libraries": {}}
    for start in range(0, len(state.keys), 256):
        items = {}
        for key in state.keys[start : start + 256]:
            n = mean if mean == 1 else int(rng.integers(mean // 2, mean * 3 // 2))
            values = rng.standard_normal((n, WIDTH), np.float32)
            made = Features(values, frame_times(n, 4.4 / n))
            spec = encode_spec(made, node.dtype)
            items[key] = made.cast(spec)
        store.add([store.write(state.fingerprint, items, spec=spec, origin=origin)])


def first_epoch(words: list[str], folder: Path) -> float:
    """Seconds from the start of a command to that of its first epoch; the command is ended then."""
    noted = folder / f"noted{time.time_ns()}"
    path = os.pathsep.join([str(folder / "hook"), os.environ.get("PYTHONPATH", "")])
    begin = time.time()
    running = subprocess.Popen(
        [sys.executable, "-m", "affectflow", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "FIRST_EPOCH": str(noted)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while not noted.exists() and running.poll() is None:
        time.sleep(0.02)
    trained = noted.exists()
    if trained:
        time.sleep(0.1)  # until the line is written
        running.terminate()
    told, _ = running.communicate()
    if not trained:
        raise SystemExit(f"nothing was trained: {told}")
    return float(noted.read_text().split()[0]) - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n", type=int, default=4402)
    parser.add_argument("--scheduler", default="processes")
    parser.add_argument("--folder", type=Path, help="where to write; default: temporary")
    parser.add_argument("--times", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as scratch:
        folder = Path(scratch)
        os.environ["XDG_CACHE_HOME"] = str(folder / "xdg")
        (folder / "hook").mkdir()
        (folder / "hook" / "sitecustomize.py").write_text(HOOK)
        make_corpus(folder, asked.n)
        settings = models(folder)
        fill(folder / "cache", folder, settings)
        given = [word for one in settings for word in ("--set", one)]
        common = ["--corpus", str(folder), "--cache", str(folder / "cache"), *given]
        common += ["--scheduler", asked.scheduler]
        for node in ("sf", "tfn", "mult"):
            taken = []
            for seed in range(100, 100 + asked.times):
                own = ["--set", f"{node}.seeds=[{seed}]", "--set", f"{node}.epochs=1"]
                words = ["run", "boosting_msa", *common, "--until", node, *own]
                taken.append(first_epoch(words, folder))
            print(f"figure second_fusion_{node} = {statistics.median(taken):.2f} s", flush=True)


if __name__ == "__main__":
    main()
