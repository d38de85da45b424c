"""Speed of hf-text beside the bare model, and how far batches move its numbers.

    python benchmarks/hf_text.py [MODEL] [--threads 1] [--texts 128]

Without a model a random one of BERT-base's size is made. The bare model gets token ids that are
ready, one text at a time or 32 in corpus order padded to the longest; affectflow also splits the
texts, packs by length and gathers. All run in turns in one process, the best of three counts.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

WORDS = "the film was not good but we all love this very happy song so much and it has no end"


def random_bert(folder):
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *sorted(set(WORDS.split()))]
    tokenizer = Tokenizer(
        models.WordLevel({w: i for i, w in enumerate(vocabulary)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {f"{n}_token": f"[{n.upper()}]" for n in ("pad", "unk", "cls", "sep")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    torch.manual_seed(0)
    BertModel(BertConfig(vocab_size=1000)).save_pretrained(folder)


def transcripts(n):
    """Texts as long as transcripts of clips are: log-normal, median 14 words."""
    random = np.random.default_rng(0)
    lengths = np.clip(np.exp(random.normal(np.log(14), 0.6, n)).astype(int), 2, 100)
    return [" ".join(random.choice(WORDS.split(), length)) for length in lengths]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--texts", type=int, default=128)
    options = parser.parse_args()

    import torch

    from affectflow.extract.clip import Clip
    from affectflow.extract.registry import extractor
    from affectflow.extract.text.hf_encoder import load_encoder

    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as made:
        if options.model is None:
            random_bert(made)
        encode = extractor("hf-text", model=options.model or made)
        clips = [Clip(id=str(i), text=text) for i, text in enumerate(transcripts(options.texts))]
        encoder = load_encoder(Path(options.model or made), "cpu")
        tokens = [encoder.tokens(clip.text) for clip in clips]

        def alone():
            return [encoder._run([text], None)[0] for text in tokens]

        def in_order():
            for k in range(0, len(tokens), 32):
                encoder._run(tokens[k : k + 32], None)

        def affectflow():
            return [features.values for features in encode.many(clips)]

        best = dict.fromkeys((alone, in_order, affectflow), np.inf)
        found = {}
        for _ in range(3):
            for work in best:
                begin = time.perf_counter()
                found[work] = work()
                best[work] = min(best[work], time.perf_counter() - begin)
    pairs = list(zip(found[alone], found[affectflow], strict=True))
    moved = max(np.abs(a - b).max() / np.abs(a).max() for a, b in pairs)
    close = all(np.allclose(b, a, rtol=1e-4, atol=1e-5) for a, b in pairs)
    n = sum(map(len, tokens))
    print(f"{len(clips)} texts, {n} tokens, longest {max(map(len, tokens))}")
    print(f"figure hf_text_tokens_per_second = {n / best[affectflow]:.0f} 1/s")
    print(f"figure hf_text_speed_to_model_alone = {best[alone] / best[affectflow]:.2f} ratio")
    print(f"figure hf_text_speed_to_model_batched = {best[in_order] / best[affectflow]:.2f} ratio")
    print(f"figure hf_text_batch_difference = {moved:.2g} of_largest")
    print(f"figure hf_text_batch_allclose = {int(close)} bool")


if __name__ == "__main__":
    main()
