"""Weights of a Hugging Face folder as a network that only infers; no code of theirs is run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..cache.errors import BadCall
from .hf_hub import reason

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

    try:
        with quiet():  # heads that are left out are meant to be; see below
            model, report = getattr(transformers, head).from_pretrained(
                str(folder),
                dtype=torch.float32,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are refused below, by name
            )
    except Exception as error:  # each reader of a file has errors of its own
        raise BadCall(f"the model in {folder} cannot be loaded: {reason(error)}") from error
    _check_sizes(folder, report["mismatched_keys"])
    missing = sorted(n for n in report["missing_keys"] if not any(part in n for part in unused))
    if missing:
        raise BadCall(
            f"the weights in {folder} lack {len(missing)} of the model's tensors, '{missing[0]}' "
            "for one: they would be random numbers"
        )
    return model.eval().requires_grad_(False)


def load_part(folder: Path, head: str, what: str) -> Any:
    """A tokenizer, feature extractor or image processor of a folder.

    Args:
        folder: a saved model.
        head: class of transformers that loads it, such as ``AutoTokenizer``.
        what: what a message calls it.

    Raises:
        BadCall: it cannot be loaded.
    """
    import transformers

    try:
        with quiet():
            return getattr(transformers, head).from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False
            )
    except Exception as error:  # each of their readers has errors of its own
        raise BadCall(f"the {what} in {folder} cannot be loaded: {reason(error)}") from error


def _check_sizes(folder: Path, mismatched: Any) -> None:
    """Refuse weights whose tensors have other shapes than the configuration gives them.

    Raises:
        BadCall: names one of them, with both shapes.
    """
    if mismatched:
        name, found, wanted = sorted(mismatched)[0]
        raise BadCall(
            f"the weights in {folder} are not of the model in its config.json: '{name}' is "
            f"{tuple(found)}, not {tuple(wanted)} ({len(mismatched)} tensors differ)"
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from writing to the terminal: what matters is said by our errors."""
    from transformers.utils import logging

    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
