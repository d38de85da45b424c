import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from affectflow.cache.errors import BadCall, NoAudio
from affectflow.extract.clip import Clip, Waveform
from affectflow.extract.registry import extractor
from affectflow.extract.vision import active_speaker
from affectflow.extract.vision.active_speaker import load_network
from affectflow.extract.vision.chosen import CHOSEN_COLUMNS, column
from affectflow.extract.vision.lr_asd import LrAsd

SHARED = Path(__file__).parents[4] / "shared"
WEIGHTS = SHARED / "weights/lr_asd/finetuning_TalkSet.model"
LEFT, RIGHT = (30, 60, 130, 160), (190, 60, 290, 160)


class ByGrey:
    """Says that a face speaks by how bright it is: its logit is grey / 100 - 1."""

    reach = 2

    def pictures(self, faces):
        return faces.mean(dim=(2, 3))[..., None] / 100 - 1

    def scores(self, mfcc, pictures):
        assert mfcc.shape[1] == 4 * pictures.shape[1]
        return pictures[..., 0]


@pytest.fixture
def speaker(monkeypatch):
    """The extractor with a network that goes by grey."""
    monkeypatch.setattr(active_speaker, "load_network", lambda *settings: ByGrey())

    def make(**settings):
        return extractor("active-speaker", checkpoint="by_grey.model", **settings)

    return make


@pytest.fixture
def talk(make_clip):
    """The function: a clip whose left and right half have these greys, with its sound."""

    def make(left, right=0, n=50, seconds=None):
        pictures = []
        for k in range(n):
            picture = np.zeros((240, 320, 3), np.uint8)
            picture[:, :160] = left[k] if isinstance(left, list) else left
            picture[:, 160:] = right[k] if isinstance(right, list) else right
            pictures.append(picture)
        clip = make_clip(pictures, rate=25.0)
        n_samples = round((n / 25 if seconds is None else seconds) * 16_000)
        sound = 0.1 * np.random.default_rng(0).standard_normal(n_samples)
        clip._audio[16_000] = Waveform(sound.astype(np.float32), 16_000)
        return clip

    return make


def given(clip, tracks):
    clip.features["tracks"] = tracks
    return clip


def both(make_tracks, n=50):
    return make_tracks(n, {1: (0, n, LEFT), 2: (0, n, RIGHT)})


def test_takes_the_face_that_speaks_and_says_how_sure_it_is(speaker, talk, make_tracks):
    found = speaker().extract(given(talk(80, 180), both(make_tracks))).cast(speaker().spec)
    assert found.columns == CHOSEN_COLUMNS
    assert found.mask.all()
    np.testing.assert_array_equal(column(found, "track"), 2)
    np.testing.assert_array_equal(column(found, "x1"), 190)
    np.testing.assert_allclose(column(found, "score"), 0.8, atol=1e-5)


def test_keeps_the_scores_of_all_faces(speaker, talk, make_tracks):
    found = speaker().extract(given(talk(80, [180] * 25 + [20] * 25), both(make_tracks)))
    scores = found.more["scores"]
    assert scores.columns == ("track", "score", "smoothed")
    np.testing.assert_array_equal(scores.values[:4, 0], [1, 2, 1, 2])
    np.testing.assert_allclose(scores.times[:3], [[0, 0.04], [0, 0.04], [0.04, 0.08]])
    right = scores.values[1::2]
    np.testing.assert_allclose(right[[0, 24, 25, 49], 1], [0.8, 0.8, -0.8, -0.8], atol=1e-5)
    np.testing.assert_allclose(right[[22, 24, 26], 2], [0.8, 0.16, -0.48], atol=1e-5)


def test_one_face_is_taken_though_it_does_not_speak(speaker, talk, make_tracks):
    clip = given(talk(20), make_tracks(50, {1: (0, 50, LEFT)}))
    found = speaker(nobody="masked").extract(clip)
    assert found.mask.all()
    np.testing.assert_allclose(column(found, "score"), -0.8, atol=1e-5)
    assert not clip.warnings


def test_where_nobody_speaks_the_best_is_taken_or_none(speaker, talk, make_tracks):
    clip = given(talk(20, 60), both(make_tracks))
    best = speaker().extract(clip)
    np.testing.assert_array_equal(column(best, "track"), 2)
    assert clip.warnings == ["none of 2 faces speaks for 0.2 s, so the best face is taken"]
    clip = given(talk(20, 60), both(make_tracks))
    none = speaker(nobody="masked").extract(clip)
    assert not none.mask.any()
    assert clip.warnings == ["none of 2 faces speaks for 0.2 s, so every row is masked"]


def test_who_speaks_for_a_moment_only_does_not_speak(speaker, talk, make_tracks):
    flash = [20] * 24 + [255] + [20] * 25  # smoothed: 3 pictures above 0
    tracks = both(make_tracks)
    clip = given(talk(flash, 60), tracks)
    np.testing.assert_array_equal(column(speaker(least=0.2).extract(clip), "track"), 2)
    np.testing.assert_array_equal(column(speaker(least=0.0).extract(clip), "track"), 2)
    longer = given(talk([20] * 24 + [255] * 8 + [20] * 18, 60), tracks)
    np.testing.assert_array_equal(column(speaker(least=0.2).extract(longer), "track"), 1)


def test_after_a_cut_the_speaker_is_another_track_and_a_listener_is_not_taken(
    speaker, talk, make_tracks
):
    tracks = make_tracks(50, {1: (0, 20, LEFT), 2: (20, 35, RIGHT), 3: (35, 50, LEFT)})
    found = speaker().extract(given(talk(180, 60), tracks))
    np.testing.assert_array_equal(column(found, "track"), [1] * 20 + [-1] * 15 + [3] * 15)
    np.testing.assert_array_equal(found.mask, [True] * 20 + [False] * 15 + [True] * 15)


def test_of_two_who_speak_at_once_the_mouth_that_follows_the_loudness_is_taken(
    speaker, talk, make_tracks
):
    pattern = np.repeat([1, 0, 1, 1, 0], 10)
    clip = given(talk(180, 230), both(make_tracks))
    for k, frame in enumerate(clip.frames(25)):
        frame.image[125:155, 60:100] += np.uint8(40 * pattern[k] * (k % 2))
    samples = clip.audio(16_000).samples
    samples *= np.repeat(pattern, 640)
    found = speaker().extract(clip)
    np.testing.assert_array_equal(column(found, "track"), 1)  # its score is lower
    quiet = given(talk(120, 230), both(make_tracks))  # no rival: 0.2 against 1.3
    np.testing.assert_array_equal(column(speaker().extract(quiet), "track"), 2)


def test_pictures_without_the_face_are_masked_never_carried_on(speaker, talk, make_tracks):
    found = speaker().extract(given(talk(180), make_tracks(50, {1: (0, 30, LEFT)})))
    np.testing.assert_array_equal(found.mask, [True] * 30 + [False] * 20)
    assert not found.values[30:, :16].any(where=np.arange(16) != 15)
    np.testing.assert_allclose(found.times[:, 0], np.arange(50) / 25)


def test_without_any_face_every_row_is_masked_and_nothing_is_heard(speaker, make_clip, make_tracks):
    clip = make_clip([np.zeros((240, 320, 3), np.uint8)] * 3, rate=25.0)
    found = speaker().extract(given(clip, make_tracks(3, {}))).cast(speaker().spec)
    assert len(found) == 3
    assert not found.mask.any()
    assert len(found.more["scores"]) == 0
    assert clip.warnings == ["no face was seen, so every row is masked"]


@pytest.mark.parametrize("seconds", [0.5, 2.0, 5.0])
def test_sound_may_be_shorter_or_longer_than_the_pictures(speaker, talk, make_tracks, seconds):
    found = speaker().extract(given(talk(180, seconds=seconds), both(make_tracks)))
    assert len(found.more["scores"]) == 100


def test_tracks_at_another_rate_keep_it(speaker, talk, make_tracks):
    tracks = make_tracks(20, {1: (0, 20, LEFT), 2: (0, 20, RIGHT)}, rate=10.0)
    found = speaker().extract(given(talk(80, 180), tracks))
    assert len(found) == 20
    np.testing.assert_allclose(column(found, "score"), 0.8, atol=1e-5)
    assert len(found.more["scores"]) == 100


def test_long_clips_are_scored_in_groups(speaker, talk, make_tracks, monkeypatch):
    clip, tracks = talk([100 + k for k in range(50)], 80), both(make_tracks)
    whole = speaker().extract(given(clip, tracks))
    monkeypatch.setattr(active_speaker, "CROPS_AT_ONCE", 20)
    monkeypatch.setattr(active_speaker, "common_cut", lambda: 25)
    parts = speaker().extract(given(clip, tracks))
    np.testing.assert_allclose(parts.more["scores"].values, whole.more["scores"].values, rtol=1e-5)


def test_a_clip_without_sound_is_its_own_error_and_the_next_goes_on(speaker, talk, make_tracks):
    silent = Clip(id="silent", features={"tracks": both(make_tracks)})
    first, second = speaker().many([silent, given(talk(180), both(make_tracks))])
    assert isinstance(first, NoAudio)
    assert second.mask.all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"checkpoint": ""}, "checkpoint must be the path of a file"),
        ({"model": "loconet"}, "model must be 'lr-asd' or 'talknet', not 'loconet'"),
        ({"nobody": "first"}, "nobody must be 'best' or 'masked'"),
        ({"least": -1}, r"least must be in \[0, 60\] s, not -1"),
        ({"precision": "int8"}, "precision must be 'float32'"),
    ],
)
def test_refuses_settings_out_of_range(settings, message):
    with pytest.raises(BadCall, match=message):
        extractor("active-speaker", **{"checkpoint": "a.model", **settings})


def test_counts_the_content_of_the_checkpoint_not_its_path():
    from affectflow.cache.keys import settings_of

    one, other = (extractor("active-speaker", checkpoint=f"{n}.model") for n in "ab")
    assert settings_of(one) == settings_of(other)
    assert one.weights() == {"checkpoint": Path("a.model")}


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("lr_asd") / "random.model"
    torch.save(LrAsd().state_dict(), path)
    return path


def test_a_network_is_loaded_once(random_weights):
    assert load_network("lr-asd", random_weights) is load_network("lr-asd", random_weights)


def test_a_checkpoint_of_another_network_stops_the_run(random_weights, talk, make_tracks):
    wrong = extractor("active-speaker", checkpoint=str(random_weights), model="talknet")
    with pytest.raises(BadCall, match="are not those of TalkNet"):
        list(wrong.many([given(talk(180), both(make_tracks))]))


@pytest.mark.slow
def test_half_precision_is_near(random_weights, talk, make_tracks):
    clip = given(talk(180, n=12), make_tracks(12, {1: (0, 12, LEFT)}))
    scores = [
        extractor("active-speaker", checkpoint=str(random_weights), precision=p).extract(clip)
        for p in ("float32", "bfloat16")
    ]
    full, half = (found.more["scores"].values for found in scores)
    np.testing.assert_allclose(half, full, atol=3e-2)


@pytest.mark.slow
@pytest.mark.skipif(not WEIGHTS.exists(), reason="needs the released weights and clips")
def test_a_real_speaker_speaks_and_a_frozen_face_does_not():
    path = SHARED / "clips/Raw/grid/brbk7n.mpg"
    clip = Clip(id="brbk7n", media=str(path), start=1.0, end=2.2)
    clip.features["tracks"] = extractor("faces").extract(clip)
    speaking = extractor("active-speaker", checkpoint=str(WEIGHTS))
    assert (column(speaking.extract(clip), "score") > 0).mean() > 0.9
    frames = list(clip.frames(25))
    clip._frames[25] = [dataclasses.replace(f, image=frames[0].image) for f in frames]
    assert (column(speaking.extract(clip), "score") > 0).mean() < 0.1
