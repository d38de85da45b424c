"""Every model by its name, with its settings. Imports no torch: fingerprints need none of it.

To add a model: a settings class and a line here, one file in ``models/``, one test file.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple

from ..cache.errors import BadCall, unknown
from .training import Training, number

#: Letter of a modality in task names (``TA`` is the task of text and audio together).
LETTERS = {"text": "T", "audio": "A", "vision": "V"}
MODALITIES = (*LETTERS, "fused")


@dataclass(frozen=True)
class ModelSettings:
    """Base of all settings; the fields of a subclass are all that can change the network.

    Class attributes:
        name: registry name.
        version: raise it when the same settings give another network.
        training: settings of ``Training`` that the source uses, where ours differ.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    training: ClassVar[Mapping[str, Any]] = {}

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            where = f"setting '{field.name}' of '{self.name}'"
            if field.type == "int" and (type(value) is not int or value < 1):
                raise BadCall(f"{where} must be a whole number of at least 1, not {value!r}")
            if field.type == "float":  # 1 and 1.0 are the same setting: the same fingerprint
                object.__setattr__(self, field.name, number(where, value))
            if field.name.endswith("dropout") and not 0 <= value < 1:
                raise BadCall(f"{where} must lie in [0, 1), not {value!r}")

    def reads(self, modality: str) -> str:
        """How inputs of a modality are read: ``mean`` over the real rows, or ``sequence``."""
        return "mean"

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """See that the model can work on these inputs (name to modality) and tasks.

        Raises:
            BadCall: it cannot; the message says what it needs and what it got.
        """
        for name, modality in inputs.items():
            if modality not in MODALITIES:
                raise unknown(f"modality of input '{name}'", modality, MODALITIES)
        if not inputs:
            raise BadCall(f"model '{self.name}' needs at least one input, got none")
        if not tasks:
            raise BadCall(f"model '{self.name}' needs at least one task, got none")
        if len(set(tasks)) < len(tasks):
            raise BadCall(f"model '{self.name}': a task is named twice in {list(tasks)}")

    def _distinct(self, inputs: Mapping[str, str], least: int, most: int) -> None:
        """Insist on ``least`` to ``most`` inputs, each of another one of text, audio, vision."""
        got = ", ".join(f"{name} ({modality})" for name, modality in inputs.items())
        kinds = set(inputs.values())
        if not least <= len(inputs) <= most or len(kinds) < len(inputs) or "fused" in kinds:
            many = str(least) if least == most else f"{least} to {most}"
            raise BadCall(
                f"model '{self.name}' needs {many} inputs, each of another modality out of "
                f"text, audio, vision; got {got}"
            )


@dataclass(frozen=True)
class Unimodal(ModelSettings):
    """One input's mean over its real rows, hidden layers, one score a task (see ``unimodal.py``).

    Args:
        units: width of the two hidden layers.
        dropout: before each layer.
    """

    name: ClassVar[str] = "unimodal"

    units: int = 64
    dropout: float = 0.1

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """One input, of any modality."""
        super().check(inputs, tasks)
        if len(inputs) != 1:
            raise BadCall(f"model 'unimodal' needs one input, got {', '.join(inputs)}")


@dataclass(frozen=True)
class Sf(ModelSettings):
    """Simple fusion: means of all inputs side by side, fully connected layers (see ``sf.py``).

    Args:
        units: width of the hidden layers of each task's prediction block.
        dropout: before each layer.
    """

    name: ClassVar[str] = "sf"

    units: int = 128
    dropout: float = 0.1


@dataclass(frozen=True)
class LfDnn(ModelSettings):
    """Late fusion: a subnet an input, their outputs side by side, layers (see ``lf_dnn.py``).

    Args:
        text_units, audio_units, vision_units, fused_units: width of the subnets by modality.
        text_dropout, audio_dropout, vision_dropout, fused_dropout: before a subnet.
        post_units: width of the layers after the subnets.
        post_dropout: before those.
    """

    name: ClassVar[str] = "lf-dnn"
    training: ClassVar[Mapping[str, Any]] = {"batch_size": 128, "patience": 8}

    text_units: int = 128
    audio_units: int = 32
    vision_units: int = 128
    fused_units: int = 128
    text_dropout: float = 0.3
    audio_dropout: float = 0.3
    vision_dropout: float = 0.3
    fused_dropout: float = 0.3
    post_units: int = 32
    post_dropout: float = 0.5


@dataclass(frozen=True)
class Tfn(ModelSettings):
    """Tensor fusion: outer product of two or three modalities, 1 appended (see ``tfn.py``).

    Args:
        text_units, audio_units, vision_units: width of each modality's embedding.
        text_dropout, audio_dropout, vision_dropout: inside its subnet.
        post_units: width of the layers after the outer product.
        post_dropout: before those.
    """

    name: ClassVar[str] = "tfn"
    training: ClassVar[Mapping[str, Any]] = {"batch_size": 32, "lr": 5e-4, "patience": 8}

    text_units: int = 128
    audio_units: int = 32
    vision_units: int = 128
    text_dropout: float = 0.4
    audio_dropout: float = 0.4
    vision_dropout: float = 0.4
    post_units: int = 32
    post_dropout: float = 0.4

    def reads(self, modality: str) -> str:
        """Text as a sequence, the others as means."""
        return "sequence" if modality == "text" else "mean"

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """Two or three inputs of different modalities."""
        super().check(inputs, tasks)
        self._distinct(inputs, 2, 3)


@dataclass(frozen=True)
class FmlmsnPair(ModelSettings):
    """FmlMSN's first step for two modalities (see ``fmlmsn_pair.py``); defaults: CH-SIMS.

    Args:
        text_hidden: state of the text LSTM (the paper's thid).
        text_out: text embedding (tout).
        audio_hidden: the three audio layers and the audio embedding (ahid).
        vision_hidden: the same for vision (vhid).
        text_units, audio_units, vision_units: hidden layers of the unimodal predictors
            (tdim, adim, vdim).
        pair_units: hidden layers of the bimodal predictor (fdim), so the width of what is encoded.
        text_dropout, audio_dropout, vision_dropout, pair_dropout: (tdrp, adrp, vdrp, fdrp).
    """

    name: ClassVar[str] = "fmlmsn-pair"

    text_hidden: int = 128
    text_out: int = 128
    audio_hidden: int = 16
    vision_hidden: int = 128
    text_units: int = 64
    audio_units: int = 16
    vision_units: int = 64
    pair_units: int = 64
    text_dropout: float = 0.0
    audio_dropout: float = 0.0
    vision_dropout: float = 0.0
    pair_dropout: float = 0.0

    def reads(self, modality: str) -> str:
        """Text as a sequence, the others as means."""
        return "sequence" if modality == "text" else "mean"

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """Two modalities; the last task is the pair's, those before it are T, A or V of these."""
        super().check(inputs, tasks)
        self._distinct(inputs, 2, 2)
        letters = {LETTERS[modality] for modality in inputs.values()}
        if set(tasks[:-1]) - letters or tasks[-1] in letters:
            first, second = (LETTERS[modality] for modality in inputs.values())
            raise BadCall(
                f"model 'fmlmsn-pair' on {', '.join(inputs)} predicts tasks "
                f"[{first}, {second}, {first + second}]: unimodal ones first, the pair's last; "
                f"got [{', '.join(tasks)}]"
            )


@dataclass(frozen=True)
class FmlmsnMeta(ModelSettings):
    """FmlMSN's second step: encoded pairs to scores (see ``fmlmsn_meta.py``); defaults: CH-SIMS.

    Args:
        units: width of the two hidden layers (the paper's fdim).
        dropout: before the first (fdrp).
    """

    name: ClassVar[str] = "fmlmsn-meta"

    units: int = 64
    dropout: float = 0.0


class Entry(NamedTuple):
    """Where a model lies: settings, module inside ``affectflow.train.models``, network class."""

    settings: type[ModelSettings]
    module: str
    network: str


MODELS: dict[str, Entry] = {
    "fmlmsn-meta": Entry(FmlmsnMeta, "fmlmsn_meta", "FmlmsnMetaNet"),
    "fmlmsn-pair": Entry(FmlmsnPair, "fmlmsn_pair", "FmlmsnPairNet"),
    "lf-dnn": Entry(LfDnn, "lf_dnn", "LfDnnNet"),
    "sf": Entry(Sf, "sf", "SfNet"),
    "tfn": Entry(Tfn, "tfn", "TfnNet"),
    "unimodal": Entry(Unimodal, "unimodal", "UnimodalNet"),
}


def model_class(name: str) -> type[ModelSettings]:
    """The settings class behind a registry name.

    Raises:
        UnknownName: no model has this name.
    """
    if name not in MODELS:
        raise unknown("model", name, MODELS)
    return MODELS[name].settings


def model_settings(name: str, **settings: Any) -> ModelSettings:
    """Settings of a model: ``model_settings("tfn", post_units=64)``.

    Raises:
        UnknownName: no model has this name, or it has no such setting.
        BadCall: a setting is out of its range.
    """
    kind = model_class(name)
    known = [field.name for field in fields(kind)]
    for setting in settings:
        if setting not in known:
            raise unknown(f"setting of '{name}'", setting, known)
    return kind(**settings)


def fit_settings(name: str, **settings: Any) -> tuple[ModelSettings, Training]:
    """Settings of a model and of its training, told apart by their names.

    What is not given for the training comes from the model's source (``ModelSettings.training``),
    then from ``Training``.

    Raises:
        UnknownName: no model has this name, or neither it nor the training has such a setting.
        BadCall: a setting is out of its range.
    """
    kind = model_class(name)
    of_model = {field.name for field in fields(kind)}
    of_training = {field.name for field in fields(Training)}
    for setting in settings:
        if setting not in of_model | of_training:
            raise unknown(f"setting of '{name}'", setting, of_model | of_training)
    mine = {key: value for key, value in settings.items() if key in of_model}
    rest = {key: value for key, value in settings.items() if key in of_training}
    return model_settings(name, **mine), Training(**{**kind.training, **rest})


def network_class(name: str) -> Any:
    """The network (a subclass of ``models.base.Model``) of a registry name; imports torch."""
    model_class(name)
    entry = MODELS[name]
    module = importlib.import_module(f".models.{entry.module}", __package__)
    return getattr(module, entry.network)


def settings_table(name: str) -> dict[str, Any]:
    """Settings of a model and its training with their defaults, for help texts."""
    model, training = fit_settings(name)
    return {**dataclasses.asdict(model), **dataclasses.asdict(training)}
