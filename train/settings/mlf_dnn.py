"""Settings of MLF-DNN."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from .lf_dnn import LfDnn
from .multi_task import MultiTask


@dataclass(frozen=True)
class MlfDnn(MultiTask, LfDnn):
    """LF-DNN with a task of its own for each modality, each weighted by ``task_weights``.

    Arguments are those of ``LfDnn`` and of ``MultiTask``.
    """

    name: ClassVar[str] = "mlf-dnn"
    training: ClassVar[Mapping[str, Any]] = {"batch_size": 32, "patience": 8}
