import numpy as np
import pytest

from affectflow.cache.errors import NoAudio
from affectflow.extract.clip import Clip, Waveform
from affectflow.extract.registry import extractor
from affectflow.extract.vision.chosen import CHOSEN_SPEC, column
from affectflow.extract.vision.mouth_motion import agreement, correlation, loudness, running

LEFT, RIGHT = (30, 60, 130, 160), (190, 60, 290, 160)
N = 75
RNG = np.random.default_rng(0)
#: Two patterns of speaking and pausing, of half a second each.
FIRST = np.repeat([1, 0, 1, 1, 0, 1], 13)[:N].astype(float)
SECOND = np.repeat([0, 1, 1, 0, 1, 0], 13)[:N].astype(float)


def with_mouths(clip_of, moves, sound):
    """A clip with a grey face for each pattern, whose mouth flickers where the pattern says so."""
    pictures = []
    for k in range(N):
        picture = np.full((240, 320, 3), 120, np.uint8)
        for box, pattern in zip((LEFT, RIGHT), moves, strict=True):
            middle, half = (box[0] + box[2]) // 2, 50
            mouth = picture[110 + half // 4 : 110 + 3 * half // 4, middle - 20 : middle + 20]
            mouth[:] = 120 + int(60 * pattern[k] * (k % 2))
        pictures.append(picture)
    clip = clip_of(pictures, rate=25.0)
    samples = np.repeat(sound, 640) * RNG.standard_normal(N * 640) * 0.1
    clip._audio[16_000] = Waveform(samples.astype(np.float32), 16_000)
    return clip


@pytest.mark.parametrize(("sound", "track"), [(FIRST, 1), (SECOND, 2)])
def test_takes_the_mouth_that_moves_with_the_sound(make_clip, make_tracks, sound, track):
    clip = with_mouths(make_clip, (FIRST, SECOND), sound)
    clip.features["tracks"] = make_tracks(N, {1: (0, N, LEFT), 2: (0, N, RIGHT)})
    found = extractor("mouth-motion").extract(clip).cast(CHOSEN_SPEC)
    np.testing.assert_array_equal(column(found, "track"), track)
    assert column(found, "score").mean() > 0.8
    assert np.abs(column(found, "score")).max() <= 1
    assert not clip.warnings


def test_where_no_mouth_moves_the_choice_is_called_a_guess(make_clip, make_tracks):
    clip = with_mouths(make_clip, (0 * FIRST, 0 * FIRST), FIRST)
    clip.features["tracks"] = make_tracks(N, {1: (0, 30, LEFT), 2: (0, N, RIGHT)})
    found = extractor("mouth-motion").extract(clip)
    np.testing.assert_array_equal(column(found, "track"), 2)  # seen longest
    np.testing.assert_array_equal(column(found, "score"), 0)
    assert clip.warnings == ["none of 2 mouths moves with the sound, so the choice is a guess"]


def test_one_face_is_taken(make_clip, make_tracks):
    clip = with_mouths(make_clip, (FIRST, SECOND), SECOND)
    clip.features["tracks"] = make_tracks(N, {1: (0, 50, LEFT)})
    found = extractor("mouth-motion").extract(clip)
    np.testing.assert_array_equal(found.mask, [True] * 50 + [False] * 25)
    assert not clip.warnings


def test_without_a_face_every_row_is_masked(make_tracks):
    clip = Clip(id="empty", features={"tracks": make_tracks(3, {})})
    assert not extractor("mouth-motion").extract(clip).mask.any()
    assert clip.warnings == ["no face was seen, so every row is masked"]


def test_a_face_behind_the_last_picture_at_25_hz_is_masked(make_clip, make_tracks):
    clip = with_mouths(make_clip, (FIRST, SECOND), SECOND)
    clip.features["tracks"] = make_tracks(N * 2, {1: (N * 2 - 1, N * 2, LEFT)}, rate=50.0)
    assert not extractor("mouth-motion").extract(clip).mask.any()
    assert clip.warnings == ["no face was seen in the pictures at 25 Hz, so every row is masked"]


def test_needs_sound(make_tracks):
    clip = Clip(id="silent", features={"tracks": make_tracks(3, {1: (0, 3, LEFT)})})
    with pytest.raises(NoAudio):
        extractor("mouth-motion").extract(clip)


def test_loudness_is_the_root_mean_square_of_each_picture():
    samples = np.repeat([0.5, 0.0, 1.0], 640).astype(np.float32)
    np.testing.assert_allclose(loudness(samples, 4), [0.5, 0, 1, 0])


def test_running_correlation_is_pearsons_in_each_window():
    x, y = RNG.normal(size=(2, 40))
    found = running(x, y, 5)
    for k in (0, 3, 20, 39):
        part = slice(max(0, k - 5), k + 6)
        assert found[k] == pytest.approx(np.corrcoef(x[part], y[part])[0, 1])
    assert correlation(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1])


def test_what_never_changes_correlates_with_nothing():
    assert correlation(np.ones(9), np.arange(9.0)) == 0
    assert correlation(np.array([2.0]), np.array([3.0])) == 0


def test_agreement_for_a_moment_weighs_less_than_for_long():
    x = RNG.normal(size=200)
    y = x + RNG.normal(size=200)
    assert agreement(x[:3], x[:3]) == 0
    assert 0 < agreement(x[:5], y[:5] * 0 + x[:5]) < agreement(x, y)
    assert agreement(x, y, 5) == pytest.approx(agreement(x, y) * np.sqrt(37 / 197))
    assert agreement(x[:15], x[:15], 5) == 0


def test_half_a_second_that_follows_the_sound_closely_does_not_win_over_a_face_that_stays(
    make_clip, make_tracks
):
    loosely = np.repeat([1, 0, 0, 1, 1, 1], 13)[:N].astype(float)
    clip = with_mouths(make_clip, (loosely, FIRST), FIRST)
    clip.features["tracks"] = make_tracks(N, {1: (0, N, LEFT), 2: (20, 35, RIGHT)})
    found = extractor("mouth-motion").extract(clip)
    np.testing.assert_array_equal(column(found, "track"), 1)
