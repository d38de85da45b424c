from pathlib import Path

import numpy as np
import pytest
import torch

from affectflow.cache.errors import BadCall
from affectflow.extract.vision.lr_asd import LrAsd, load_lr_asd
from affectflow.extract.vision.talknet import TalkNet

GOLDEN = Path(__file__).parent / "golden" / "asd.npz"
WEIGHTS = Path(__file__).parents[4] / "shared" / "weights" / "lr_asd"
NAMES = {"talkset": "finetuning_TalkSet.model", "ava": "pretrain_AVA.model"}


def inputs(n):
    """The golden numbers' MFCC (1, 4n, 13) and faces (1, n, 112, 112)."""
    random = np.random.RandomState(0)
    mfcc = (random.standard_normal((1, 4 * n, 13)) * 10).astype(np.float32)
    faces = random.randint(0, 256, size=(1, n, 112, 112)).astype(np.uint8)
    return torch.from_numpy(mfcc), torch.from_numpy(faces).float()


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return LrAsd().eval().requires_grad_(False)


@pytest.mark.skipif(not WEIGHTS.exists(), reason="needs the released weights")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [5, 25])
def test_logits_are_those_of_the_authors_code_and_weights(name, n):
    with torch.inference_mode():
        logits = load_lr_asd(WEIGHTS / NAMES[name])(*inputs(n))
    np.testing.assert_allclose(logits[0], np.load(GOLDEN)[f"lr_asd_{name}_{n}"], atol=1e-3)


def test_has_the_tensors_of_the_released_checkpoints():
    assert len(LrAsd().state_dict()) == 168
    assert sum(p.numel() for p in LrAsd().parameters()) == pytest.approx(0.84e6, rel=0.01)


def test_clips_of_a_batch_do_not_see_each_other(network):
    mfcc, faces = inputs(6)
    both = network(mfcc.reshape(2, 12, 13), faces.reshape(2, 3, 112, 112))
    second = network(mfcc[:, 12:], faces[:, 3:])
    torch.testing.assert_close(both[1:], second, rtol=1e-4, atol=1e-5)


def test_features_of_a_picture_see_no_further_than_reach(network):
    faces = inputs(2 * network.reach + 4)[1]
    other = faces.clone()
    other[:, -1] = 0
    seen = (network.pictures(faces) - network.pictures(other)).abs().amax(dim=(0, 2))
    assert torch.all(seen[: -network.reach - 1] == 0)
    assert torch.all(seen[-network.reach :] > 0)


def test_a_checkpoint_of_another_network_says_which_keys_differ(tmp_path):
    torch.save(TalkNet().state_dict(), tmp_path / "talknet.model")
    message = r"are not those of LR-ASD, which has 168 tensors; 16\d missing: model.audioEncoder.*"
    with pytest.raises(BadCall, match=message):
        load_lr_asd(tmp_path / "talknet.model")
