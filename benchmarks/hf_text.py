"""Speed of hf-text, from transcript to cached shard, beside the bare model; what batches change.

    python benchmarks/hf_text.py [--utterances 200] [--threads N] [--rounds 3]
                                 [--precisions float32,bfloat16] [--model FOLDER]

Without a model a random one of BERT-base's configuration is made. The transcripts are pieces of the
demo corpus' sentences, as long as what is said in 1 to 12 s. In each round take turns:

    node    `affectflow.run` with the scheduler ``sync``: split, pack, model, rows, shard;
    bare    the model fed with token ids that are ready, sorted by length, in the best of several
            batch sizes;
    alone   tokenizer and model in float32, one utterance at a time.

The best round of each counts. bfloat16 is quick only where the processor has AMX; the script says
whether this one has.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from pathlib import Path

import numpy as np

WORDS_A_SECOND = 2.5
BATCHES = (1, 4, 8, 16, 32, 64)


def random_bert(folder: Path) -> None:
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = re.findall(r"[a-z']+|[^\sa-z']", " ".join(spoken(0)).lower())
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *sorted(set(words))]
    numbers = {word: i for i, word in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {f"{n}_token": f"[{n.upper()}]" for n in ("pad", "unk", "cls", "sep")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    torch.manual_seed(0)
    BertModel(BertConfig()).save_pretrained(folder)


def spoken(seed: int) -> list[str]:
    """The words of the demo corpus, one sentence behind another."""
    from affectflow.workflows.demo.takes import plan_takes

    return " ".join(take.text for take in plan_takes(200, seed)).split()


def transcripts(n: int, seed: int) -> list[str]:
    """What is said in utterances of 1 to 12 s: pieces from all over the demo's sentences."""
    random = np.random.default_rng(seed)
    words = spoken(0)
    counts = (random.uniform(1, 12, n) * WORDS_A_SECOND).astype(int)
    starts = random.integers(len(words) - counts.max(), size=n)
    return [" ".join(words[a : a + count]) for a, count in zip(starts, counts, strict=True)]


def node(texts: list[str], model: Path, folder: Path, precision: str) -> float:
    """Seconds that a run over the transcripts takes, with a cache of its own."""
    from one_node import seconds_of

    from affectflow.extract.registry import extractor

    columns = {"id": [f"u{i:05}" for i in range(len(texts))], "text": texts}
    made = extractor("hf-text", model=str(model), precision=precision)
    return seconds_of(made, columns, folder)


class Bare:
    """The network itself, without its pooler."""

    def __init__(self, model: Path, precision: str) -> None:
        import torch
        from transformers import AutoModel

        network = AutoModel.from_pretrained(model, dtype=getattr(torch, precision)).eval()
        if getattr(network, "pooler", None) is not None:
            network.pooler = None
        self.network = network

    def batches(self, ids: list[list[int]], size: int) -> list[tuple]:
        import torch

        order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
        made = []
        for k in range(0, len(order), size):
            rows = [torch.tensor(ids[i]) for i in order[k : k + size]]
            padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
            lengths = torch.tensor([len(row) for row in rows])
            made.append((padded, (torch.arange(padded.shape[1]) < lengths[:, None]).long()))
        return made

    def run(self, batches: list[tuple]) -> float:
        """Seconds for all batches."""
        import torch

        begin = time.perf_counter()
        with torch.inference_mode():
            for ids, mask in batches:
                self.network(input_ids=ids, attention_mask=mask)
        return time.perf_counter() - begin


def alone(texts: list[str], model: Path) -> float:
    """Seconds of what is done without this package: one transcript after another."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModel.from_pretrained(model).eval()

    def one(text: str) -> np.ndarray:
        return network(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].numpy()

    with torch.inference_mode():
        one(texts[0])
        begin = time.perf_counter()
        for text in texts:
            one(text)
        return time.perf_counter() - begin


def moved(texts: list[str], model: Path, precision: str) -> float:
    """Largest difference that a batch makes, of the largest value of its text."""
    from affectflow.extract.clip import Clip
    from affectflow.extract.registry import extractor

    encode = extractor("hf-text", model=str(model), precision=precision)
    clips = [Clip(str(i), text=text) for i, text in enumerate(texts)]
    found = zip(clips, encode.many(clips), strict=True)
    pairs = [(features.values, encode.extract(clip).values) for clip, features in found]
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)


def compare(asked: argparse.Namespace, model: Path, folder: Path) -> None:
    """Print the ratios of speed."""
    import torch
    from transformers import AutoTokenizer

    texts, warm = transcripts(asked.utterances, 0), transcripts(8, 1)
    ids = AutoTokenizer.from_pretrained(model)(texts)["input_ids"]
    n_tokens = sum(map(len, ids))
    amx = torch.cpu._is_amx_tile_supported()
    print(f"{len(texts)} texts, {n_tokens} tokens, longest {max(map(len, ids))}; AMX: {amx}")
    for precision in asked.precisions.split(","):
        bare = Bare(model, precision)
        few = ids[:: max(1, len(ids) // 64)]
        bare.run(bare.batches(few, 8))
        size = min(BATCHES, key=lambda n: bare.run(bare.batches(few, n)))
        batches = bare.batches(ids, size)
        node(warm, model, folder, precision)
        ours = theirs = one_by_one = np.inf
        for _ in range(asked.rounds):
            ours = min(ours, node(texts, model, folder, precision))
            theirs = min(theirs, bare.run(batches))
            one_by_one = min(one_by_one, alone(texts, model))
        name = f"hf_text_{precision}"
        print(f"bare {precision}: best with {size} texts a batch, {theirs:.1f} s")
        print(f"figure {name}_tokens_per_second = {n_tokens / ours:.0f} 1/s")
        print(f"figure {name}_speed_to_bare_model = {theirs / ours:.2f} ratio")
        print(f"figure {name}_speed_to_one_by_one = {one_by_one / ours:.2f} ratio")
        difference = moved(texts[:40], model, precision)
        print(f"figure {name}_batch_difference = {difference:.2g} of_largest", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--utterances", type=int, default=200)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precisions", default="float32,bfloat16")
    parser.add_argument("--model", type=Path)
    asked = parser.parse_args()
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()
    if asked.threads:
        os.environ["OMP_NUM_THREADS"] = str(asked.threads)
        torch.set_num_threads(asked.threads)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        os.environ["XDG_CACHE_HOME"] = str(folder / "memory")
        model = asked.model or folder / "model"
        if asked.model is None:
            random_bert(model)
        time.sleep(2.1)  # files changed in the last two seconds are not remembered
        compare(asked, model, folder)


if __name__ == "__main__":
    main()
