from pathlib import Path

import numpy as np
import pytest

from affectflow.extract.clip import Clip
from affectflow.extract.vision.shots import Shots

SHARED = Path(__file__).parents[4] / "shared"


def texture(seed, size=(120, 160), low=0, high=256):
    coarse = np.random.default_rng(seed).integers(low, high, (6, 8, 3), np.uint8)
    return np.repeat(np.repeat(coarse, size[0] // 6, 0), size[1] // 8, 1)


def numbers(pictures):
    shots = Shots()
    return [shots.see(picture) for picture in pictures]


def test_another_scene_is_another_shot():
    assert numbers([texture(0), texture(0), texture(1), texture(1), texture(0)]) == [0, 0, 1, 1, 2]


def test_scenes_of_the_same_colours_are_told_apart_by_what_is_where():
    assert numbers([texture(0), texture(0)[:, ::-1]]) == [0, 1]


def test_dark_scenes_are_told_apart():
    assert numbers([texture(0, high=40), texture(1, high=40)]) == [0, 1]


def test_a_flash_and_a_fade_are_no_cuts():
    picture = texture(0, high=160)
    assert numbers([picture, picture + 90, picture, picture // 2, picture // 4]) == [0] * 5


def test_noise_on_a_flat_picture_is_no_cut():
    noise = np.random.default_rng(0)
    pictures = [noise.integers(98, 103, (120, 160, 3)).astype(np.uint8) for _ in range(4)]
    assert numbers(pictures) == [0] * 4


def test_somebody_who_crosses_the_picture_is_no_cut():
    pictures = []
    for k in range(20):
        picture = texture(0).copy()
        picture[20:, 6 * k : 6 * k + 50] = 255
        pictures.append(picture)
    assert numbers(pictures) == [0] * 20


def test_a_camera_that_turns_is_no_cut():
    wide = texture(0, (120, 640))
    assert numbers([wide[:, 10 * k : 10 * k + 160] for k in range(40)]) == [0] * 40


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (1080, 1920)])
def test_takes_any_size_and_a_change_of_size(size):
    one = np.zeros((*size, 3), np.uint8)
    assert numbers([one, one, texture(0)]) == [0, 0, 1]


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "clips").exists(), reason="needs the shared clips")
@pytest.mark.parametrize(
    ("name", "cuts"),
    [
        ("odd/many_faces.mp4", [1.52, 3.6, 7.92]),
        ("odd/no_face.mp4", []),
        ("odd/crowd_1080p.mp4", []),
    ],
)
def test_finds_the_cuts_that_one_sees(name, cuts):
    times, shots = [], Shots()
    for frame in Clip(name, str(SHARED / "clips" / name)).frames(25):
        before = shots.number
        if shots.see(frame.image) != before:
            times.append(round(frame.time, 2))
    assert times == cuts
