"""Weights of a Hugging Face folder as a network that only infers; no code of theirs is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..cache.errors import BadCall

#: What a network may compute in; the setting ``precision`` of every neural extractor.
PRECISIONS = ("float32", "bfloat16", "float16")


def load_network(folder: Path, unused: tuple[str, ...] = (), head: str = "AutoModel") -> Any:
    """The network of a folder, in float32, without its heads unless one is asked for.

    Args:
        folder: a saved model; see ``model_files``.
        unused: parts of names of tensors that the caller never uses, so that they may be missing.
        head: class of transformers that loads it, such as ``AutoModelForCTC``.

    Raises:
        BadCall: it cannot be loaded, or its weights are not whole.
    """
    import torch
    import transformers
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    level = logging.get_verbosity()
    logging.set_verbosity_error()  # heads that are left out are meant to be; see below
    try:
        model, report = getattr(transformers, head).from_pretrained(
            str(folder),
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except Exception as error:  # each reader of a file has errors of its own
        reason = str(error).strip().split("\n")[0]
        raise BadCall(f"the model in {folder} cannot be loaded: {reason}") from error
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
    missing = sorted(n for n in report["missing_keys"] if not any(part in n for part in unused))
    if missing:
        raise BadCall(
            f"the weights in {folder} lack {len(missing)} of the model's tensors, '{missing[0]}' "
            "for one: they would be random numbers"
        )
    return model.eval().requires_grad_(False)
