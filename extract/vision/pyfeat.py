"""The network of py-feat that sees action units: its file of weights, and what it gives."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ...cache.errors import BadCall
from ...cache.records import Array
from ..extras import not_there, require
from ..hf_hub import cached_file, hub_commit, hub_file, reason
from ..loaded import LoadedModels
from .computing import whole_float32
from .image_network import BATCH
from .tensor_file import file_mark, read_tensors

#: Where py-feat offers the weights of its Detectorv2, and the file there.
HUB, HUB_FILE = "py-feat/face_multitask_v2", "face_multitask_v28.safetensors"
#: Action units of these weights, in their order.
UNITS = (
    *("AU01", "AU02", "AU04", "AU05", "AU06", "AU07", "AU09", "AU10", "AU11", "AU12", "AU14"),
    *("AU15", "AU17", "AU20", "AU23", "AU24", "AU25", "AU26", "AU28", "AU43"),
)


class PyFeat:
    """A loaded network; see ``load_pyfeat``.

    Args:
        network: py-feat's ``MultitaskModel``.
        device: where it runs.
        precision: what it computes in.
    """

    def __init__(self, network: Any, device: str, precision: str) -> None:
        import torch

        self._network = network
        self.device = device
        self.dtype = getattr(torch, precision)

    def units(self, pictures: Array) -> Array:
        """Action units (n, 20) float32, in [0, 1], of pictures (n, size, size, 3) uint8 RGB."""
        import torch

        found = []
        # The network itself stays float32: parts of it make matrices of that type.
        less = torch.autocast(
            torch.device(self.device).type, self.dtype, enabled=self.dtype != torch.float32
        )
        with torch.inference_mode(), whole_float32(self.device), less:
            for part in torch.from_numpy(pictures).split(BATCH):
                chips = part.to(self.device).permute(0, 3, 1, 2).float() / 255
                given = self._network.preprocess(chips)
                found.append(self._network.model(given)["p_au"].float().cpu().numpy())
        result: Array = np.concatenate(found)
        return result


def weights_file(checkpoint: str, revision: str) -> Path:
    """The file that ``checkpoint`` names, fetched where it is on the hub and not here yet.

    Raises:
        BadCall: there is none, or the hub does not give it.
    """
    if checkpoint != HUB:
        path = Path(checkpoint).expanduser()
        if path.suffix != ".safetensors":
            raise BadCall(
                f"action-units: '{checkpoint}' is no .safetensors file, and others are not read, "
                f"for they could run anything; py-feat's weights are {HUB_FILE} of '{HUB}'"
            )
        file_mark(path)
        return path
    try:
        cached = cached_file(HUB, HUB_FILE, revision)
        return cached or hub_file(HUB, HUB_FILE, hub_commit(HUB, revision))
    except BadCall as error:
        raise BadCall(
            f"action-units: the weights {HUB_FILE} of '{HUB}' (revision '{revision}') are not in "
            "the Hugging Face cache, and the hub did not give them. Off line, set checkpoint to "
            "that file"
        ) from error


_LOADED: LoadedModels[PyFeat] = LoadedModels()


def load_pyfeat(path: Path, device: str, precision: str) -> PyFeat:
    """The network with the weights of a file, loaded once in each process while it is used.

    Raises:
        BadCall: py-feat is not installed, or the file cannot be read or is of another network.
    """
    key = (file_mark(path), device, precision)
    return _LOADED.get(key, lambda: _load(path, device, precision))


def require_pyfeat() -> None:
    """Check that the extra is installed.

    Raises:
        BadCall: it is not.
    """
    require("py-feat", "action-units", "action-units")


def _multitask_model() -> type[Any]:
    """py-feat's class of that name; loading it takes seconds.

    Raises:
        BadCall: it does not load.
    """
    threads = os.environ.get("OMP_NUM_THREADS")
    try:
        from feat.multitask.inference import MultitaskModel
    except (ImportError, OSError, RuntimeError) as error:  # torchcodec: no library of ffmpeg
        raise not_there("py-feat", "action-units", "action-units", reason(error)) from error
    finally:
        if threads is None:  # py-feat sets it to 1, for everything that the process starts
            os.environ.pop("OMP_NUM_THREADS", None)
    found: type[Any] = MultitaskModel
    return found


def _load(path: Path, device: str, precision: str) -> tuple[PyFeat, int]:
    require_pyfeat()
    tensors = read_tensors(path)
    make = _multitask_model()
    try:
        network = make(device=device, weights_path=str(path), amp=False)
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        raise BadCall(
            f"action-units: the weights in '{path}' are not those of py-feat's Detectorv2: "
            f"{reason(error)}"
        ) from error
    if tuple(network.au_names) != UNITS:
        raise BadCall(
            f"action-units: the weights in '{path}' are for {len(network.au_names)} action units, "
            f"not for the {len(UNITS)} of {HUB_FILE}"
        )
    return PyFeat(network, device, precision), sum(t.nbytes for t in tensors.values())
