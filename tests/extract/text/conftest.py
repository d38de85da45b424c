"""Tiny random encoders, saved as real ones are: configuration, safetensors, tokenizer."""

import zlib

import numpy as np
import pytest

TEMPLATES = {"xlnet": "$A [SEP] [CLS]:2", "gpt2": "$A [SEP]"}
WORDS = "the film was not good but we all love this very happy song so much and it has no end"


def _wordpiece(folder, template):
    """A lower-casing WordPiece tokenizer over the letters and the words above."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, ",", ".", "!"]
    vocabulary += [f"##{letter}" for letter in letters] + sorted({*WORDS.split()} - {*letters})
    numbers = {token: number for number, token in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {f"{n}_token": f"[{n.upper()}]" for n in ("pad", "unk", "cls", "sep", "mask")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    return len(vocabulary)


def _bpe(folder):
    """A byte-level BPE tokenizer trained on the words above, as RoBERTa's."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([WORDS] * 3, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    names = {"cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
    names |= {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    return tokenizer.get_vocab_size()


def _configuration(kind, n_ids):
    import transformers as tf

    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    size |= {"intermediate_size": 64, "vocab_size": n_ids}
    if kind == "bert":
        return tf.BertConfig(**size, max_position_embeddings=64)
    if kind == "roberta":
        return tf.RobertaConfig(**size, max_position_embeddings=66, pad_token_id=1)
    if kind == "deberta-v2":
        return tf.DebertaV2Config(
            **size,
            relative_attention=True,
            pos_att_type=["c2p", "p2c"],
            position_biased_input=False,
            position_buckets=16,
            share_att_key=True,
            norm_rel_ebd="layer_norm",
        )
    if kind == "xlnet":
        return tf.XLNetConfig(vocab_size=n_ids, d_model=32, n_layer=2, n_head=4, d_inner=64)
    if kind == "gpt2":
        return tf.GPT2Config(vocab_size=n_ids, n_embd=32, n_layer=2, n_head=4, n_positions=64)
    if kind == "t5":
        return tf.T5Config(vocab_size=n_ids, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    return tf.ConvBertConfig(**size, embedding_size=32, max_position_embeddings=64)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """Folder of a tiny random model of a kind (``bert``, ``roberta``, ...), made once."""
    made = {}

    def make(kind):
        if kind not in made:
            import torch
            from transformers import AutoModel

            folder = tmp_path_factory.mktemp(kind)
            template = TEMPLATES.get(kind, "[CLS] $A [SEP]")
            n_ids = _bpe(folder) if kind == "roberta" else _wordpiece(folder, template)
            model = AutoModel.from_config(_configuration(kind, n_ids))
            for name, parameter in model.named_parameters():
                # By name, so that they are the same in every version of the libraries.
                random = np.random.default_rng(zlib.crc32(name.encode()))
                values = 0.15 * random.standard_normal(tuple(parameter.shape), np.float32)
                if "norm" in name.lower() and name.endswith("weight"):
                    values += 1
                parameter.data = torch.from_numpy(values)
            model.save_pretrained(folder)
            made[kind] = folder
        return made[kind]

    return make
