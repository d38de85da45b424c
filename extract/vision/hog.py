"""Histograms of oriented gradients as Felzenszwalb's, 31 numbers a cell: what OpenFace uses."""

from __future__ import annotations

import numpy as np

from ...cache.records import Array

#: Numbers of a cell: 18 directions, 9 directions without sign, 4 energies.
CHANNELS = 31
#: Unit vectors of the first nine directions, x to the right, y down; the others are opposite.
ANGLES = np.arange(9) * np.pi / 9
#: Added to the energy of four cells before the root is taken.
EPSILON = 1e-4
#: Where normalised histograms are cut off, and the weight of the energies.
CUT, ENERGY = 0.2, 0.2357


def fhog(image: Array, cell: int = 8) -> Array:
    """Histograms of a picture's cells but the outermost, each by the energy of its neighbours.

    Of each pixel the colour with the steepest gradient counts, with the nearest of 18 directions,
    shared among the four cells whose middles lie around it. Each cell is divided by the energies
    of the four squares of 2 x 2 cells that it belongs to (lower right, upper right, lower left,
    upper left), cut off at 0.2; the halves are added over the squares for 18 directions and for
    9 without sign, then added over the 18 directions for each square.

    Args:
        image: (height, width, 3) uint8.
        cell: side of a cell in pixels.

    Returns:
        (rows - 2, columns - 2, 31) float32, each at least 0; 12 x 12 of 112 x 112 pixels.

    Source:
        Felzenszwalb et al. (2010), "Object Detection with Discriminatively Trained Part-Based
        Models", IEEE TPAMI 32(9), section 6; the interpolation and constants are those of its
        authors' program, which dlib, and so OpenFace, follows.
    """
    rows, columns = round(image.shape[0] / cell), round(image.shape[1] / cell)
    histogram = _histogram(image[: rows * cell, : columns * cell], rows, columns, cell)
    unsigned = histogram[..., :9] + histogram[..., 9:]
    energy = np.sum(unsigned**2, axis=-1)  # (rows, columns)
    square = energy[:-1, :-1] + energy[:-1, 1:] + energy[1:, :-1] + energy[1:, 1:]
    scale = 1 / np.sqrt(square + EPSILON)
    sides = (scale[1:, 1:], scale[:-1, 1:], scale[1:, :-1], scale[:-1, :-1])
    inner = np.s_[1:-1, 1:-1]
    signed = [np.minimum(histogram[inner] * side[..., None], CUT) for side in sides]
    plain = [np.minimum(unsigned[inner] * side[..., None], CUT) for side in sides]
    energies = [ENERGY * part.sum(axis=-1, keepdims=True) for part in signed]
    parts = (0.5 * sum(signed), 0.5 * sum(plain), *energies)
    return np.concatenate(parts, axis=-1).astype(np.float32)


def _histogram(image: Array, rows: int, columns: int, cell: int) -> Array:
    """Gradients of each cell by direction, (rows, columns, 18) float64."""
    pixels = image.astype(np.int32)
    across = (pixels[1:-1, 2:] - pixels[1:-1, :-2]).reshape(-1, 3)  # (n, 3) colours
    down = (pixels[2:, 1:-1] - pixels[:-2, 1:-1]).reshape(-1, 3)
    steepest = np.argmax(across**2 + down**2, axis=1)[:, None]
    dx = np.take_along_axis(across, steepest, axis=1)
    dy = np.take_along_axis(down, steepest, axis=1)
    along = dx * np.cos(ANGLES) + dy * np.sin(ANGLES)  # (n, 9)
    direction = np.argmax(np.concatenate([along, -along], axis=1), axis=1)
    length = np.hypot(dx, dy)[:, 0]
    low_y, part_y = _between(np.arange(1, image.shape[0] - 1), cell)
    low_x, part_x = _between(np.arange(1, image.shape[1] - 1), cell)
    # A margin of one cell takes what falls beyond the picture.
    found = np.zeros((rows + 2) * (columns + 2) * 18)
    for step_y, share_y in ((0, 1 - part_y), (1, part_y)):
        for step_x, share_x in ((0, 1 - part_x), (1, part_x)):
            place = (low_y + 1 + step_y)[:, None] * (columns + 2) + low_x + 1 + step_x
            share = (share_y[:, None] * share_x).ravel()
            found += np.bincount(
                place.ravel() * 18 + direction, length * share, minlength=len(found)
            )
    return np.asarray(found.reshape(rows + 2, columns + 2, 18)[1:-1, 1:-1])


def _between(pixels: Array, cell: int) -> tuple[Array, Array]:
    """The cell whose middle lies before each pixel, -1 for none, and how far it is past it."""
    place = (pixels + 0.5) / cell - 0.5
    low = np.floor(place).astype(np.int64)
    return low, place - low
