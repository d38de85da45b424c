"""Loaded models of this process; the least recently used go when memory gets short."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Model = TypeVar("Model")

#: Bytes of weights that one process keeps loaded; the model in use may pass it alone.
KEPT = 4 << 30


class LoadedModels(Generic[Model]):
    """Models by what they were loaded from, bounded by the bytes of their weights.

    Args:
        limit: bytes kept at most; the latest model stays whatever its size.
    """

    def __init__(self, limit: int = KEPT) -> None:
        self.limit = limit
        self._models: OrderedDict[Hashable, tuple[Model, int]] = OrderedDict()

    def get(self, key: Hashable, load: Callable[[], tuple[Model, int]]) -> Model:
        """The model under ``key``; loaded if it is not there.

        Args:
            key: everything that makes the model what it is, device included.
            load: makes the model and says how many bytes it takes.
        """
        if key in self._models:
            self._models.move_to_end(key)
            return self._models[key][0]
        model, size = load()
        while self._models and self.size + size > self.limit:
            self._models.popitem(last=False)
        self._models[key] = (model, size)
        return model

    @property
    def size(self) -> int:
        """Bytes of all models kept."""
        return sum(size for _, size in self._models.values())

    def __len__(self) -> int:
        return len(self._models)
