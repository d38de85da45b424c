import numpy as np
import pytest

from affectflow.extract.vision.mtcnn_boxes import contained_removed, inside, pyramid, squared
from affectflow.extract.vision.mtcnn_cascade import load_cascade
from affectflow.extract.vision.summed_table import SummedTable


@pytest.fixture(scope="module")
def theirs():
    """facenet-pytorch's own detector at the same settings."""
    from facenet_pytorch import MTCNN

    return MTCNN(keep_all=True, min_face_size=40)


def test_finds_what_facenet_pytorch_finds_in_one_picture(portrait, theirs):
    boxes, probabilities, points = theirs.detect(portrait, landmarks=True)
    found = load_cascade().detect(portrait, 40, 0.7)
    np.testing.assert_allclose(found.boxes, boxes.astype(float), atol=1e-4)
    np.testing.assert_allclose(found.probabilities, probabilities.astype(float), atol=1e-5)
    np.testing.assert_allclose(found.landmarks, points.astype(float), atol=1e-4)


def test_faces_beyond_the_edge_are_the_same_alone_as_facenet_pytorch_finds_them(portrait, theirs):
    cut = np.ascontiguousarray(portrait[80:])  # the forehead is outside
    boxes, _ = theirs.detect(cut)
    np.testing.assert_allclose(
        load_cascade().detect(cut, 40, 0.7).boxes, boxes.astype(float), atol=1e-4
    )


@pytest.mark.parametrize("size", [(7, 5), (24, 24), (40, 33)])
def test_resizes_as_adaptive_average_pooling_does(size):
    import torch

    image = np.random.default_rng(0).integers(0, 256, (31, 47, 3), np.uint8)
    pooled = torch.nn.functional.adaptive_avg_pool2d(
        torch.from_numpy(image).permute(2, 0, 1).float(), size
    )
    ours = SummedTable(image).resized(*size)
    np.testing.assert_allclose(ours, pooled.permute(1, 2, 0).numpy(), rtol=1e-6)


def test_crops_are_the_resized_parts():
    image = np.random.default_rng(1).integers(0, 256, (60, 50, 3), np.uint8)
    corners = np.array([[3, 5, 40, 44], [10, 0, 12, 60]])
    crops = SummedTable(image).crops(corners, 24)
    for crop, (left, top, right, bottom) in zip(crops, corners, strict=True):
        part = np.ascontiguousarray(image[top:bottom, left:right])
        np.testing.assert_allclose(crop, SummedTable(part).resized(24, 24), rtol=1e-6)


def test_boxes_outside_the_picture_are_left_out():
    boxes = np.array([[-30, -30, -5, -5], [-10, 5, 20, 35], [200, 3, 230, 33]], np.float32)
    kept, corners = inside(boxes, height=50, width=100)
    np.testing.assert_array_equal(kept, boxes[1:2])
    np.testing.assert_array_equal(corners, [[0, 4, 20, 35]])


def test_a_box_inside_a_more_probable_one_goes():
    boxes = np.array([[0, 0, 100, 100], [30, 30, 50, 50], [200, 0, 300, 100]], np.float32)
    kept = contained_removed(boxes, np.array([0.9, 0.8, 0.95], np.float32), 0.7)
    np.testing.assert_array_equal(kept, [2, 0])


def test_squared_keeps_the_centre():
    np.testing.assert_array_equal(
        squared(np.array([[0, 10, 40, 30]], np.float32)), [[0, 0, 40, 40]]
    )


def test_the_pyramid_ends_where_the_picture_is_smaller_than_the_window():
    scales = pyramid(100, 200, 40)
    assert scales[0] == pytest.approx(0.3)
    assert 100 * scales[-1] >= 12 > 100 * scales[-1] * 0.709
    assert pyramid(30, 200, 40) == []


def test_follows_a_face_that_moved_and_says_which_boxes_hold_none(portrait):
    from affectflow.extract.vision.mtcnn_cascade import load_cascade

    cascade = load_cascade()
    [box] = cascade.detect(portrait, 40, 0.7).boxes
    moved = np.roll(portrait, 5, axis=1)
    boxes = np.stack([box + 1000, box, box - 500, [0, 180, 60, 250]]).astype(np.float32)
    found, faces = cascade.follow(moved, boxes, 0.7)
    np.testing.assert_array_equal(found, [False, True, False, False])
    np.testing.assert_allclose(faces.boxes[0], box + (5, 0, 5, 0), atol=4)
    assert faces.landmarks.shape == (1, 5, 2)
    found, faces = cascade.follow(moved, boxes[:1], 0.7)
    assert not found.any()
    assert len(faces) == 0
