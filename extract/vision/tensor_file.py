"""Files of weights that others made: read without running anything in them, and fitted by name."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...cache.checkpoints import read_safetensors
from ...cache.errors import BadCall
from ..hf_hub import reason

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Entries under which training programs put the tensors beside their own state.
WRAPPERS = ("state_dict", "model", "model_state_dict", "module")
#: Names of tensors that a message lists before it says how many more there are.
LISTED = 3
#: How files of torch.save begin: an archive, or (before torch 1.6) a pickle.
TORCH_BEGINS = (b"PK", b"\x80")
#: First bytes of another file that a message shows.
SHOWN = 12


def file_mark(path: Path) -> tuple[str, int, int]:
    """What tells a file of weights from another one, to keep what was loaded from it.

    Raises:
        BadCall: there is no such file.
    """
    if not path.is_file():
        raise BadCall(f"there is no file of weights at '{path}'")
    status = path.stat()
    return str(path), status.st_size, status.st_mtime_ns


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name: safetensors, or what ``torch.save`` wrote.

    The latter is read with ``weights_only``. A state dict may lie under ``state_dict`` or
    ``model`` beside other things, and its names may carry ``DataParallel``'s ``module.``.

    Raises:
        BadCall: there is no such file, it cannot be read, or it holds no state dict.
    """
    import torch

    file_mark(path)
    if path.suffix == ".safetensors":
        return {name: torch.from_numpy(array) for name, array in read_safetensors(path).items()}
    found: Any
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not _begin_of(path).startswith(TORCH_BEGINS):
            raise _no_weights(path, "it is no file of torch.save") from error
        raise BadCall(
            f"the weights in '{path}' hold more than tensors, which is not read, for it could run "
            "anything. Where you trust the file, load it with weights_only=False and save its "
            "state dict alone: torch.save(model.state_dict(), file)"
        ) from error
    except Exception as error:  # what the reader of pickles meets in a damaged file is open
        told = "it is no pickle" if isinstance(error, KeyError) else reason(error)
        raise _no_weights(path, told) from error
    for name in WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
            break
    if not isinstance(found, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in found.items()
    ):
        raise BadCall(f"the file '{path}' holds no state dict, a mapping of names to tensors")
    return {re.sub(r"^module\.", "", name): tensor for name, tensor in found.items()}


def _begin_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(SHOWN)


def _no_weights(path: Path, why: str) -> BadCall:
    """The error of a file that torch cannot read, damaged or never one of weights."""
    begins = _begin_of(path)
    came = f"this one begins with {begins!r}" if begins else "this one is empty"
    mend = (
        "Fetch or save it again"
        if begins.startswith(TORCH_BEGINS)
        else f"Wanted is a state dict that torch.save wrote, or a .safetensors file; {came}"
    )
    return BadCall(f"the weights in '{path}' cannot be read: {why}. {mend}")


def misfits(
    wanted: Mapping[str, Tensor], tensors: Mapping[str, Tensor], unused: tuple[str, ...] = ()
) -> list[str]:
    """How tensors differ from those that a network wants, in words; empty: they fit.

    Args:
        wanted: of the network, by name.
        tensors: what there is.
        unused: how the names begin of tensors that are never used: whether they are there, and in
            which shape, does not matter.
    """
    counted = {name for name in {*wanted, *tensors} if not name.startswith(unused)}
    missing = sorted(name for name in counted if name not in tensors)
    foreign = sorted(name for name in counted if name not in wanted)
    other = [
        f"{name} {tuple(tensors[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in sorted(counted)
        if name in wanted and name in tensors and tensors[name].shape != wanted[name].shape
    ]
    kinds = (("missing", missing), ("not known", foreign), ("of another shape", other))
    return [f"{len(names)} {kind}: {_some(names)}" for kind, names in kinds if names]


def load_fitting(
    network: nn.Module, path: str | Path, what: str, unused: tuple[str, ...] = ()
) -> None:
    """Fill a network with the tensors of a file; every name and shape must fit.

    Args:
        network: a freshly made one, on the CPU.
        path: see ``read_tensors``.
        what: what a message calls the network.
        unused: see ``misfits``.

    Raises:
        BadCall: there is no such file, it is no state dict, or one of another network.
    """
    tensors = read_tensors(Path(path).expanduser())
    wanted = network.state_dict()
    wrong = misfits(wanted, tensors, unused)
    if wrong:
        raise BadCall(
            f"the weights in '{path}' are not those of {what}, which has {len(wanted)} tensors; "
            f"{'; '.join(wrong)}"
        )
    fill(network, tensors, unused)


def fill(network: nn.Module, tensors: Mapping[str, Tensor], unused: tuple[str, ...] = ()) -> None:
    """Load tensors that were found to fit; see ``misfits``."""
    import torch

    known = network.state_dict()
    kept = {name: tensors[name] for name in known if not name.startswith(unused)}
    kept = {n: t.float() if torch.is_floating_point(t) else t for n, t in kept.items()}
    network.load_state_dict(kept, strict=False)


def from_hub(url: str, what: str) -> Path:
    """The local copy of a file that torchvision offers, fetched where it is not there.

    Args:
        url: whose last part carries the first digits of the file's SHA-256, which are checked.
        what: what a message calls it.

    Raises:
        BadCall: it is not there and cannot be fetched.
    """
    import torch

    name = url.rpartition("/")[2]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if path.is_file():
        return path
    digits = re.search(r"-([0-9a-f]{8,})\.", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(
            url, str(path), digits.group(1) if digits else None, progress=False
        )
    except (OSError, RuntimeError) as error:  # no network, or another file than promised
        raise BadCall(
            f"the weights of {what} are not in {path.parent}, and could not be fetched from {url}: "
            f"{reason(error)}. Off line, set checkpoint to a file of weights"
        ) from error
    return path


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - LISTED} more" if len(listed) > LISTED else ""
    return ", ".join(listed[:LISTED]) + more
