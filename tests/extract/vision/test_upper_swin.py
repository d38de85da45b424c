import dataclasses

import numpy as np
import pytest
import torch
from torchvision.models import video

from affectflow.cache.errors import BadCall
from affectflow.cache.keys import settings_of
from affectflow.extract.cut import check_cut, is_cut, upper_of
from affectflow.extract.registry import extractor
from affectflow.extract.vision import video_network


@pytest.fixture
def swin(monkeypatch, tmp_path):
    """The function `make`: a swin3d whose network is a small one of the same class."""

    def build():
        return video.SwinTransformer3d([2, 4, 4], 8, [1, 1, 2, 1], [2, 2, 2, 2], [8, 7, 7])

    kind = dataclasses.replace(video_network.KINDS["swin3d_t"], width=64)
    monkeypatch.setitem(video_network.KINDS, "swin3d_t", kind)
    monkeypatch.setattr(video, "swin3d_t", build)
    torch.manual_seed(0)
    path = tmp_path / "swin.pth"
    torch.save(build().state_dict(), path)

    def make(**settings):
        return extractor("swin3d", **{"checkpoint": str(path), "size": 32, **settings})

    return make


def padded(found):
    """Rows (B, T, columns) and mask (B, T) of several features, as a batch holds them."""
    rows = [torch.from_numpy(f.values.reshape(len(f.values), -1)).float() for f in found]
    masks = [torch.from_numpy(f.mask) for f in found]
    pad = torch.nn.utils.rnn.pad_sequence
    return pad(rows, batch_first=True), pad(masks, batch_first=True)


@pytest.mark.parametrize("layer", [0, 1, 2, 3])
def test_what_is_cached_and_the_stages_above_give_the_networks_rows(swin, talk, layer):
    clips = [talk(7, seed=1), talk(20, seed=2)]
    settings = {"window": 3.2, "overlap": 0.0, "dtype": "float32"}  # 20 pictures are read at once
    wanted = [swin(**settings).extract(clip).values for clip in clips]
    lower = swin(layer=layer, **settings)
    rows, mask = padded([lower.extract(clip) for clip in clips])
    upper = upper_of(lower)
    with torch.no_grad():
        found = upper(rows, mask)
    assert found.shape == (2, 10, 64)
    for own, values in zip(found.numpy(), wanted, strict=True):
        np.testing.assert_allclose(own[: len(values)], values, atol=1e-5 * np.abs(values).max())


def test_a_long_clip_and_pictures_without_a_face_are_read_as_the_network_reads_them(swin, talk):
    clip = talk(75, mask=[1, 0, 1, 1, 0, 0, 0, 0] + [1] * 67)
    settings = {"window": 3.2, "overlap": 1.6, "dtype": "float32"}
    wanted = swin(**settings).extract(clip)
    lower = swin(layer=0, **settings)
    with torch.no_grad():
        found = upper_of(lower)(*padded([lower.extract(clip)]))[0].numpy()
    limit = 1e-5 * np.abs(wanted.values).max()
    np.testing.assert_allclose(found[wanted.mask], wanted.values[wanted.mask], atol=limit)


def test_layer_0_are_the_crops_as_bytes(swin, talk):
    clip = talk(4, mask=[1, 0, 1, 1])
    found = swin(layer=0).extract(clip)
    crops = np.stack([frame.image for frame in clip.frames(10.0)])[:, 8:40, 16:48]
    assert (found.values.dtype, found.values.shape) == (np.uint8, (4, 32, 32, 3))
    np.testing.assert_array_equal(found.values[[0, 2, 3]], crops[[0, 2, 3]])
    assert found.mask.tolist() == [True, False, True, True]
    assert not found.values[1].any()
    found.cast(swin(layer=0).spec)


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_states_have_the_shape_that_is_promised(swin, talk, layer):
    made = swin(layer=layer, size=40)
    found = made.extract(talk(5))
    side = {1: 5, 2: 3, 3: 2}[layer]
    assert found.values.shape == (3, side, side, 8 << layer) == (3, *made.spec["values"].shape)


def test_gradient_reaches_every_weight_of_the_stages_above_and_those_below_are_gone(swin):
    upper = upper_of(swin(layer=2))
    assert (upper.width, upper.stride, upper.summary, len(upper.blocks())) == (64, 1, "mean", 3)
    rows = torch.randn(2, 3, 2 * 2 * 32, generator=torch.Generator().manual_seed(0))
    weights = torch.randn(2, 3, 64, generator=torch.Generator().manual_seed(1))
    (upper(rows, torch.ones(2, 3, dtype=torch.bool)) * weights).sum().backward()
    assert not [name for name, p in upper.named_parameters() if not p.grad.abs().sum() > 0]
    whole = upper_of(swin(layer=0))
    assert (whole.stride, len(whole.blocks())) == (2, 5)
    assert any("embed" in name for name, _ in whole.named_parameters())
    assert not any("embed" in name for name, _ in upper.named_parameters())


def test_the_usual_output_keeps_its_fingerprint_and_settings_of_nothing_are_none(swin):
    assert "layer" not in settings_of(swin())
    assert settings_of(swin(layer=0, dtype="float32")) == settings_of(swin(layer=0))


def test_says_which_layers_there_are(swin):
    for layer in (4, -1, "first", True):
        with pytest.raises(BadCall, match=f"layer must be 'last', 0 .* 1 to 3, not {layer!r}"):
            swin(layer=layer)
    with pytest.raises(BadCall, match="layer 1 has level: frame, not 'mean'"):
        swin(layer=1, level="mean")
    with pytest.raises(BadCall, match="swin3d must have layer: 0 .* to 3, .* not 'last'"):
        check_cut(swin())
    assert not is_cut(swin())
    assert is_cut(swin(layer=0))
