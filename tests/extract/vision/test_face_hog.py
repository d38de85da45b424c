import math

import numpy as np
import pytest

from affectflow.cache.errors import BadCall, NoFace
from affectflow.extract.registry import extractor
from affectflow.extract.vision.crops import aligning, cut
from affectflow.extract.vision.hog import fhog


def one_by_one(image, cell):
    """The same descriptor, pixel by pixel, as the paper's program goes."""
    height, width = image.shape[:2]
    rows, columns = height // cell, width // cell
    histogram = np.zeros((rows, columns, 18))
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            steps = [
                (
                    float(image[y, x + 1, c]) - image[y, x - 1, c],
                    float(image[y + 1, x, c]) - image[y - 1, x, c],
                )
                for c in range(3)
            ]
            dx, dy = max(steps, key=lambda step: step[0] ** 2 + step[1] ** 2)
            best, direction = 0.0, 0
            for o in range(9):
                along = dx * math.cos(o * math.pi / 9) + dy * math.sin(o * math.pi / 9)
                if along > best:
                    best, direction = along, o
                elif -along > best:
                    best, direction = -along, o + 9
            py, px = (y + 0.5) / cell - 0.5, (x + 0.5) / cell - 0.5
            for cy in (math.floor(py), math.floor(py) + 1):
                for cx in (math.floor(px), math.floor(px) + 1):
                    if 0 <= cy < rows and 0 <= cx < columns:
                        share = (1 - abs(py - cy)) * (1 - abs(px - cx))
                        histogram[cy, cx, direction] += share * math.hypot(dx, dy)
    energy = ((histogram[..., :9] + histogram[..., 9:]) ** 2).sum(-1)
    found = np.zeros((rows - 2, columns - 2, 31))
    for y in range(1, rows - 1):
        for x in range(1, columns - 1):
            for k, (up, left) in enumerate([(0, 0), (1, 0), (0, 1), (1, 1)]):
                square = energy[y - up : y - up + 2, x - left : x - left + 2].sum()
                scaled = histogram[y, x] / math.sqrt(square + 1e-4)
                signed = np.minimum(scaled, 0.2)
                found[y - 1, x - 1, :18] += signed / 2
                found[y - 1, x - 1, 18:27] += np.minimum(scaled[:9] + scaled[9:], 0.2) / 2
                found[y - 1, x - 1, 27 + k] = 0.2357 * signed.sum()
    return found


def test_is_the_papers_descriptor_pixel_by_pixel():
    image = np.random.default_rng(0).integers(0, 255, (32, 40, 3), np.uint8)
    np.testing.assert_allclose(fhog(image), one_by_one(image, 8), atol=1e-5)


def test_a_face_of_112_pixels_has_12_by_12_cells():
    assert fhog(np.zeros((112, 112, 3), np.uint8)).shape == (12, 12, 31)


def test_an_even_picture_has_no_gradient():
    assert not fhog(np.full((64, 64, 3), 90, np.uint8)).any()


@pytest.mark.parametrize(("turn", "direction"), [(0, 0), (1, 14), (2, 9), (3, 5)])
def test_a_ramp_fills_its_direction(turn, direction):
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None] * 3, 3, axis=2)
    found = fhog(np.ascontiguousarray(np.rot90(np.tile(ramp, (64, 1, 1)), turn)))[3, 3]
    assert found[:18].argmax() in {direction, direction - 1}
    assert (found[:18] > 0).sum() == 1


def test_does_not_see_light_and_little_of_contrast():
    image = np.random.default_rng(0).integers(60, 120, (64, 64, 3), np.uint8)
    np.testing.assert_array_equal(fhog(image + 40), fhog(image))
    np.testing.assert_allclose(fhog(image * 2), fhog(image), atol=1e-5)


@pytest.fixture
def clip(make_clip, still_faces):
    pictures = list(np.random.default_rng(0).integers(0, 255, (3, 96, 128, 3), np.uint8))
    clip = make_clip(pictures)
    clip.features["faces"] = still_faces(3, (20, 10, 100, 90), (96, 128), mask=[1, 0, 1])
    return clip


def test_describes_the_aligned_face_of_each_picture(clip):
    found = extractor("face-hog").extract(clip)
    assert found.mask.tolist() == [True, False, True]
    assert not found.values[1].any()
    faces = clip.features["faces"]
    points = faces.values[0, 5:15].reshape(5, 2).astype(float)
    crop = cut(list(clip.frames(10.0))[0].image, aligning(points, 112), 112)
    np.testing.assert_allclose(found.values[0], fhog(crop).ravel(), atol=1e-3)
    assert found.cast(extractor("face-hog").spec).values.shape == (3, 4464)


def test_golden_values_of_version_1(clip):
    assert extractor("face-hog").version == 1
    found = extractor("face-hog").extract(clip).values.astype(float)
    expected = [0.18225, 0.10236, 0.12079, 0.14880, 0.16589, 0.17004]
    np.testing.assert_allclose(found[0, 4000:4006], expected, atol=1e-3)
    np.testing.assert_allclose(found[2].sum(), 1030.75, rtol=1e-3)


def test_refuses_a_clip_without_a_face_and_a_rate_out_of_range(clip):
    clip.features["faces"].mask[:] = False
    with pytest.raises(NoFace, match="'talk': none of 3 pictures has a face"):
        extractor("face-hog").extract(clip)
    with pytest.raises(BadCall, match=r"face-hog: rate must be in \(0, 240\] Hz, not 0"):
        extractor("face-hog", rate=0)
