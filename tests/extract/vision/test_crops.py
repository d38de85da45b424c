import numpy as np
import pytest

from affectflow.cache.errors import BadCall, BadInput, NoFace, NoVideo
from affectflow.cache.records import Features
from affectflow.extract.registry import extractor
from affectflow.extract.vision.crops import PIECE, TEMPLATE, aligning, cut, face_crops
from affectflow.extract.vision.mtcnn_face import COLUMNS

SIZE = (120, 160)


def faces_of(boxes, rate=10.0, tracks=1, size=SIZE):
    """Features of a box (None: no face) for each picture."""
    values = np.zeros((len(boxes), len(COLUMNS)), np.float32)
    numbers = np.arange(len(boxes))
    track = np.broadcast_to(tracks, len(boxes))
    for k, (row, box) in enumerate(zip(values, boxes, strict=True)):
        if box is not None:
            row[:4], row[4] = box, 0.9
            x, y = box[:2]
            row[5:15] = np.add((x, y) * 5, [10, 10, 30, 10, 20, 20, 12, 30, 28, 30])
        row[15] = -1 if box is None else track[k]
        row[16:19] = size[1], size[0], numbers[k] / rate
    times = np.stack([numbers / rate, (numbers + 1) / rate], axis=1)
    return Features(values, times, COLUMNS, [box is not None for box in boxes])


def marked(left, top, side=20, size=SIZE):
    """A dark picture with a white square."""
    picture = np.full((*size, 3), 20, np.uint8)
    picture[top : top + side, left : left + side] = 255
    return picture


def joined(pieces):
    return [np.concatenate(part) for part in zip(*pieces, strict=True)]


def test_cuts_the_box_of_each_picture(make_clip):
    clip = make_clip([marked(10, 20), marked(50, 60)])
    faces = faces_of([(10, 20, 30, 40), (50, 60, 70, 80)])
    times, pictures, mask = joined(face_crops(clip, faces, 20, 10.0))
    np.testing.assert_allclose(times, [[0, 0.1], [0.1, 0.2]])
    assert mask.all()
    assert pictures.dtype == np.uint8
    assert (pictures == 255).all()


def test_a_margin_widens_the_window_on_each_side(make_clip):
    clip = make_clip([marked(40, 40)])
    [(_, pictures, _)] = face_crops(clip, faces_of([(40, 40, 60, 60)]), 40, 10.0, margin=0.5)
    expected = np.full((40, 40, 3), 20, np.uint8)
    expected[10:30, 10:30] = 255
    np.testing.assert_array_equal(pictures[0], expected)


def test_a_window_may_lie_lower(make_clip):
    clip = make_clip([marked(40, 50)])
    [(_, pictures, _)] = face_crops(clip, faces_of([(40, 40, 60, 60)]), 20, 10.0, lower=0.5)
    assert (pictures == 255).all()


def test_what_lies_beyond_the_edge_is_filled(make_clip):
    clip = make_clip([np.full((*SIZE, 3), 200, np.uint8)])
    box = (-10, -10, 10, 10)
    [(_, pictures, mask)] = face_crops(clip, faces_of([box]), 20, 10.0, fill=110)
    assert mask.all()
    assert (pictures[0, 11:, 11:] == 200).all()
    assert (pictures[0, :9] == 110).all()
    assert (pictures[0, :, :9] == 110).all()


def test_a_box_wholly_outside_is_all_filling(make_clip):
    clip = make_clip([np.full((*SIZE, 3), 200, np.uint8)])
    [(_, pictures, _)] = face_crops(clip, faces_of([(500, 500, 540, 540)]), 8, 10.0, fill=7)
    assert (pictures == 7).all()


def test_small_crops_are_means_of_areas():
    fine = np.zeros((128, 128, 3), np.uint8)
    fine[::2] = 200  # a bilinear map to an eighth would see only some of the lines
    crop = cut(fine, np.array([[1 / 8, 0, 0], [0, 1 / 8, 0]]), 16)
    np.testing.assert_allclose(crop[1:-1, 1:-1], 100, atol=1)


def test_between_two_rows_the_box_lies_on_the_way(make_clip):
    places = [10, 14, 18, 22, 26]
    clip = make_clip([marked(left, 20) for left in places], rate=20.0)
    faces = faces_of([(left, 20, left + 20, 40) for left in places[::2]], rate=10.0)
    _, pictures, mask = joined(face_crops(clip, faces, 20, 20.0))
    assert mask.all()
    assert (pictures == 255).all()


def test_a_face_is_not_carried_on_past_its_loss(make_clip):
    clip = make_clip([marked(10, 20)] * 8, rate=20.0)
    box = (10, 20, 30, 40)
    faces = faces_of([box, None, None, box], rate=10.0)
    _, pictures, mask = joined(face_crops(clip, faces, 20, 20.0))
    np.testing.assert_array_equal(mask, [1, 1, 0, 0, 0, 0, 1, 1])
    assert not pictures[2:6].any()


def test_after_the_last_row_there_is_no_face(make_clip):
    clip = make_clip([marked(10, 20)] * 5)
    _, _, mask = joined(face_crops(clip, faces_of([(10, 20, 30, 40)] * 2), 20, 10.0))
    np.testing.assert_array_equal(mask, [1, 1, 0, 0, 0])


def test_from_one_face_to_another_nothing_glides(make_clip):
    clip = make_clip([marked(10, 20), marked(10, 20), marked(100, 20)], rate=20.0)
    faces = faces_of([(10, 20, 30, 40), (100, 20, 120, 40)], tracks=[1, 2])
    _, pictures, _ = joined(face_crops(clip, faces, 20, 20.0))
    assert (pictures == 255).all()


def test_smoothing_takes_out_one_misplaced_box_and_keeps_to_its_face(make_clip):
    lefts = [10, 10, 60, 10, 10, 100, 100, 100]
    clip = make_clip([marked(10 if k < 5 else 100, 20) for k in range(8)])
    faces = faces_of([(left, 20, left + 20, 40) for left in lefts], tracks=[1] * 5 + [2] * 3)
    _, pictures, _ = joined(face_crops(clip, faces, 20, 10.0, smooth=0.5))
    assert (pictures == 255).all()


def test_aligned_landmarks_come_to_the_template():
    angle = np.exp(0.4j) * 3
    turned = angle * (TEMPLATE[:, 0] + 1j * TEMPLATE[:, 1]) + (200 - 50j)
    points = np.stack([turned.real, turned.imag], axis=1)
    matrix = aligning(points, 112)
    np.testing.assert_allclose(points @ matrix[:, :2].T + matrix[:, 2], TEMPLATE, atol=1e-9)
    matrix = aligning(points, 224, margin=0.5)  # twice as wide a view at twice the size
    np.testing.assert_allclose(points @ matrix[:, :2].T + matrix[:, 2], TEMPLATE + 56, atol=1e-9)


def test_an_aligned_photograph_stands_upright(portrait, make_clip):
    turned = np.ascontiguousarray(np.rot90(portrait))
    faces = extractor("mtcnn-face").extract(make_clip([portrait]))
    _, [upright], _ = next(face_crops(make_clip([portrait]), faces, 64, 10.0, aligned=True))
    points = faces.values[0, 5:15].reshape(5, 2)
    values = faces.values.copy()
    values[0, 5:15] = np.stack([points[:, 1], 256 - points[:, 0]], axis=1).ravel()
    lying = Features(values, faces.times, faces.columns)
    _, [again], _ = next(face_crops(make_clip([turned]), lying, 64, 10.0, aligned=True))
    assert np.abs(upright.astype(int) - again).mean() < 3


def test_pieces_are_bounded(make_clip):
    clip = make_clip([marked(10, 20)] * (2 * PIECE + 5))
    faces = faces_of([(10, 20, 30, 40)] * (2 * PIECE + 5))
    assert [len(times) for times, _, _ in face_crops(clip, faces, 4, 10.0)] == [PIECE, PIECE, 5]


def test_faces_of_other_pictures_are_refused(make_clip):
    faces = faces_of([(10, 20, 30, 40)], size=(480, 640))
    with pytest.raises(BadInput, match="found in a picture of 640x480, but the picture there is"):
        list(face_crops(make_clip([marked(10, 20)]), faces, 20, 10.0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 0}, r"side of a crop must be in \[1, 4096\] pixels, not 0"),
        ({"margin": -0.5}, r"margin of a crop must be in \(-0.5, 4\], not -0.5"),
        ({"smooth": 11}, r"smoothing of a crop must be in \[0, 10\] s, not 11"),
        ({"rate": 0}, r"face-crops: rate must be in \(0, 240\] Hz, not 0"),
    ],
)
def test_refuses_settings_out_of_range(settings, message):
    with pytest.raises(BadCall, match=message):
        extractor("face-crops", **settings)


def test_crops_as_features(make_clip):
    clip = make_clip([marked(10, 20)] * 2)
    clip.features["faces"] = faces_of([(10, 20, 30, 40), None])
    node = extractor("face-crops", size=16, margin=0)
    found = node.extract(clip).cast(node.spec)
    assert found.values.shape == (2, 16, 16, 3)
    assert found.values.dtype == np.uint8
    np.testing.assert_array_equal(found.mask, [True, False])


def test_crops_of_nobody_and_of_nothing_are_said(make_clip):
    clip = make_clip([marked(10, 20)])
    clip.features["faces"] = faces_of([None])
    with pytest.raises(NoFace, match="'talk': none of 1 pictures has a face to be cut"):
        extractor("face-crops").extract(clip)
    empty = make_clip([])
    empty.features["faces"] = faces_of([None])
    with pytest.raises(NoVideo, match="'talk' has no picture at 10 Hz"):
        extractor("face-crops").extract(empty)


def test_crops_that_would_fill_the_memory_are_refused(make_clip, monkeypatch):
    from affectflow.extract.vision import face_crops as file

    monkeypatch.setattr(file, "LARGEST", 100 * 20 * 20 * 3)
    clip = make_clip([marked(10, 20)] * (PIECE + 40))
    clip.features["faces"] = faces_of([(10, 20, 30, 40)] * (PIECE + 40))
    with pytest.raises(BadInput, match="crops of 'talk' take more than 0 MiB after 10 s; lower si"):
        extractor("face-crops", size=20).extract(clip)
