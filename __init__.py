"""affectflow: cached multimodal features and light fusion models for sentiment and emotion.

The names below load what they need when they are first used, so that ``import affectflow`` and
``affectflow --help`` answer at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "AffectflowError": "cache.errors",
    "Corpus": "cache.corpus",
    "FeatureStore": "cache.store",
    "Features": "cache.records",
    "Utterance": "cache.records",
    "extractor": "extract.registry",
    "node": "workflows.notebook",
    "read_corpus": "extract.corpora",
    "run": "workflows.run",
}
__all__ = ["__version__", *_HOMES]

if TYPE_CHECKING:
    from .cache.corpus import Corpus as Corpus
    from .cache.errors import AffectflowError as AffectflowError
    from .cache.records import Features as Features
    from .cache.records import Utterance as Utterance
    from .cache.store import FeatureStore as FeatureStore
    from .extract.corpora import read_corpus as read_corpus
    from .extract.registry import extractor as extractor
    from .workflows.notebook import node as node
    from .workflows.run import run as run


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'affectflow' has no attribute '{name}'")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
