from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from affectflow.extract.vision import speaker_crops
from affectflow.extract.vision.chosen import TRACK_COLUMNS
from affectflow.extract.vision.speaker_crops import (
    BEYOND,
    face_places,
    face_window,
    lower_face,
    lower_faces,
)

GOLDEN = np.load(Path(__file__).parent / "golden" / "asd.npz")
BOX = (100, 60, 180, 160)  # half of the longer side: 50, middle (140, 110)


def pictures(n, shape=(240, 320)):
    random = np.random.default_rng(0)
    return [random.integers(0, 255, (*shape, 3), np.uint8) for _ in range(n)]


def all_of(places):
    """Middle and half side (n, 3) at each step."""
    return np.array([places.at(step) for step in range(places.first, places.end)])


def golden_picture(number):
    noise = np.random.RandomState(100 + number).randint(0, 256, (240, 320, 3)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 3)


def test_crops_are_those_of_the_authors_code(make_tracks):
    boxes, numbers = GOLDEN["crop_boxes"], GOLDEN["crop_frames"]
    tracks = make_tracks(len(boxes), {1: (0, len(boxes), (0, 0, 1, 1))})
    tracks.values[:, :4] = boxes
    places = face_places(tracks)
    for k, expected in zip((0, 1, 2, len(boxes) - 1), GOLDEN["crops"], strict=True):
        x, y, half = places.at(k)
        found = face_window(golden_picture(numbers[k]), np.array([x, y]), half)
        difference = np.abs(found[::8, ::8].astype(int) - expected)
        assert difference.max() <= 2  # other versions of OpenCV may round otherwise


def test_the_window_holds_the_face_and_lies_lower():
    picture = np.zeros((240, 320, 3), np.uint8)
    picture[60:200, 70:210] = 255  # 1.4 halves to either side, 1 above, 1.8 below
    window = face_window(picture, np.array([140.0, 110.0]), 50.0)
    assert window.shape == (224, 224, 3)
    assert window.min() == 255
    shifted = face_window(picture, np.array([150.0, 110.0]), 50.0)
    assert (shifted[:, -15:] == 0).all()  # 10 of 140 pixels
    assert (shifted[:, :-20] == 255).all()


def test_what_lies_beyond_the_picture_is_grey():
    picture = np.full((100, 100, 3), 255, np.uint8)
    window = face_window(picture, np.array([10.0, 90.0]), 20.0)
    assert (window[:, 0] == BEYOND).all()
    assert (window[-1] == BEYOND).all()
    assert (window[0, -1] == 255).all()
    assert (face_window(picture, np.array([-500.0, 0.0]), 20.0) == BEYOND).all()


def test_the_network_sees_the_middle_in_grey():
    picture = pictures(1)[0]
    whole = face_window(picture, np.array([140.0, 110.0]), 50.0)
    crop = lower_face(picture, np.array([140.0, 110.0]), 50.0)
    assert crop.shape == (112, 112)
    assert crop.dtype == np.uint8
    middle = whole[56:168, 56:168] @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(crop, middle, atol=1)


def test_a_face_too_small_for_a_pixel_still_gives_a_crop():
    assert lower_face(pictures(1)[0], np.array([10.0, 10.0]), 0.1).shape == (112, 112)


def test_a_box_that_jumps_for_a_moment_is_smoothed_away(make_tracks):
    tracks = make_tracks(40, {1: (0, 40, BOX)})
    tracks.values[20:23, :4] += 60
    places = face_places(tracks)
    np.testing.assert_allclose(all_of(places), [[140, 110, 50]] * 40, atol=1e-4)


@pytest.mark.parametrize("n", [1, 2, 5, 12, 13])
def test_short_tracks_keep_their_place(make_tracks, n):
    places = face_places(make_tracks(n, {1: (0, n, BOX)}))
    np.testing.assert_allclose(all_of(places)[:, :2], [[140, 110]] * n, atol=1e-4)


def test_between_the_rows_of_a_slower_track_the_box_goes_straight(make_tracks):
    tracks = make_tracks(21, {1: (0, 21, BOX)}, rate=5.0)
    tracks.values[:, [0, 2]] += 10 * np.arange(21)[:, None]
    places = face_places(tracks)
    assert places.first == 0
    assert places.end == 105  # 21 rows of 0.2 s
    np.testing.assert_allclose(np.diff(all_of(places)[10:90, 0]), 2, atol=1e-3)


@pytest.mark.parametrize("rate", [25.0, 5.0])
def test_a_moving_face_is_cut_where_the_picture_shows_it(make_clip, make_tracks, monkeypatch, rate):
    """Pictures at 30 Hz: that of a step at 25 Hz was taken up to 33 ms before it."""
    tracks = make_tracks(int(2 * rate), {1: (0, int(2 * rate), BOX)}, rate=rate)
    seen = np.floor(tracks.times[:, 0] * 30 + 1e-9) / 30
    tracks.values[:, TRACK_COLUMNS.index("shown")] = seen
    tracks.values[:, [0, 2]] += 200 * seen[:, None]  # pixels a second
    clip = make_clip(pictures(50), rate=25.0)
    shown = np.floor(np.arange(50) / 25 * 30 + 1e-9) / 30
    frames = zip(clip._frames[25.0], shown, strict=True)
    clip._frames[25.0] = [replace(frame, shown=at) for frame, at in frames]
    cut = []
    monkeypatch.setattr(
        speaker_crops, "lower_face", lambda *given: cut.append(given) or np.zeros((112, 112))
    )
    list(lower_faces(clip, tracks, 100))
    for step in range(8, 38):  # the median of what moves evenly is the middle one
        image, middle, half = cut[step]
        assert image is clip._frames[25.0][step].image
        np.testing.assert_allclose([*middle, half], [140 + 200 * shown[step], 110, 50], atol=1e-3)


def test_every_track_is_cut_in_one_pass_in_pieces(make_clip, make_tracks):
    tracks = make_tracks(30, {1: (0, 30, BOX), 2: (4, 11, (10, 10, 60, 60)), 5: (25, 30, BOX)})
    images = pictures(30)
    clip = make_clip(images, rate=25.0)
    pieces = list(lower_faces(clip, tracks, 12))
    assert [(p.track, p.first, len(p.faces)) for p in pieces] == [
        (2, 4, 7), (1, 0, 12), (1, 12, 12), (1, 24, 6), (5, 25, 5),
    ]  # fmt: skip
    expected = lower_face(images[12], np.array([140.0, 110.0]), 50.0)
    np.testing.assert_array_equal(pieces[2].faces[0], expected)


def test_where_damage_left_no_picture_nothing_moves(make_clip, make_tracks):
    clip = make_clip(pictures(12), rate=25.0)
    frames = clip._frames[25.0]
    frames[5:9] = [replace(frame, image=frame.image * 0, readable=False) for frame in frames[5:9]]
    pieces = list(lower_faces(clip, make_tracks(12, {1: (0, 12, BOX)}), 7))
    faces = np.concatenate([piece.faces for piece in pieces])
    moved = np.abs(np.diff(faces.astype(int), axis=0)).max(axis=(1, 2)) > 0
    assert moved.tolist() == [True] * 4 + [False] * 4 + [True] * 3


def test_a_track_that_is_longer_than_the_pictures_ends_with_them(make_clip, make_tracks):
    tracks = make_tracks(30, {1: (0, 30, BOX), 2: (28, 30, BOX)})
    pieces = list(lower_faces(make_clip(pictures(20), rate=25.0), tracks, 100))
    assert [(p.track, p.first, len(p.faces)) for p in pieces] == [(1, 0, 20)]


def test_without_a_face_there_is_no_crop(make_clip, make_tracks):
    assert not list(lower_faces(make_clip(pictures(3), rate=25.0), make_tracks(3, {}), 100))
