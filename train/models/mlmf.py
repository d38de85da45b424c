"""MLMF: LMF with a task of its own for each modality."""

from __future__ import annotations

from .late import MultiTaskFusion
from .lmf import LmfNet


class MlmfNet(MultiTaskFusion, LmfNet):
    """LMF for the last task, a predictor on each modality's subnet for that modality's task.

    Source:
        Yu et al. (2020), "CH-SIMS", ACL; see ``MultiTaskFusion``.
        LMF's widths.
    """
