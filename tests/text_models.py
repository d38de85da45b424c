"""Tiny random text models with a WordPiece tokenizer, saved as real ones are.

Tests get this module as the fixture ``text_models``.
"""

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
#: Where the special tokens stand: XLNet's come last.
TEMPLATES = {"xlnet": "$A [SEP] [CLS]:2"}


def save_tokenizer(folder, words, kind="bert", typed=True):
    """A lower-casing WordPiece tokenizer of these tokens; returns how many there are in all.

    ``typed``: it gives the types of tokens (first text, second one), too, as BERT's does.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    numbers = {token: i for i, token in enumerate(dict.fromkeys([*SPECIAL, *words]))}
    tokenizer = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=TEMPLATES.get(kind, "[CLS] $A [SEP]"), special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {f"{n}_token": f"[{n.upper()}]" for n in ("pad", "unk", "cls", "sep", "mask")}
    reads = ["input_ids", *(["token_type_ids"] if typed else []), "attention_mask"]
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_input_names=reads, **names
    ).save_pretrained(folder)
    return len(numbers)


def letters_of(texts):
    """Tokens that any of these texts can be made of: their letters, first ones and later ones."""
    letters = sorted({letter for text in texts for letter in text.lower() if letter.strip()})
    return [*letters, *(f"##{letter}" for letter in letters)]


def configuration(kind, n_tokens, layers, spread=0.02):
    """Of a tiny BERT, XLNet, ConvBERT or DeBERTa; its weights' standard deviation is ``spread``."""
    import transformers as tf

    if kind == "xlnet":
        return tf.XLNetConfig(vocab_size=n_tokens, d_model=16, n_layer=layers, n_head=2, d_inner=32)
    size = {"vocab_size": n_tokens, "hidden_size": 16, "num_hidden_layers": layers}
    size |= {"num_attention_heads": 2 if kind == "bert" else 4, "intermediate_size": 32}
    size |= {"initializer_range": spread}
    if kind == "convbert":
        return tf.ConvBertConfig(**size, embedding_size=16)
    if kind == "deberta":
        return tf.DebertaConfig(**size, relative_attention=True, pos_att_type=["p2c", "c2p"])
    return tf.BertConfig(**size)


def save_model(folder, kind, words, layers=2, seed=0, spread=0.02):
    """A random text model, and a tokenizer that knows these words."""
    import torch
    import transformers as tf

    n_tokens = save_tokenizer(folder, words, kind)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tf.AutoModel.from_config(configuration(kind, n_tokens, layers, spread)).save_pretrained(
            folder
        )
    return folder
