"""Every model by its name, with its settings. Imports no torch: fingerprints need none of it.

To add a model: a settings class in ``settings/``, a network in a file of the same name in
``models/``, a line here, a line in the tests.
"""

from __future__ import annotations

import dataclasses
import importlib
from dataclasses import fields
from types import ModuleType
from typing import Any, NamedTuple

from ..cache.errors import unknown
from .settings.base import ModelSettings
from .training import Training


class Entry(NamedTuple):
    """A module's name inside ``settings`` and ``models``, and the class that counts in each."""

    module: str
    settings: str
    network: str


MODELS: dict[str, Entry] = {
    "av-mc": Entry("av_mc", "AvMc", "AvMcNet"),
    "easum-general": Entry("easum_general", "EasumGeneral", "EasumGeneralNet"),
    "easum-specific": Entry("easum_specific", "EasumSpecific", "EasumSpecificNet"),
    "ef-lstm": Entry("ef_lstm", "EfLstm", "EfLstmNet"),
    "finetune": Entry("finetune", "Finetune", "FinetuneNet"),
    "fmlmsn-meta": Entry("fmlmsn_meta", "FmlmsnMeta", "FmlmsnMetaNet"),
    "fmlmsn-pair": Entry("fmlmsn_pair", "FmlmsnPair", "FmlmsnPairNet"),
    "graph-mfn": Entry("graph_mfn", "GraphMfn", "GraphMfnNet"),
    "hybrid-attention": Entry("hybrid_attention", "HybridAttention", "HybridAttentionNet"),
    "hybrid-attention-encoder": Entry(
        "hybrid_attention_encoder", "HybridAttentionEncoder", "HybridAttentionEncoderNet"
    ),
    "joint-mult": Entry("joint", "JointMult", "JointNet"),
    "joint-sf": Entry("joint", "JointSf", "JointNet"),
    "joint-tfn": Entry("joint", "JointTfn", "JointNet"),
    "kebr": Entry("kebr", "Kebr", "KebrNet"),
    "kebr-encoder": Entry("kebr", "KebrEncoder", "KebrEncoderNet"),
    "lf-dnn": Entry("lf_dnn", "LfDnn", "LfDnnNet"),
    "lmf": Entry("lmf", "Lmf", "LmfNet"),
    "mag": Entry("mag", "Mag", "MagNet"),
    "mag-encoder": Entry("mag_encoder", "MagEncoder", "MagEncoderNet"),
    "mfn": Entry("mfn", "Mfn", "MfnNet"),
    "misa": Entry("misa", "Misa", "MisaNet"),
    "mlf-dnn": Entry("mlf_dnn", "MlfDnn", "MlfDnnNet"),
    "mlmf": Entry("mlmf", "Mlmf", "MlmfNet"),
    "mtfn": Entry("mtfn", "Mtfn", "MtfnNet"),
    "mult": Entry("mult", "Mult", "MultNet"),
    "self-mm": Entry("self_mm", "SelfMm", "SelfMmNet"),
    "sf": Entry("sf", "Sf", "SfNet"),
    "tfn": Entry("tfn", "Tfn", "TfnNet"),
    "unimodal": Entry("unimodal", "Unimodal", "UnimodalNet"),
}


def model_class(name: str) -> type[ModelSettings]:
    """The settings class behind a registry name.

    Raises:
        UnknownName: no model has this name.
    """
    entry = _entry(name)
    kind: type[ModelSettings] = getattr(_module("settings", entry), entry.settings)
    return kind


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
    model, training = model_settings(name, **mine), Training(**{**kind.training, **rest})
    model.check_training(training)
    return model, training


def network_class(name: str) -> Any:
    """The network (a subclass of ``models.base.Model``) of a registry name; imports torch."""
    entry = _entry(name)
    return getattr(_module("models", entry), entry.network)


def _entry(name: str) -> Entry:
    if name not in MODELS:
        raise unknown("model", name, MODELS)
    return MODELS[name]


def _module(folder: str, entry: Entry) -> ModuleType:
    return importlib.import_module(f".{folder}.{entry.module}", __package__)


def settings_table(name: str) -> dict[str, Any]:
    """Settings of a model and its training with their defaults, for help texts."""
    model, training = fit_settings(name)
    return {**dataclasses.asdict(model), **dataclasses.asdict(training)}
