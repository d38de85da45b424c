"""Tiny random encoders, saved as real ones are: configuration, safetensors, tokenizer."""

import string
import zlib

import numpy as np
import pytest

#: Decoders have no token for padding, and most add none to a text.
DECODERS = {"gpt2": None, "llama": "<s> $A", "qwen2": None, "qwen3": None}
BYTE_LEVEL = ("roberta", "xlm-r", *DECODERS)
DEBERTA = {
    "relative_attention": True,
    "position_biased_input": False,
    "position_buckets": 16,
    "share_att_key": True,
}
WORDS = "the film was not good but we all love this very happy song so much and it has no end"


#: Tokens of the WordPiece models.
TOKENS = [*string.ascii_lowercase, ",", ".", "!", *(f"##{x}" for x in string.ascii_lowercase)]
TOKENS += sorted({*WORDS.split()} - {*TOKENS})


def _bpe(folder, kind):
    """A byte-level BPE tokenizer trained on the words above, as RoBERTa's or a decoder's."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|endoftext|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([WORDS] * 3, trainer)
    names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    if kind not in DECODERS:
        tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
        names |= {"cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
        names |= {"pad_token": "<pad>"}
    elif DECODERS[kind]:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=DECODERS[kind], special_tokens=[("<s>", 0)]
        )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    return tokenizer.get_vocab_size()


def _configuration(kind, n_ids):
    import transformers as tf

    size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    size |= {"intermediate_size": 64, "vocab_size": n_ids}
    kv = {**size, "num_key_value_heads": 2, "max_position_embeddings": 64}
    made = {
        "bert": lambda: tf.BertConfig(**size, max_position_embeddings=64),
        "roberta": lambda: tf.RobertaConfig(**size, max_position_embeddings=66, pad_token_id=1),
        "xlm-r": lambda: tf.XLMRobertaConfig(**size, max_position_embeddings=66, pad_token_id=1),
        "big-bird": lambda: tf.BigBirdConfig(
            **size, block_size=2, num_random_blocks=1, max_position_embeddings=64
        ),
        "bigbird-pegasus": lambda: tf.BigBirdPegasusConfig(
            vocab_size=n_ids,
            d_model=32,
            encoder_layers=2,
            decoder_layers=1,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            max_position_embeddings=64,
            block_size=2,
            num_random_blocks=1,
        ),
        "electra": lambda: tf.ElectraConfig(**size, embedding_size=16, max_position_embeddings=64),
        "deberta": lambda: tf.DebertaConfig(
            **size, relative_attention=True, pos_att_type=["c2p", "p2c"], max_position_embeddings=64
        ),
        "deberta-v2": lambda: tf.DebertaV2Config(
            **size, **DEBERTA, pos_att_type=["c2p", "p2c"], norm_rel_ebd="layer_norm"
        ),
        "deberta-v2-conv": lambda: tf.DebertaV2Config(
            **size, **DEBERTA, pos_att_type=["p2c", "c2p"], conv_kernel_size=3
        ),
        "xlnet": lambda: tf.XLNetConfig(
            vocab_size=n_ids, d_model=32, n_layer=2, n_head=4, d_inner=64
        ),
        "gpt2": lambda: tf.GPT2Config(
            vocab_size=n_ids, n_embd=32, n_layer=2, n_head=4, n_positions=64
        ),
        "llama": lambda: tf.LlamaConfig(**kv),
        "qwen2": lambda: tf.Qwen2Config(**kv),
        "qwen3": lambda: tf.Qwen3Config(**kv, head_dim=8),
        "t5": lambda: tf.T5Config(
            vocab_size=n_ids, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4
        ),
        "bart": lambda: tf.BartConfig(
            vocab_size=n_ids,
            d_model=32,
            encoder_layers=2,
            decoder_layers=1,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            max_position_embeddings=64,
        ),
        "convbert": lambda: tf.ConvBertConfig(
            **size, embedding_size=32, max_position_embeddings=64
        ),
    }
    return made[kind]()


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory, text_models):
    """Folder of a tiny random model of a kind (``bert``, ``roberta``, ...), made once."""
    made = {}

    def make(kind):
        if kind not in made:
            import torch
            from transformers import AutoModel

            folder = tmp_path_factory.mktemp(kind)
            if kind in BYTE_LEVEL:
                n_ids = _bpe(folder, kind)
            else:
                n_ids = text_models.save_tokenizer(folder, TOKENS, kind, typed=False)
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
