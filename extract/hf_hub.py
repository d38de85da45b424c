"""Files of a model on the Hugging Face hub, and what to say where it does not give them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NoReturn

from ..cache.errors import BadCall


@lru_cache(maxsize=32)
def _hub_errors() -> tuple[type[Exception], ...]:
    """What asking the hub may raise; its HTTP client's own errors are no OSError."""
    from huggingface_hub import errors

    return (OSError, ValueError, errors.HTTPError)  # type: ignore[attr-defined]  # from its client


def hub_commit(model: str, revision: str) -> str:
    """The commit that a revision means, 40 hex digits.

    A model that was fetched before keeps its commit, on line and off line, until it is deleted
    from the hub's cache or another revision is named: "latest" never changes under a corpus.

    Raises:
        BadCall: neither the hub's cache nor the hub knows.
    """
    if re.fullmatch("[0-9a-f]{40}", revision):
        return revision
    from huggingface_hub import HfApi

    cached = cached_file(model, "config.json", revision)
    if cached is not None:
        return cached.parent.name
    try:
        commit = HfApi().model_info(model, revision=revision, timeout=20).sha
    except _hub_errors() as error:
        _unreachable(model, revision, error)
    if commit is None:
        raise BadCall(f"the hub names no commit for '{model}' at revision '{revision}'")
    return commit


def cached_file(model: str, name: str, revision: str) -> Path | None:
    """A file that was fetched before, in the hub's cache."""
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(model, name, revision=revision)
    except _hub_errors() as error:
        _unreachable(model, revision, error)
    return Path(found) if isinstance(found, str) else None


def hub_file(model: str, name: str, commit: str) -> Path:
    """One file of a commit, fetched where it is missing."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(model, name, revision=commit))
    except _hub_errors() as error:
        _unreachable(model, commit, error)


def hub_files(model: str, commit: str, patterns: Sequence[str]) -> Path:
    """The commit's folder in the hub's cache, with the files of these patterns fetched."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, revision=commit, allow_patterns=list(patterns)))
    except _hub_errors() as error:
        _unreachable(model, commit, error)


def _unreachable(model: str, revision: str, error: Exception) -> NoReturn:
    raise BadCall(
        f"model '{model}' (revision '{revision}') is no local folder, is not in the Hugging Face "
        f"cache, and the hub did not give it: {reason(error)}. Off line, set model to a folder "
        "with config.json, model.safetensors and the files of its tokenizer or feature extractor"
    ) from error


def reason(error: Exception) -> str:
    """What an error of another library says, in one line without a stop at its end."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    said = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return said.rstrip(".")
