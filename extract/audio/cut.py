"""Whether the states that an hf-speech node stores can be gone on from, and the layers above."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...cache.errors import BadCall
from ..hf_companions import PREPROCESSOR
from ..hf_folder import model_config, model_folder
from ..hf_layers import as_written, layer_numbers
from .hf_speech import HfSpeech
from .speech_model import check_family, n_layers_of
from .speech_rows import CONVOLUTIONAL

if TYPE_CHECKING:
    from .upper import UpperSpeech


def cached_layer(made: HfSpeech) -> int:
    """Number of the layer whose states a node stores, where those above it can be trained.

    Asks for nothing but the model's configuration.

    Raises:
        BadCall: it does not store every row's state of one layer that others stand above, or its
            model is no transformer above convolutions.
    """
    said = f"hf-speech of '{made.model}'"
    config = model_config(made.model, made.revision)
    check_family(made.model, config)
    if config["model_type"] not in CONVOLUTIONAL:
        raise BadCall(
            f"{said} is of the family '{config['model_type']}', which always reads 30 s: its upper "
            f"layers cannot be trained; those of {', '.join(CONVOLUTIONAL)} can"
        )
    if made.level != "frame":
        raise BadCall(
            f"{said} must have level: frame for the layers above to read all rows, not {made.level}"
        )
    depth = n_layers_of(config)
    layers = layer_numbers(made.layer, depth, lambda n: f"{said} has layers 0 to {depth}, not {n}")
    if layers is None or len(layers) > 1 or layers[0] == depth:
        raise BadCall(
            f"{said} must have layer: 0 (what goes into the first) to {depth - 1}, one that other "
            f"layers stand above, not {as_written(made.layer, depth)}"
        )
    return layers[0]


def upper_of(made: HfSpeech) -> UpperSpeech:
    """The layers above those whose states a node stores, as a module that can be trained.

    Raises:
        BadCall: as in ``cached_layer``; or the model cannot be loaded, or not be cut there.
    """
    from .upper import upper_speech

    folder = model_folder(made.model, made.revision, (PREPROCESSOR,))
    return upper_speech(folder, cached_layer(made))
