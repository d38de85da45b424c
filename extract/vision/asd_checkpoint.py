"""Load a released checkpoint of an active speaker network, or say why it does not fit."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ...cache.errors import BadCall

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Names of tensors that a message lists before it says how many more there are.
LISTED = 4


def load_checkpoint(network: nn.Module, path: str | Path, architecture: str) -> None:
    """Fill a network with the state dict of a file; every name and shape must fit.

    Files are read with ``weights_only``, so that nothing in them is run. Names may carry the
    ``module.`` that ``DataParallel`` puts before or into them.

    Args:
        network: a freshly made one, on the CPU.
        path: a file written by ``torch.save(network.state_dict())``.
        architecture: what a message calls the network.

    Raises:
        BadCall: there is no such file, it is no state dict, or one of another architecture.
    """
    found = _read(Path(path).expanduser(), architecture)
    wanted = network.state_dict()
    missing = [name for name in wanted if name not in found]
    foreign = [name for name in found if name not in wanted]
    other = [
        f"{name} {tuple(found[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in found and found[name].shape != tensor.shape
    ]
    kinds = (("missing", missing), ("not known", foreign), ("of another shape", other))
    wrong = [f"{len(names)} {kind}: {_some(names)}" for kind, names in kinds if names]
    if wrong:
        raise BadCall(
            f"the checkpoint '{path}' is not one of {architecture}, which has "
            f"{len(wanted)} tensors; {'; '.join(wrong)}"
        )
    network.load_state_dict(dict(found))


def _read(path: Path, architecture: str) -> Mapping[str, Tensor]:
    """Tensors of a file by name.

    Raises:
        BadCall: there is no such file, or it holds something else.
    """
    import torch

    if not path.is_file():
        raise BadCall(f"there is no checkpoint of {architecture} at '{path}'")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        reason = str(error).strip().split("\n")[0]
        raise BadCall(f"the checkpoint '{path}' cannot be read: {reason}") from error
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in state.items()
    ):
        raise BadCall(
            f"the checkpoint '{path}' is not a plain state dict: {architecture} needs a mapping "
            "of names to tensors"
        )
    return {name.replace("module.", ""): tensor for name, tensor in state.items()}


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - LISTED} more" if len(listed) > LISTED else ""
    return ", ".join(listed[:LISTED]) + more
