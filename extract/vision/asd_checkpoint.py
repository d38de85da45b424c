"""Load a released checkpoint of an active speaker network, or say why it does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...cache.errors import BadCall
from .tensor_file import misfits, read_tensors

if TYPE_CHECKING:
    from torch import nn


def load_checkpoint(network: nn.Module, path: str | Path, architecture: str) -> None:
    """Fill a network with the state dict of a file; every name and shape must fit.

    Args:
        network: a freshly made one, on the CPU.
        path: a file written by ``torch.save(network.state_dict())``, read with ``weights_only``.
        architecture: what a message calls the network.

    Raises:
        BadCall: there is no such file, it is no state dict, or one of another architecture.
    """
    tensors = read_tensors(Path(path).expanduser())
    wanted = network.state_dict()
    wrong = misfits(wanted, tensors)
    if wrong:
        raise BadCall(
            f"the checkpoint '{path}' is not one of {architecture}, which has {len(wanted)} "
            f"tensors; {'; '.join(wrong)}"
        )
    network.load_state_dict(tensors)
