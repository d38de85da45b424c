"""Settings of MLMF."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from .lmf import Lmf
from .multi_task import MultiTask


@dataclass(frozen=True)
class Mlmf(MultiTask, Lmf):
    """LMF with a task of its own for each modality, each weighted by ``task_weights``.

    Args:
        post_dropout: before the first layer of the unimodal predictors.

    Further arguments are those of ``Lmf`` and of ``MultiTask``.
    """

    name: ClassVar[str] = "mlmf"
    training: ClassVar[Mapping[str, Any]] = {"batch_size": 128, "patience": 8}

    post_dropout: float = 0.4
