"""MLF-DNN: LF-DNN with a task of its own for each modality."""

from __future__ import annotations

from .late import MultiTaskFusion
from .lf_dnn import LfDnnNet


class MlfDnnNet(MultiTaskFusion, LfDnnNet):
    """LF-DNN for the last task, a predictor on each modality's subnet for that modality's task.

    Source:
        Yu et al. (2020), "CH-SIMS", ACL; see ``MultiTaskFusion``.
        Widths and dropouts are those commonly used on CH-SIMS.
    """
