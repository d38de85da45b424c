"""The stages of Video Swin above one whose states are cached, as a module to be trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ...cache.errors import BadCall
from .video_network import KINDS, Kind, filled_network, swin_states
from .video_windows import video_windows

if TYPE_CHECKING:
    from .swin3d import Swin3d

#: Largest difference from the whole network, relative to the largest value.
TOLERANCE = 1e-5


class UpperSwin(nn.Module):
    """The stages of a cut network; see ``upper_swin`` and, for the attributes, ``extract.cut``.

    Clips are computed one at a time, up to their last picture with a face, so that none depends on
    padding or on the others; those longer than ``window`` in windows, as ``swin3d`` reads them. A
    picture without a face counts as the mean picture.

    Args:
        network: torchvision's.
        kind: what is known of it.
        stages: how many have run of what it is given; 0: none, it is given pictures.
        row: shape of what it is given, of one row.
        window: rows that are read at once.
        overlap: rows that two windows share.
    """

    summary = "mean"
    mean: Tensor
    std: Tensor

    def __init__(
        self, network: Any, kind: Kind, stages: int, row: tuple[int, ...], window: int, overlap: int
    ) -> None:
        super().__init__()
        self.embed = network.patch_embed if stages == 0 else nn.Identity()
        self.features = network.features[2 * stages :]
        self.norm = network.norm
        self.width = kind.width
        self.stride = kind.stride if stages == 0 else 1
        self.row, self.window, self.overlap = row, window, overlap
        self.align = kind.align if stages == 0 else kind.align // kind.stride
        self.pixels = stages == 0
        for name, values in (("mean", kind.mean), ("std", kind.std)):
            self.register_buffer(name, 255 * torch.tensor(values), persistent=False)

    def blocks(self) -> list[nn.Module]:
        """Its layers of attention."""
        stages = [stage for stage in self.features if isinstance(stage, nn.Sequential)]
        return [block for stage in stages for block in stage]

    def forward(self, rows: Tensor, mask: Tensor) -> Tensor:
        """Map rows (B, T, columns) and mask (B, T), True on faces, to (B, ceil(T / stride), D)."""
        made = rows.new_zeros(*rows.shape[:1], -(-rows.shape[1] // self.stride), self.width)
        clips = []
        for given, shown in zip(rows, mask, strict=True):
            n = int(shown.nonzero().max()) + 1 if shown.any() else 1
            clip = self._clip(given[:n].unflatten(-1, self.row), shown[:n])
            clips.append(torch.cat([clip, made[0, len(clip) :]]))
        return torch.stack(clips)

    def _clip(self, rows: Tensor, shown: Tensor) -> Tensor:
        """Of one clip, (T, *row) to (ceil(T / stride), D)."""
        given = self._normalised(rows, shown) if self.pixels else rows
        numbers = np.arange(len(rows))
        stream = (np.zeros((len(rows), 2)), numbers, np.ones(len(rows), bool))
        parts = []
        for window in video_windows([stream], self.window, self.overlap, self.align, self.stride):
            seen = given[window.start : window.start + len(window.pictures)]
            kept = slice(
                (window.keep_start - window.start) // self.stride,
                -(-(window.keep_end - window.start) // self.stride),
            )
            parts.append(self._states(seen)[kept])
        return torch.cat(parts)

    def _normalised(self, pictures: Tensor, shown: Tensor) -> Tensor:
        """As the network was trained to see them; zeros where there is no face."""
        return (pictures - self.mean) / self.std * shown[:, None, None, None]

    def _states(self, seen: Tensor) -> Tensor:
        """The network above: (T, h, w, C) to the means over space (T', D)."""
        states = self.embed(seen.permute(3, 0, 1, 2)[None]) if self.pixels else seen[None]
        made: Tensor = self.norm(self.features(states))[0].mean(dim=(1, 2))
        return made


def upper_swin(made: Swin3d, stages: int) -> UpperSwin:
    """The stages above the first ``stages`` of a node's network, ready to be trained.

    What comes out is compared with the whole network before it is handed out.

    Args:
        made: a ``swin3d`` node.
        stages: how many have run of what goes in; 0: none, the crops go in.

    Returns:
        A float32 module in evaluation mode; see ``UpperSwin``.

    Raises:
        BadCall: the weights cannot be read, or are of another network; or it cannot be cut there.
    """
    kind = KINDS[made.network]
    network = filled_network(made.network, made.weights()["checkpoint"])
    share = kind.stride if stages else 1
    sizes = [n // share for n in made.windows]
    upper = UpperSwin(network, kind, stages, made.row, *sizes).eval()
    pictures = torch.rand(1, 4, made.size, made.size, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        shown = torch.ones(4, dtype=torch.bool)
        video = upper._normalised(255 * pictures[0], shown).permute(3, 0, 1, 2)[None]
        wanted = kind.rows(network, video)[0]
        lower = swin_states(stages)(network, video)[0] if stages else 255 * pictures[0]
        found = upper(lower.flatten(1)[None], torch.ones(1, len(lower), dtype=torch.bool))[0]
    off = float((found - wanted).abs().max() / wanted.abs().max())
    if not off <= TOLERANCE:
        raise BadCall(
            f"{made.network} cannot be cut after stage {stages}: the stages above give other rows "
            f"than the whole network (off by {off:.2g} of the largest value)"
        )
    return upper.requires_grad_(True)
