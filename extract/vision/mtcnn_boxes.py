"""Boxes of the faces that MTCNN's nets propose: where they come from, which ones stay."""

from __future__ import annotations

import numpy as np

from ...cache.records import Array

#: Each level of the pyramid is this much smaller than the one before; facenet-pytorch's value.
PYRAMID_FACTOR = 0.709
#: Side of the window that the first net looks at, and its step, in pixels of a pyramid level.
CELL, STRIDE = 12, 2


def pyramid(height: int, width: int, min_size: float) -> list[float]:
    """Scales at which a face of ``min_size`` pixels and larger ones fill the first net's window."""
    scale = CELL / min_size
    scales = []
    while min(height, width) * scale >= CELL:
        scales.append(scale)
        scale *= PYRAMID_FACTOR
    return scales


def windows(shift: Array, probability: Array, scale: float, threshold: float) -> Array:
    """Windows of one level that reach the threshold: (n, 9) box, probability, shift."""
    rows, columns = np.nonzero(probability >= np.float32(threshold))
    corner = np.stack([columns, rows], axis=1).astype(np.float32) * STRIDE  # (n, 2)
    boxes = np.floor(np.concatenate([corner + 1, corner + CELL], axis=1) / np.float32(scale))
    return np.concatenate(
        [boxes, probability[rows, columns][:, None], shift[:, rows, columns].T], axis=1
    )


def overlapping_removed(boxes: Array, probability: Array, limit: float) -> Array:
    """Indices of boxes to keep, the most probable first, by intersection over union."""
    import torch
    from torchvision.ops import nms

    kept: Array = nms(torch.from_numpy(boxes), torch.from_numpy(probability), limit).numpy()
    return kept


def squared(boxes: Array) -> Array:
    """Boxes (n, 4) widened about their centres to squares."""
    size = boxes[:, 2:] - boxes[:, :2]
    side = size.max(axis=1, keepdims=True)
    corner = boxes[:, :2] + size * np.float32(0.5) - side * np.float32(0.5)
    return np.concatenate([corner, corner + side], axis=1)


def moved(boxes: Array, shift: Array) -> Array:
    """Boxes (n, 4) with each edge moved by a share of the width or height."""
    size = np.tile(boxes[:, 2:] - boxes[:, :2] + 1, 2)
    moved_boxes: Array = boxes + shift * size
    return moved_boxes


def inside(boxes: Array, height: int, width: int) -> tuple[Array, Array]:
    """Boxes that touch the picture, and their pixels inside it (n, 4), half open from 0."""
    corners = np.trunc(boxes).astype(np.int64)
    corners[:, :2] = np.maximum(corners[:, :2], 1) - 1
    corners[:, 2:] = np.minimum(corners[:, 2:], (width, height))
    touches = np.all(corners[:, 2:] > corners[:, :2], axis=1)
    return boxes[touches], corners[touches]


def contained_removed(boxes: Array, probability: Array, limit: float) -> Array:
    """Indices of boxes to keep: of two, the less probable goes if the overlap passes ``limit``.

    The overlap is the share of the smaller box, so that a mouth taken for a face inside a face
    goes too.
    """
    area = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    order = np.argsort(-probability, kind="stable")
    kept = []
    while len(order):
        first, order = order[0], order[1:]
        kept.append(first)
        low = np.maximum(boxes[first, :2], boxes[order, :2])
        high = np.minimum(boxes[first, 2:], boxes[order, 2:])
        shared = np.prod(np.maximum(high - low + 1, 0), axis=1)
        order = order[shared / np.minimum(area[first], area[order]) <= limit]
    return np.array(kept, np.int64)
