"""Where a Hugging Face model lies: a local folder, or a fixed commit on the hub."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..cache.errors import BadCall
from .hf_companions import PREPROCESSOR, TOKENIZER, Companion, present
from .hf_hub import cached_file, hub_commit, hub_file, hub_files

SAFE_WEIGHTS = ("model*.safetensors", "model.safetensors.index.json")
TORCH_WEIGHTS = ("pytorch_model*.bin", "pytorch_model.bin.index.json")
#: Weights of other libraries, and pickles.
FOREIGN_WEIGHTS = tuple(
    f"*.{end}"
    for end in ("safetensors", "bin", "pt", "pth", "ckpt", "pkl", "pickle", "h5", "msgpack", "gguf")
)
#: Names that architectures give the width of their hidden states.
WIDTHS = ("hidden_size", "d_model", "dim", "emb_dim", "n_embd")
#: Names that they give the number of their layers; of those with two parts, the encoder's.
DEPTHS = ("encoder_layers", "num_hidden_layers", "num_layers", "n_layer", "n_layers")


def local_folder(model: str) -> Path | None:
    """The folder that ``model`` names, or None where it is a name on the hub.

    Raises:
        BadCall: it is written as a path, and there is no such folder.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if model.startswith((".", "/", "~")) or model.count("/") > 1 or "\\" in model or path.exists():
        raise BadCall(f"'{model}' is not a folder with a Hugging Face model")
    return None


def model_files(folder: Path, beside: tuple[Companion, ...] = (TOKENIZER,)) -> dict[str, Path]:
    """The files of a model's folder that its output depends on, by name.

    Safetensors are taken where there are any, else PyTorch's own format (which is read with
    ``weights_only``).

    Args:
        folder: a saved model.
        beside: what the caller uses beside configuration and weights.

    Raises:
        BadCall: the configuration, a companion or the weights are missing.
    """
    missing = _missing(folder, beside)
    if missing:
        raise BadCall(
            f"the folder {folder} is not a whole Hugging Face model: "
            f"no {' and no '.join(missing)}{_foreign(folder)}"
        )
    weights = _weights(folder)
    companions = [file for part in beside for file in part.found(folder)]
    files = [folder / "config.json", *companions, *weights]
    return {file.name: file for file in files}


def files_mark(files: Mapping[str, Path]) -> tuple[tuple[str, int, int], ...]:
    """What tells files from others of their names, to keep what was loaded from them.

    Returns:
        Of each its name, bytes, and time of the last change in ns, sorted.
    """
    found = ((name, file.stat()) for name, file in sorted(files.items()))
    return tuple((name, status.st_size, status.st_mtime_ns) for name, status in found)


def _missing(folder: Path, beside: tuple[Companion, ...]) -> list[str]:
    """What a model's folder lacks, in words."""
    weights = _weights(folder)
    missing = [] if (folder / "config.json").is_file() else ["config.json"]
    missing += [lack for part in beside if (lack := part.lack(folder))]
    missing += [] if weights else ["model.safetensors"]
    return missing + sorted(file.name for file in weights if not file.is_file())


def _weights(folder: Path) -> list[Path]:
    """A folder's files of weights; of those that an index names some may be missing."""
    files = present(folder, SAFE_WEIGHTS) or present(folder, TORCH_WEIGHTS)
    indexes = [file for file in files if file.name.endswith(".index.json")]
    return sorted({*files, *(folder / shard for index in indexes for shard in _shards(index))})


def _shards(index: Path) -> set[str]:
    """Names of the files that an index says hold the tensors.

    Raises:
        BadCall: it is damaged.
    """
    found = _read_config(index, index.stat().st_mtime_ns).get("weight_map")
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
        raise BadCall(
            f"{index} is damaged: its weight_map must say of each tensor the file that holds it. "
            "Copy it again"
        )
    return set(found.values())


def _foreign(folder: Path) -> str:
    """A remark on weights of formats that are not read, where there are no others."""
    if present(folder, SAFE_WEIGHTS) or present(folder, TORCH_WEIGHTS):
        return ""
    found = [file.name for file in present(folder, FOREIGN_WEIGHTS)]
    if not found:
        return ""
    return f". '{found[0]}' is not read: save the model with save_pretrained of transformers"


def model_weights(
    model: str, revision: str, beside: tuple[Companion, ...] = (TOKENIZER,)
) -> Mapping[str, Path | str]:
    """What a model's fingerprint holds: a local folder's files, or the commit on the hub."""
    folder = local_folder(model)
    return model_files(folder, beside) if folder else {"commit": hub_commit(model, revision)}


def model_folder(model: str, revision: str, beside: tuple[Companion, ...] = (TOKENIZER,)) -> Path:
    """The folder with all of a model's files, fetched from the hub where they are missing.

    Raises:
        BadCall: there is no such model, it is not whole, or the hub cannot be reached.
    """
    folder = local_folder(model)
    if folder is None:
        folder = _fetched(model, hub_commit(model, revision), beside)
    model_files(folder, beside)
    return folder


def companion_files(folder: Path, part: Companion) -> dict[str, Path]:
    """The configuration and a companion's files, for what runs no network; see ``model_files``.

    Raises:
        BadCall: one of the two is missing.
    """
    config = folder / "config.json"
    missing = [] if config.is_file() else [config.name]
    missing += [lack for lack in [part.lack(folder)] if lack]
    if missing:
        raise BadCall(f"the folder {folder} has no {' and no '.join(missing)}")
    return {file.name: file for file in (config, *part.found(folder))}


def companion_folder(model: str, revision: str, part: Companion) -> Path:
    """A folder with a model's configuration and a companion's files; of the hub, only they.

    Raises:
        BadCall: there is no such model, a file is missing, or the hub cannot be reached.
    """
    folder = local_folder(model)
    if folder is None:
        commit = hub_commit(model, revision)
        _hub_config(model, commit)
        folder = _hub_companion(model, commit, part)
    companion_files(folder, part)
    return folder


def model_config(model: str, revision: str) -> dict[str, Any]:
    """The model's ``config.json``; of a model on the hub only this file is fetched."""
    folder = local_folder(model)
    path = _hub_config(model, hub_commit(model, revision)) if folder is None else folder
    if path.is_dir():
        path = path / "config.json"
    if not path.is_file():
        raise BadCall(f"the folder {path.parent} holds no Hugging Face model: no config.json")
    return _read_config(path, path.stat().st_mtime_ns)


def sound_config(model: str, revision: str) -> dict[str, Any]:
    """How a model's feature extractor prepares sound: ``sampling_rate``, ``do_normalize``, ...

    Raises:
        BadCall: the model does not say.
    """
    return _preparation(model, revision, "feature_extractor", "sound is", "sampling_rate")


def image_config(model: str, revision: str) -> dict[str, Any]:
    """How a model's image processor prepares pictures: ``image_mean``, ``image_std``, ...

    Raises:
        BadCall: the model does not say.
    """
    return _preparation(model, revision, "image_processor", "pictures are", "image_mean")


def _preparation(model: str, revision: str, part: str, what: str, mark: str) -> dict[str, Any]:
    """The settings of a processor, which hold ``mark``.

    ``part`` is its name where one file holds several; ``what`` is what it prepares, and its verb.
    """
    folder = local_folder(model)
    if folder is None:
        folder = _hub_companion(model, hub_commit(model, revision), PREPROCESSOR)
    for path in PREPROCESSOR.found(folder):
        found = _read_config(path, path.stat().st_mtime_ns)
        inner = found.get(part, found)
        if isinstance(inner, dict) and mark in inner:
            return inner
    raise BadCall(
        f"'{model}' does not say how its {what} normalised: it needs a "
        f"preprocessor_config.json with {mark}, as its {part.replace('_', ' ')}'s "
        "save_pretrained writes it"
    )


@lru_cache(maxsize=32)
def _read_config(path: Path, changed: int) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise BadCall(f"{path} is not valid JSON: {error}") from error
    if not isinstance(config, dict):
        raise BadCall(f"{path} does not hold a model's configuration")
    return config


def hidden_size(model: str, revision: str) -> int:
    """Width of the model's hidden states.

    Raises:
        BadCall: the configuration does not say it.
    """
    width = _number(model_config(model, revision), WIDTHS)
    if width is not None:
        return width
    raise BadCall(
        f"the configuration of '{model}' names no width of its hidden states "
        f"({', '.join(WIDTHS)}): it is not an encoder"
    )


def n_layers(model: str, revision: str) -> int | None:
    """Layers above the embeddings; None where the configuration does not say."""
    return _number(model_config(model, revision), DEPTHS)


def _number(config: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    """A number that a configuration holds under one of some names, or its encoder's does."""
    parts: list[Any] = [config, config.get("encoder"), config.get("text_config")]
    for part in parts:
        for name in names if isinstance(part, dict) else ():
            if isinstance(part.get(name), int):
                return int(part[name])
    return None


def _hub_config(model: str, commit: str) -> Path:
    return hub_file(model, "config.json", commit)


def _hub_companion(model: str, commit: str, part: Companion) -> Path:
    """The commit's folder in the hub's cache, with a companion's files where there are any.

    What it cannot do without is fetched last: where that is there, all of it is.
    """
    config = cached_file(model, "config.json", commit)
    if config is not None and not part.lack(config.parent):
        return config.parent
    if part.settings:
        hub_files(model, commit, part.settings)
    return hub_files(model, commit, part.needed)


def _fetched(model: str, commit: str, beside: tuple[Companion, ...]) -> Path:
    """The commit's folder in the hub's cache; the hub is asked only for what is not there."""
    config = cached_file(model, "config.json", commit)
    if config is not None and not _missing(folder := config.parent, beside):
        return folder
    for part in beside:
        _hub_companion(model, commit, part)
    for weights in (SAFE_WEIGHTS, TORCH_WEIGHTS):
        folder = hub_files(model, commit, ("config.json", *weights))
        if present(folder, weights):
            break
    return folder
