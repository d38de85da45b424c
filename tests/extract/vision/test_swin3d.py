import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models import video

from affectflow.cache.errors import BadCall, BadInput, NoFace, NoVideo
from affectflow.cache.keys import settings_of
from affectflow.extract.clip import Clip
from affectflow.extract.registry import extractor
from affectflow.extract.vision import video_network


@pytest.fixture
def swin(monkeypatch, tmp_path):
    """The function `make`: a swin3d whose network is a small one of the same class."""

    def build():
        return video.SwinTransformer3d([2, 4, 4], 12, [2, 2], [2, 2], [8, 7, 7])

    kind = dataclasses.replace(video_network.KINDS["swin3d_t"], width=24)
    monkeypatch.setitem(video_network.KINDS, "swin3d_t", kind)
    monkeypatch.setattr(video, "swin3d_t", build)
    torch.manual_seed(0)
    path = tmp_path / "swin.pth"
    torch.save(build().state_dict(), path)

    def make(**settings):
        return extractor("swin3d", **{"checkpoint": str(path), "size": 32, **settings})

    return make


def test_has_a_row_for_every_two_pictures_with_their_times(swin, talk):
    found = swin().extract(talk(7))
    assert found.values.shape == (4, 24)
    np.testing.assert_allclose(found.times, [[0, 0.2], [0.2, 0.4], [0.4, 0.6], [0.6, 0.7]])
    assert found.mask.all()
    assert np.isfinite(found.values).all()


def test_is_the_network_over_the_normalised_crops(swin, talk):
    clip = talk(6)
    found = swin().extract(clip)
    network = video.swin3d_t().eval()
    network.load_state_dict(torch.load(swin().checkpoint))
    crops = np.stack([frame.image for frame in clip.frames(10.0)])[:, 8:40, 16:48]
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    given = ((crops / 255 - mean) / std).transpose(3, 0, 1, 2)[None].astype(np.float32)
    with torch.inference_mode():
        states = network.features(network.patch_embed(torch.from_numpy(given)))
        wanted = network.norm(states).mean((2, 3))[0].numpy()
    np.testing.assert_allclose(found.values, wanted, atol=1e-5)


def test_a_row_is_masked_unless_half_of_its_pictures_show_a_face(swin, talk):
    found = swin().extract(talk(8, [1, 1, 1, 0, 0, 0, 0, 1]))
    assert found.mask.tolist() == [True, True, False, True]
    assert (found.values[2] == 0).all()


def test_a_picture_without_a_face_counts_as_the_mean_picture(swin, talk, monkeypatch):
    seen = []
    kind = video_network.KINDS["swin3d_t"]

    def rows(network, given):
        seen.append(given)
        return kind.rows(network, given)

    monkeypatch.setitem(video_network.KINDS, "swin3d_t", dataclasses.replace(kind, rows=rows))
    swin().extract(talk(4, [1, 0, 1, 1]))
    assert [bool((given == 0).all()) for given in seen[0][0].unbind(1)] == [0, 1, 0, 0]


def test_the_mean_is_over_rows_with_a_face(swin, talk):
    mask = [1, 1, 0, 0, 1, 1]
    rows = swin().extract(talk(6, mask))
    mean = swin(level="mean").extract(talk(6, mask))
    np.testing.assert_allclose(mean.values, rows.values[rows.mask].mean(0)[None], rtol=1e-6)
    np.testing.assert_allclose(mean.times, [[0, 0.6]])


def test_a_clip_is_the_same_in_company_as_alone(swin, talk):
    several = list(swin().many([talk(5, seed=1), talk(9, seed=2), talk(5, seed=3)]))
    for seed, n, found in ((1, 5, several[0]), (2, 9, several[1]), (3, 5, several[2])):
        alone = swin().extract(talk(n, seed=seed)).values
        np.testing.assert_array_equal(found.values, alone)


def test_windows_give_the_rows_of_the_whole_clip_but_near_their_seams(swin, talk):
    whole = swin(window=20.0).extract(talk(110))
    cut = swin(window=6.4, overlap=3.2).extract(talk(110))
    np.testing.assert_array_equal(cut.times, whole.times)
    size = np.abs(whole.values).max()
    difference = np.abs(cut.values - whole.values).max(axis=1) / size
    assert 0 < difference.max() < 0.02
    # Windows of 64 pictures start at 0, 32 and 32; rows of the first are kept up to 24.
    assert difference[:16].max() < 1e-5


def test_parts_without_a_face_are_not_computed(swin, talk, monkeypatch):
    lengths = []
    rows = video_network.VideoNetwork.rows

    def count(self, pictures, mask):
        lengths.append(len(pictures))
        return rows(self, pictures, mask)

    monkeypatch.setattr(video_network.VideoNetwork, "rows", count)
    mask = np.arange(128) < 20
    found = swin(window=3.2, overlap=0.0).extract(talk(128, mask))
    assert lengths == [32]
    assert found.mask.sum() == 10


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_stays_near(swin, talk, precision):
    whole = swin().extract(talk(6)).values
    half = swin(precision=precision).extract(talk(6)).values
    assert 0 < np.abs(half - whole).max() <= 3e-2 * np.abs(whole).max()


def test_refuses_a_clip_without_a_face_and_one_without_a_picture(swin, talk):
    with pytest.raises(NoFace, match="'talk': none of 2 rows has a face"):
        swin().extract(talk(4, [0, 0, 0, 0]))
    clip = Clip("void", media="void.mp4", _frames={10.0: []})
    clip.features["faces"] = talk(4).features["faces"]
    with pytest.raises(NoVideo, match="'void' has no picture at 10 Hz"):
        swin().extract(clip)
    with pytest.raises(BadInput, match="needs 'faces'"):
        swin().extract(Clip("bare", media="a.mp4"))


def test_one_bad_clip_does_not_end_the_others(swin, talk):
    bad, good = swin().many([talk(4, [0] * 4), talk(4)])
    assert isinstance(bad, NoFace)
    assert good.mask.all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "l"}, "variant must be 't', 's' or 'b', not 'l'"),
        ({"level": "word"}, "level must be 'frame' or 'mean', not 'word'"),
        ({"precision": "int8"}, "precision must be"),
        ({"rate": 0}, r"rate must be in \(0, 240\] Hz, not 0"),
        ({"size": 8}, r"size must be in \[32, 1024\] pixels, not 8"),
        ({"window": 1.0}, r"window must be at least 32 pictures \(3.2 s at 10 Hz\), not 1 s"),
        ({"overlap": 9.0}, r"overlap must be from 0 to half of window \(4.8 s\), not 9"),
        ({"checkpoint": "kinetics400-imagenet22k"}, "no weights 'kinetics400-imagenet22k' of"),
    ],
)
def test_refuses_settings_out_of_range(settings, message):
    with pytest.raises(BadCall, match=f"swin3d: .*{message}"):
        extractor("swin3d", **settings)


def test_weights_count_by_content(swin):
    node = swin()
    assert node.weights() == {"checkpoint": Path(node.checkpoint)}
    assert "checkpoint" not in settings_of(node)


def test_r2plus1d_has_a_row_for_every_eight_pictures_centred_on_them(talk, tmp_path, monkeypatch):
    torch.manual_seed(0)
    torch.save(video.r2plus1d_18().state_dict(), tmp_path / "r.pth")
    node = extractor("r2plus1d", checkpoint=str(tmp_path / "r.pth"), size=32)
    found = node.extract(talk(17))
    assert found.values.shape == (3, 512)
    np.testing.assert_allclose(found.times, [[0, 0.4], [0.4, 1.2], [1.2, 1.7]])
