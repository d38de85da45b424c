import dataclasses

import numpy as np
import pytest
import torch
from torchvision.models import video
from torchvision.models.video import mvit

from affectflow.cache.errors import BadCall
from affectflow.extract.registry import extractor
from affectflow.extract.vision import video_network


def build():
    """The same network, for pictures of 32 pixels, with two small blocks."""
    blocks = [
        mvit.MSBlockConfig(1, 16, 16, [3, 3, 3], [3, 3, 3], [1, 1, 1], [1, 4, 4]),
        mvit.MSBlockConfig(2, 16, 24, [3, 3, 3], [3, 3, 3], [1, 2, 2], [1, 2, 2]),
    ]
    return video.MViT((32, 32), 16, blocks, True, False, True, True, num_classes=5)


@pytest.fixture
def node(tmp_path, monkeypatch):
    """The function: the extractor with a tiny random network of 16 pictures of 32 pixels."""
    kind = dataclasses.replace(video_network.KINDS["mvit_v2_s"], width=24, size=32)
    monkeypatch.setitem(video_network.KINDS, "mvit_v2_s", kind)
    monkeypatch.setattr(video, "mvit_v2_s", build)
    torch.manual_seed(0)
    torch.save(build().state_dict(), tmp_path / "mvit.pth")

    def make(**settings):
        settings = {"checkpoint": str(tmp_path / "mvit.pth"), "size": 32, **settings}
        return extractor("mvit", dtype="float32", **settings)

    return make


def rows_of(node, pictures):
    """What the whole network normalises before its classifier, by hooks on its own forward."""
    network = build().eval()
    network.load_state_dict(torch.load(node.checkpoint, weights_only=True))
    seen = []
    network.norm.register_forward_hook(lambda module, given, out: seen.append(out))
    given = (torch.from_numpy(pictures).float() / 255 - 0.45) / 0.225
    with torch.inference_mode():
        network(given.permute(3, 0, 1, 2)[None])
    return seen[0][0, 1:].reshape(8, -1, 24).mean(dim=1).numpy()


def padded(pictures):
    """16 pictures: the mean picture stands for those that are missing."""
    whole = np.full((16, 32, 32, 3), 0.45 * 255, np.float32)
    whole[: len(pictures)] = pictures
    return whole


def cropped(clip):
    """The crops that the extractor sees: the box is as large as they are."""
    return np.stack([frame.image[8:40, 16:48] for frame in clip.frames(10.0)])


def test_is_the_network_over_16_pictures_a_row_for_every_two(node, talk):
    made = node()
    found = made.extract(talk(16))
    np.testing.assert_allclose(found.values, rows_of(made, cropped(talk(16))), atol=1e-5)
    np.testing.assert_allclose(found.times[[0, -1]], [[0, 0.2], [1.4, 1.6]])


#: Of clips of n pictures, each window's first picture and the rows that are taken from it: up to
#: half of the overlap of 4, from the last one those that are left.
WINDOWS = {
    17: [(0, range(7)), (2, range(7, 9))],
    30: [(0, range(7)), (12, range(7, 13)), (14, range(13, 15))],
    41: [(0, range(7)), (12, range(7, 13)), (24, range(13, 19)), (26, range(19, 21))],
}


@pytest.mark.parametrize("n", WINDOWS)
def test_a_longer_clip_is_seen_in_windows_of_16_with_every_row_once(node, talk, n):
    made = node()
    found = made.extract(talk(n))
    np.testing.assert_allclose(found.times[:, 0], np.arange(0, n, 2) / 10)
    assert [row for _, rows in WINDOWS[n] for row in rows] == list(range(len(found.values)))
    crops = cropped(talk(n))
    for start, rows in WINDOWS[n]:
        seen = padded(crops[start : start + 16])
        wanted = rows_of(made, seen)[[row - start // 2 for row in rows]]
        np.testing.assert_allclose(found.values[rows], wanted, atol=1e-5)
        assert np.abs(wanted).max() > 0.1


def test_in_a_short_clip_the_mean_picture_stands_for_those_that_are_missing(node, talk):
    made = node()
    found = made.extract(talk(5))
    assert found.values.shape == (3, 24)
    wanted = rows_of(made, padded(cropped(talk(5))))[:3]
    np.testing.assert_allclose(found.values, wanted, atol=1e-5)


def test_a_row_without_a_face_is_masked(node, talk):
    found = node().extract(talk(20, mask=[True] * 6 + [False] * 14))
    assert found.mask.tolist() == [True] * 3 + [False] * 7


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "v3"}, "variant must be 'v1_b' or 'v2_s', not 'v3'"),
        ({"size": 128}, "size must be 224 pixels, not 128"),
        ({"overlap": 1.0}, r"overlap must be from 0 to half of window \(0.8 s\), not 1"),
        (
            {"checkpoint": "kinetics400-imagenet22k"},
            "there are no weights 'kinetics400-imagenet22k",
        ),
    ],
)
def test_refuses_settings_out_of_range(settings, message):
    with pytest.raises(BadCall, match=f"mvit: {message}"):
        extractor("mvit", **settings)


def test_weights_of_another_network_are_refused(node, talk, tmp_path):
    torch.save({"conv_proj.weight": torch.zeros(16, 3, 1, 7, 7)}, tmp_path / "v1.pth")
    said = (
        r"not those of mvit_v2_s; \d+ missing: blocks.0.*conv_proj.weight \(16, 3, 1, 7, 7\) inst"
    )
    with pytest.raises(BadCall, match=said):
        node(checkpoint=str(tmp_path / "v1.pth")).extract(talk(2))
