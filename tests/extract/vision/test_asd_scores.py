from pathlib import Path

import numpy as np
import pytest
import torch

from affectflow.extract.vision.asd_scores import common_cut, smoothed, track_scores
from affectflow.extract.vision.lr_asd import LrAsd

GOLDEN = np.load(Path(__file__).parent / "golden" / "asd.npz")


class Toy:
    """A network whose pictures see two neighbours and whose scores see the whole chunk."""

    reach = 2

    def __init__(self):
        self.batches = []

    def pictures(self, faces):
        self.batches.append(tuple(faces.shape[:2]))
        grey = faces.double().mean(dim=(2, 3))[:, None]
        kernel = torch.tensor([1.0, -2.0, 5.0, 3.0, 0.5], dtype=torch.float64)
        return torch.conv1d(grey + 10, kernel[None, None], padding=2).transpose(1, 2)

    def scores(self, mfcc, pictures):
        sound = mfcc.double().reshape(len(mfcc), -1, 4 * 13).mean(dim=2)
        mixed = pictures[..., 0] * sound
        return mixed - mixed.mean(dim=1, keepdim=True) / mixed.shape[1]

    def __call__(self, mfcc, faces):
        return self.scores(mfcc, self.pictures(faces))


def track(n, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(4 * n, 13)), random.integers(0, 255, (n, 4, 4), np.uint8)


def one_by_one(network, sound, faces, durations):
    """Every chunk by itself through the whole network."""
    total = np.zeros(len(faces))
    for step in (25 * d for d in durations):
        for at in range(0, len(faces), step):
            mfcc = torch.from_numpy(sound[None, 4 * at : 4 * (at + step)].astype(np.float32))
            chunk = torch.from_numpy(faces[None, at : at + step]).float()
            total[at : at + step] += network(mfcc, chunk)[0].numpy()
    return total / len(durations)


@pytest.mark.parametrize("n", [1, 2, 3, 25, 26, 27, 29, 64, 107, 151])
def test_the_shared_pass_gives_what_every_chunk_by_itself_gives(n):
    sound, faces = track(n)
    [found] = track_scores(Toy(), [sound], [faces])
    expected = one_by_one(Toy(), sound, faces, (1, 2, 3, 4, 5, 6))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_each_picture_is_looked_at_little_more_than_once():
    network = Toy()
    track_scores(network, *[[part] for part in track(300)])
    assert sum(b * n for b, n in network.batches) < 1.4 * 300


def test_tracks_share_batches_and_do_not_see_each_other():
    network = Toy()
    tracks = [track(n, seed=n) for n in (30, 107, 30, 5)]
    together = track_scores(network, *zip(*tracks, strict=True))
    assert max(b for b, _ in network.batches) > 1
    for found, (sound, faces) in zip(together, tracks, strict=True):
        [alone] = track_scores(Toy(), [sound], [faces])
        np.testing.assert_allclose(found, alone, rtol=1e-6)


def test_a_track_may_be_scored_in_parts_that_end_where_all_chunks_do():
    durations = (1, 2)
    step = common_cut(durations)
    assert step == 50
    assert common_cut() == 1500  # a minute
    sound, faces = track(120)
    [whole] = track_scores(Toy(), [sound], [faces], durations)
    parts = [
        track_scores(Toy(), [sound[4 * a : 4 * (a + step)]], [faces[a : a + step]], durations)[0]
        for a in range(0, 120, step)
    ]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-6)


@pytest.mark.slow
def test_the_shared_pass_holds_for_a_real_network():
    torch.manual_seed(0)
    network = LrAsd().eval().requires_grad_(False)
    random = np.random.default_rng(0)
    sound = random.normal(size=(4 * 30, 13)) * 10
    faces = random.integers(0, 255, (30, 112, 112), np.uint8)
    [found] = track_scores(network, [sound], [faces], (1, 2))
    expected = one_by_one(network, sound, faces, (1, 2))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_scores_are_averaged_over_their_neighbours():
    np.testing.assert_allclose(
        smoothed(np.array([0, 0, 5.0, 0, 0, 0])), [5 / 3, 1.25, 1, 1, 1.25, 0]
    )
    np.testing.assert_allclose(smoothed(np.array([3.0])), [3])
