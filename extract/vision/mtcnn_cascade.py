"""The three nets of MTCNN, run on one picture at a time with their crops cut by a summed table.

facenet-pytorch's own ``detect`` mixes the pictures of a batch: it moves the boxes of picture i by
i times the largest coordinate before it suppresses overlaps, so that boxes that reach beyond the
left or upper edge meet those of the picture before, and float32 coordinates get coarser with i. It
also fails where a box lies wholly outside the picture, and on pictures below its smallest face.
Here every picture goes alone, so what is found never depends on what else was asked.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...cache.errors import BadCall
from ...cache.records import Array
from .computing import whole_float32
from .mtcnn_boxes import (
    contained_removed,
    inside,
    moved,
    overlapping_removed,
    pyramid,
    squared,
    windows,
)
from .summed_table import SummedTable

if TYPE_CHECKING:
    import torch

NETS = ("pnet", "rnet", "onet")
#: Probability that a box must reach in the first two nets; facenet-pytorch's values.
FIRST_THRESHOLDS = (0.6, 0.7)


@dataclass(frozen=True, eq=False)
class Faces:
    """All faces of one picture, the largest first.

    Args:
        boxes: (n, 4) float32: left, top, right, bottom in pixels; may pass the picture's edges.
        probabilities: (n,) float32, that it is a face, in [0, 1].
        landmarks: (n, 5, 2) float32, x and y in pixels of the eye, eye, nose tip, mouth corner,
            mouth corner; left before right as seen in the picture.
    """

    boxes: Array
    probabilities: Array
    landmarks: Array

    def __len__(self) -> int:
        return len(self.boxes)


NO_FACES = Faces(
    np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 5, 2), np.float32)
)


def weight_files() -> dict[str, Path]:
    """The nets' weights inside the installed facenet-pytorch, found without importing it.

    Raises:
        BadCall: facenet-pytorch is not installed.
    """
    found = importlib.util.find_spec("facenet_pytorch")
    if found is None or not found.submodule_search_locations:
        raise BadCall("MTCNN needs facenet-pytorch: pip install facenet-pytorch==2.5.3")
    data = Path(found.submodule_search_locations[0]) / "data"
    return {name: data / f"{name}.pt" for name in NETS}


def load_cascade(device: str = "cpu") -> Cascade:
    """The cascade with its weights (2 MB) on a device, loaded once in each process."""
    return _load_cascade(device)


@lru_cache(maxsize=4)
def _load_cascade(device: str) -> Cascade:
    import torch
    from facenet_pytorch.models import mtcnn

    nets: dict[str, Any] = {}
    for name, kind in zip(NETS, (mtcnn.PNet, mtcnn.RNet, mtcnn.ONet), strict=True):
        state = torch.load(weight_files()[name], map_location="cpu", weights_only=True)
        net = kind(pretrained=False)
        net.load_state_dict(state)
        net = net.eval().requires_grad_(False).to(device)
        nets[name] = net.to(memory_format=torch.channels_last)
    return Cascade(**nets, device=device)


class Cascade:
    """P-net, R-net and O-net of MTCNN with the suppression of overlaps between them.

    Source:
        Zhang et al. (2016), "Joint Face Detection and Alignment Using Multitask Cascaded
        Convolutional Networks", IEEE Signal Processing Letters 23(10). Weights, thresholds and
        conventions are those of facenet-pytorch 2.5.3 (its ``models/utils/detect_face.py``),
        whose single-picture results these are to one rounding of float32 (1e-4 pixels). Seldom,
        in crowded pictures, a rounding meets the truncation of a box to whole pixels, there as
        here, and moves a face by a pixel.
    """

    def __init__(self, pnet: Any, rnet: Any, onet: Any, device: str = "cpu") -> None:
        self.pnet, self.rnet, self.onet = pnet, rnet, onet
        self.device = device

    def detect(self, image: Array, min_size: float, threshold: float) -> Faces:
        """All faces of one picture.

        Args:
            image: (height, width, 3) uint8 RGB.
            min_size: side of the smallest face looked for, in pixels.
            threshold: probability that a face must reach in the last net.
        """
        import torch

        with torch.inference_mode(), whole_float32(self.device):
            table = SummedTable(image)
            boxes = self._propose(table, min_size)
            boxes = self._refine(table, boxes) if len(boxes) else boxes
            return self._finish(table, boxes, threshold) if len(boxes) else NO_FACES

    def _run(self, net: Any, pictures: Array) -> tuple[Array, ...]:
        """What a net says of pictures (n, height, width, 3) in [0, 255]."""
        return tuple(out.cpu().numpy() for out in net(_tensor(pictures).to(self.device)))

    def _propose(self, table: SummedTable, min_size: float) -> Array:
        """Boxes (n, 4) worth a second look: the first net over a pyramid of sizes."""
        levels = []
        for scale in pyramid(table.height, table.width, min_size):
            small = table.resized(int(table.height * scale + 1), int(table.width * scale + 1))
            shift, probability = self._run(self.pnet, small[None])
            found = windows(shift[0], probability[0, 1], scale, FIRST_THRESHOLDS[0])
            levels.append(found[overlapping_removed(found[:, :4], found[:, 4], 0.5)])
        if not levels:
            return np.empty((0, 4), np.float32)
        found = np.concatenate(levels)
        found = found[overlapping_removed(found[:, :4], found[:, 4], 0.7)]
        size = np.tile(found[:, 2:4] - found[:, :2], 2)
        return squared(found[:, :4] + found[:, 5:] * size)

    def _refine(self, table: SummedTable, boxes: Array) -> Array:
        """Boxes (n, 4) that the second net takes for faces too, moved."""
        boxes, corners = inside(boxes, table.height, table.width)
        shift, probability = self._run(self.rnet, table.crops(corners, 24))
        kept = probability[:, 1] > FIRST_THRESHOLDS[1]
        boxes, shift, probability = boxes[kept], shift[kept], probability[kept, 1]
        best = overlapping_removed(boxes, probability, 0.7)
        return squared(moved(boxes[best], shift[best]))

    def _finish(self, table: SummedTable, boxes: Array, threshold: float) -> Faces:
        """Faces that the last net finds in the boxes, with their landmarks."""
        boxes, corners = inside(boxes, table.height, table.width)
        boxes, probability, points = self._look(table.crops(corners, 48), boxes)
        kept = probability > threshold
        boxes, probability, points = boxes[kept], probability[kept], points[kept]
        best = contained_removed(boxes, probability, 0.7)
        area = np.prod(boxes[best, 2:] - boxes[best, :2], axis=1)
        order = best[np.argsort(-area, kind="stable")]
        return Faces(boxes[order], probability[order], points[order])

    def _look(self, crops: Array, boxes: Array) -> tuple[Array, Array, Array]:
        """What the last net says of crops (n, 48, 48, 3) of boxes: boxes, probabilities, points."""
        shift, points, probability = self._run(self.onet, crops)
        size = (boxes[:, 2:] - boxes[:, :2] + 1)[:, :, None]  # (n, 2, 1)
        points = points.reshape(-1, 2, 5) * size + boxes[:, :2, None] - 1  # (n, 2, 5)
        return moved(boxes, shift), probability[:, 1], points.transpose(0, 2, 1)

    def follow(self, image: Array, boxes: Array, threshold: float) -> tuple[Array, Faces]:
        """Faces that were in boxes (n, 4) a moment before, looked for there by the last net only.

        Args:
            image: (height, width, 3) uint8 RGB.
            boxes: (n, 4) float32 as ``Faces`` has them.
            threshold: probability that a face must reach.

        Returns:
            (n,) bool: whether it is still there, and the faces that are, in the order of the boxes.
        """
        import torch

        height, width = image.shape[:2]
        found = np.zeros(len(boxes), bool)
        wanted = squared(boxes)
        corners = np.trunc(wanted).astype(np.int64)
        corners[:, :2] = np.clip(corners[:, :2] - 1, 0, None)
        corners[:, 2:] = np.minimum(corners[:, 2:], (width, height))
        touches = np.flatnonzero(np.all(corners[:, 2:] > corners[:, :2], axis=1))
        if not len(touches):
            return found, NO_FACES
        crops = [_crop(image, *corners[n]) for n in touches]
        with torch.inference_mode(), whole_float32(self.device):
            seen, probability, points = self._look(np.concatenate(crops), wanted[touches])
        kept = probability > threshold
        found[touches[kept]] = True
        return found, Faces(seen[kept], probability[kept], points[kept])


def _crop(image: Array, left: int, top: int, right: int, bottom: int) -> Array:
    """One rectangle for the last net, (1, 48, 48, 3); the table is made of that part alone."""
    part = np.ascontiguousarray(image[top:bottom, left:right])
    return SummedTable(part).crops(np.array([[0, 0, right - left, bottom - top]]), 48)


def _tensor(pictures: Array) -> torch.Tensor:
    """Pictures (n, height, width, 3) in [0, 255] as the nets take them, channels last."""
    import torch

    scaled = (pictures - np.float32(127.5)) * np.float32(0.0078125)
    return torch.from_numpy(scaled).permute(0, 3, 1, 2)
