"""MTFN: TFN with a task of its own for each modality."""

from __future__ import annotations

from .late import MultiTaskFusion
from .tfn import TfnNet


class MtfnNet(MultiTaskFusion, TfnNet):
    """TFN for the last task, a predictor on each modality's subnet for that modality's task.

    Source:
        Yu et al. (2020), "CH-SIMS", ACL; see ``MultiTaskFusion``.
        TFN's widths, where theirs are commonly 256 / 32 / 256.
    """
