"""Whether the states that an hf-text node stores can be gone on from, and the layers that do so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...cache.errors import BadCall
from ..hf_folder import model_config, model_folder, n_layers
from ..hf_layers import as_written, layer_numbers
from .hf_text import HfText

if TYPE_CHECKING:
    from .upper import UpperLayers

#: Families whose upper layers can be trained to sum a text up, and the token that stands for it.
SUMMARY = {
    "bert": "first",
    "camembert": "first",
    "convbert": "first",
    "deberta": "first",
    "deberta-v2": "first",
    "electra": "first",
    "ernie": "first",
    "roberta": "first",
    "xlm-roberta": "first",
    "xlnet": "last",
}


def cached_layer(made: HfText) -> int:
    """Number of the layer whose states a node stores, where those above it can be trained.

    Asks for nothing but the model's configuration.

    Raises:
        BadCall: it does not store every token's state of one layer that others stand above, or
            its model is of another family.
    """
    said = f"hf-text of '{made.model}'"
    kind = model_config(made.model, made.revision).get("model_type")
    depth = n_layers(made.model, made.revision)
    if kind not in SUMMARY or depth is None:
        raise BadCall(
            f"{said} is of the family '{kind}', whose upper layers cannot be trained to sum a "
            f"text up; these can: {', '.join(SUMMARY)}"
        )
    wanted = {"level": "token", "special": True}
    for name, value in wanted.items():
        if getattr(made, name) != value:
            raise BadCall(
                f"{said} must have {name}: {str(value).lower()} for the layers above to read all "
                f"tokens, not {str(getattr(made, name)).lower()}"
            )
    if made.long == "window":
        raise BadCall(
            f"{said} must not read a long text in windows (long: window), which the layers above "
            "would take for one text; set long: truncate"
        )
    layers = layer_numbers(made.layer, depth, lambda n: f"{said} has layers 0 to {depth}, not {n}")
    if layers is None or len(layers) > 1 or layers[0] == depth:
        raise BadCall(
            f"{said} must have layer: 0 (embeddings) to {depth - 1}, one that other layers stand "
            f"above, not {as_written(made.layer, depth)}"
        )
    return layers[0]


def upper_of(made: HfText) -> UpperLayers:
    """The layers above those whose states a node stores, as a module that can be trained.

    Raises:
        BadCall: as in ``cached_layer``; or the model cannot be loaded, or not be cut there.
    """
    from .upper import upper_layers

    return upper_layers(model_folder(made.model, made.revision), cached_layer(made))
