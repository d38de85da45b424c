"""The network that makes a probability of creak of 36 features, with weights that a user gives.

The weights that come with COVAREP have no licence that would let them be shipped.

Source:
    Drugman, Kane and Gobl (2014), "Data-driven detection and analysis of the patterns of creaky
    voice", Computer Speech and Language 28(5).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from ....cache.checkpoints import read_safetensors
from ....cache.errors import BadCall
from ....cache.records import Array

#: Inputs and hidden units.
N_INPUTS, N_HIDDEN = 36, 32
#: Arrays of a file of weights, and their shapes.
SHAPES: dict[str, tuple[int, ...]] = {
    "input_min": (N_INPUTS,),
    "input_max": (N_INPUTS,),
    "hidden_weight": (N_HIDDEN, N_INPUTS),
    "hidden_bias": (N_HIDDEN,),
    "output_weight": (1, N_HIDDEN),
    "output_bias": (1,),
}


@dataclass(frozen=True, eq=False)
class CreakNetwork:
    """36 inputs, 32 hidden units (tanh), one output (logistic).

    Args:
        input_min: (36,) least value of each feature in training; it becomes -1.
        input_max: (36,) its greatest value; it becomes 1. Where both are the same, the feature
            counts as its difference to them less 1.
        hidden_weight: (32, 36).
        hidden_bias: (32,).
        output_weight: (1, 32).
        output_bias: (1,).
    """

    input_min: Array
    input_max: Array
    hidden_weight: Array
    hidden_bias: Array
    output_weight: Array
    output_bias: Array

    def probability(self, features: Array) -> Array:
        """Map ``creak.creak_features`` (n_rows, 36) to probabilities of creak (n_rows,)."""
        from scipy.special import expit

        span = self.input_max - self.input_min
        scaled = 2 * (features - self.input_min) / np.where(span > 0, span, 2) - 1
        hidden = np.tanh(scaled @ self.hidden_weight.T + self.hidden_bias)  # (n_rows, 32)
        creaky: Array = expit(hidden @ self.output_weight[0] + self.output_bias[0])
        return creaky


def read_creak_network(path: Path) -> CreakNetwork:
    """The network of a file: ``.npz`` or ``.safetensors`` with the arrays of ``SHAPES``.

    Raises:
        BadCall: there is no such file, it is of another kind, or its arrays have other names,
            shapes or values than a network of this kind.
    """
    if not path.is_file():
        raise BadCall(f"there is no file of creak weights at '{path}'")
    arrays = read_safetensors(path) if path.suffix == ".safetensors" else _read_npz(path)
    missing = [name for name in SHAPES if name not in arrays]
    if missing:
        raise BadCall(
            f"the creak weights in '{path}' lack {', '.join(missing)}; the file must hold "
            + ", ".join(f"{name} {shape}" for name, shape in SHAPES.items())
        )
    for name, shape in SHAPES.items():
        found = arrays[name]
        if found.shape != shape:
            raise BadCall(
                f"the creak weights in '{path}': {name} must be of shape {shape}, not {found.shape}"
            )
        if not (np.issubdtype(found.dtype, np.floating) and np.isfinite(found).all()):
            raise BadCall(f"the creak weights in '{path}': {name} must be finite floats")
    network = CreakNetwork(**{f.name: arrays[f.name].astype(float) for f in fields(CreakNetwork)})
    if (network.input_max < network.input_min).any():
        raise BadCall(f"the creak weights in '{path}': input_max lies under input_min")
    return network


def _read_npz(path: Path) -> dict[str, Array]:
    if path.suffix != ".npz":
        raise BadCall(
            f"creak weights must be a .npz or a .safetensors file, not '{path.name}' (see "
            "docs/covarep.md)"
        )
    from zipfile import BadZipFile

    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, BadZipFile, EOFError) as error:
        raise BadCall(f"'{path}' cannot be read as .npz: {error}") from error
