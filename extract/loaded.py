"""Loaded models of this process; the least recently used go when memory gets short."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

Model = TypeVar("Model")

#: Bytes of weights that one process keeps loaded; the model in use may pass it alone.
KEPT = 4 << 30
#: The models of this process, whatever their kind, under whose they are and what they are.
_SHELF: OrderedDict[tuple[int, Hashable], tuple[Any, int]] = OrderedDict()


class LoadedModels(Generic[Model]):
    """Models of one kind by what they were loaded from, bounded by the bytes of their weights.

    Args:
        limit: bytes kept at most, of this kind alone; None: ``KEPT``, shared by all such kinds,
            so that a recipe of many networks does not keep them all. The latest model stays
            whatever its size.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = KEPT if limit is None else limit
        self._models = _SHELF if limit is None else OrderedDict()

    def get(self, key: Hashable, load: Callable[[], tuple[Model, int]]) -> Model:
        """The model under ``key``; loaded if it is not there.

        Args:
            key: everything that makes the model what it is, device included.
            load: makes the model and says how many bytes it takes.
        """
        place = (id(self), key)
        if place in self._models:
            self._models.move_to_end(place)
            found: Model = self._models[place][0]
            return found
        model, size = load()
        while self._models and self.size + size > self.limit:
            self._models.popitem(last=False)
        self._models[place] = (model, size)
        return model

    @property
    def size(self) -> int:
        """Bytes of all models kept within the limit."""
        return sum(size for _, size in self._models.values())

    def __len__(self) -> int:
        return len(self._models)
