"""The network of a Hugging Face folder that reads text, and what it can take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...cache.errors import BadCall
from ..hf_folder import model_config
from ..hf_model import load_network

#: Names of the tables of learned positions.
POSITIONS = ("position_embeddings", "position_embedding", "embed_positions", "wpe")


def text_network(folder: Path) -> Any:
    """The network of a folder that maps token ids to hidden states, in float32; see ``hf_model``.

    Raises:
        BadCall: it cannot be loaded, its weights are not whole, or it reads no text.
    """
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES as TWO_PARTS,
    )

    # Poolers stand after the hidden states; checkpoints of masked language models lack them.
    two_parts = model_config(str(folder), "").get("model_type") in TWO_PARTS
    model = load_network(folder, unused=("pooler", *(["decoder."] if two_parts else [])))
    if two_parts:
        model = model.get_encoder()
    if not count_ids(model):
        raise BadCall(
            f"the model in {folder} is of the family '{model.config.model_type}', which does not "
            "encode text alone: it has no table of tokens"
        )
    model.config.use_cache = False  # nothing is generated, so no decoder needs its past
    return model


def count_ids(model: Any) -> int:
    """Rows of a network's table of tokens; 0 where it has none."""
    try:
        weight = getattr(model.get_input_embeddings(), "weight", None)
    except NotImplementedError:  # of models of several parts, such as CLIP
        return 0
    return len(weight) if weight is not None and weight.dim() == 2 else 0


def dense_limit(model: Any) -> int | None:
    """Tokens up to which a network with attention in blocks lets all attend to all."""
    config = model.config
    if getattr(config, "attention_type", None) != "block_sparse":
        return None
    return int((5 + 2 * config.num_random_blocks) * config.block_size)


def position_limit(tokenizer: Any, model: Any) -> int | None:
    """Tokens the model reads at once: what the tokenizer says, and its positions.

    Those are the rows of a table of learned positions, and as many as the configuration says that
    the model was made for. Where it sees only how far tokens stand apart (DeBERTa), that number
    says where distances stop to differ, and is no limit.
    """
    limits = []
    if tokenizer.model_max_length < 1 << 30:  # a huge number stands for "not said"
        limits.append(int(tokenizer.model_max_length))
    for name, module in model.named_modules():
        if name.endswith(POSITIONS) and hasattr(module, "weight"):
            # RoBERTa and its kin number positions from behind the padding's, BART from an offset.
            padding = getattr(module, "padding_idx", None)
            skipped = 0 if padding is None else padding + 1
            limits.append(len(module.weight) - max(skipped, getattr(module, "offset", 0)))
    made_for = getattr(model.config, "max_position_embeddings", None)
    apart = getattr(model.config, "relative_attention", False)
    if isinstance(made_for, int) and made_for > 0 and not apart:  # XLNet says -1
        limits.append(made_for)
    return min(limits, default=None)
