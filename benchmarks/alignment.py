"""Speed of what makes words of sound: forced alignment, time warping, pooling, recognisers.

    python benchmarks/alignment.py [--minutes 10] [--seconds 30] [--rounds 3] [--models]

``align`` is the Viterbi path alone, on random posteriors of 50 frames and 12 characters a second,
as a real-time factor: seconds of work a second of sound (below 1 is quicker than real time), for
utterances of 10 s and for one long sound. ``warp`` stands beside the same in transformers, which
goes cell by cell. With ``--models`` the whole nodes are timed too, on random weights of
wav2vec 2.0's base configuration (a CTC head of 32 characters): network, path and rows.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from affectflow.cache.records import Features, frame_times
from affectflow.extract.clip import Clip, Waveform
from affectflow.extract.pool_words import pool
from affectflow.extract.text.ctc import align
from affectflow.extract.text.dtw import warp

FRAMES, CHARACTERS, LETTERS = 50, 12, 32  # a second, a second, in all
RATE = 16_000


def best(work: Callable[[], object], rounds: int) -> float:
    found = []
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        found.append(time.perf_counter() - begin)
    return min(found)


def figure(name: str, value: float, unit: str) -> None:
    print(f"figure alignment_{name} = {value:.3g} {unit}", flush=True)


def posteriors(seconds: float) -> tuple[np.ndarray, list[int]]:
    random = np.random.default_rng(0)
    logits = random.standard_normal((round(seconds * FRAMES), LETTERS)).astype(np.float32)
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return log_probs, random.integers(1, LETTERS, round(seconds * CHARACTERS)).tolist()


def paths(options: argparse.Namespace) -> None:
    short = posteriors(10)
    figure("utterance_rtf", best(lambda: align(*short), options.rounds) / 10, "of real time")
    seconds = 60 * options.minutes
    log_probs, tokens = posteriors(seconds)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    spent = best(lambda: align(log_probs, tokens), 1)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figure(f"{options.minutes:g}_minutes_rtf", spent / seconds, "of real time")
    figure(f"{options.minutes:g}_minutes_memory", (after - before) / 1024, "MiB")


def warping(options: argparse.Namespace) -> None:
    from transformers.models.whisper.generation_whisper import _dynamic_time_warping

    costs = np.random.default_rng(0).standard_normal((120, 1500))  # 120 tokens in 30 s
    ours = best(lambda: warp(costs), options.rounds)
    theirs = best(lambda: _dynamic_time_warping(costs), options.rounds)
    figure("warp", ours * 1000, "ms for 30 s")
    figure("warp_over_transformers", theirs / ours, "times as fast")


def pooling(options: argparse.Namespace) -> None:
    random = np.random.default_rng(0)
    rows = Features(random.standard_normal((500, 768), np.float32), frame_times(500, 0.02))
    times = np.sort(random.uniform(0, 10, 50)).reshape(25, 2)
    words = Features(np.ones((25, 1)), times)
    figure("pool", best(lambda: pool(words, rows), options.rounds) * 1000, "ms for 10 s x 768")


class Sound(Clip):
    """Noise of some seconds; recognisers take as long for it as for speech."""

    def audio(self, rate: int) -> Waveform:
        n = round(float(self.id) * rate)
        return Waveform(0.1 * np.random.default_rng(0).standard_normal(n, np.float32), rate)


def random_ctc(folder: Path) -> None:
    import torch
    import transformers as tf

    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps({letter: i for i, letter in enumerate(letters)}))
    tf.Wav2Vec2CTCTokenizer(str(vocabulary)).save_pretrained(folder)
    tf.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    torch.manual_seed(0)
    tf.Wav2Vec2ForCTC(tf.Wav2Vec2Config(pad_token_id=0)).save_pretrained(folder)


def nodes(options: argparse.Namespace) -> None:
    from affectflow.extract.registry import extractor
    from affectflow.extract.text.ctc_model import load_ctc

    with tempfile.TemporaryDirectory() as place:
        random_ctc(Path(place))
        n = options.seconds
        text = " ".join(["so", "good", "film"] * max(1, round(0.8 * n)))
        clip = Sound(id=str(n), media="noise", text=text)
        model = load_ctc(Path(place), "cpu")
        heard = clip.audio(RATE).samples
        model.emissions(heard[:RATE])  # warm
        network = best(lambda: model.emissions(heard), options.rounds)
        aligned = extractor("word-times", model=place)
        whole = best(lambda: aligned.extract(clip), options.rounds)
        read = extractor("asr", model=place)
        read_whole = best(lambda: read.extract(clip), options.rounds)
    figure("network_rtf", network / n, "of real time")
    figure("word_times_rtf", whole / n, "of real time")
    figure("word_times_over_network", network / whole, "of the bare network's speed")
    figure("asr_ctc_rtf", read_whole / n, "of real time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="of the long sound")
    parser.add_argument("--seconds", type=float, default=30, help="of the nodes' sound")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", action="store_true")
    options = parser.parse_args()
    paths(options)
    warping(options)
    pooling(options)
    if options.models:
        nodes(options)


if __name__ == "__main__":
    main()
