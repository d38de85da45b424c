"""Settings of MTFN."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from .multi_task import MultiTask
from .tfn import Tfn


@dataclass(frozen=True)
class Mtfn(MultiTask, Tfn):
    """TFN with a task of its own for each modality, each weighted by ``task_weights``.

    Arguments are those of ``Tfn`` and of ``MultiTask``.
    """

    name: ClassVar[str] = "mtfn"
    training: ClassVar[Mapping[str, Any]] = {"batch_size": 64, "patience": 8}

    text_post_units: int = 64
    audio_post_units: int = 16
    vision_post_units: int = 16
