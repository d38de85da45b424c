"""TalkNet against the numbers of the authors' code with parameters filled by one rule."""

import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from affectflow.cache.errors import BadCall
from affectflow.extract.vision.lr_asd import LrAsd
from affectflow.extract.vision.talknet import TalkNet, load_talknet

GOLDEN = Path(__file__).parent / "golden" / "asd.npz"


def filled(name, shape):
    """A tensor that follows from its name: the fill that the golden numbers were made with."""
    if name.endswith("num_batches_tracked"):
        return torch.tensor(1)
    z = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    if name.endswith("running_var"):
        z = np.abs(0.05 * z) + 0.5
    elif len(shape) >= 2 and not name.endswith((".gamma", ".beta")):
        z = z / np.sqrt(np.prod(shape[1:]))
    elif name.endswith(".gamma") or (name.endswith(".weight") and len(shape) == 1):
        z = 1 + 0.05 * z
    else:
        z = 0.05 * z
    return torch.from_numpy(np.asarray(z, np.float32))


def inputs(n):
    """The golden numbers' MFCC (1, 4n, 13) and faces (1, n, 112, 112)."""
    random = np.random.RandomState(0)
    mfcc = (random.standard_normal((1, 4 * n, 13)) * 10).astype(np.float32)
    faces = random.randint(0, 256, size=(1, n, 112, 112)).astype(np.uint8)
    return torch.from_numpy(mfcc), torch.from_numpy(faces).float()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("talknet") / "filled.model"
    state = TalkNet().state_dict()
    torch.save({name: filled(name, tuple(t.shape)) for name, t in state.items()}, path)
    return path


@pytest.fixture(scope="module")
def network(checkpoint):
    return load_talknet(checkpoint)


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 5, 25, 75])
def test_logits_are_those_of_the_authors_code(network, n):
    with torch.inference_mode():
        logits = network(*inputs(n))
    np.testing.assert_allclose(logits[0], np.load(GOLDEN)[f"talknet_{n}"], rtol=1e-4, atol=1e-3)


@pytest.mark.slow
def test_clips_of_a_batch_do_not_see_each_other(network):
    mfcc, faces = inputs(6)
    with torch.inference_mode():
        both = network(mfcc.reshape(2, 12, 13), faces.reshape(2, 3, 112, 112))
        second = network(mfcc[:, 12:], faces[:, 3:])
    torch.testing.assert_close(both[1:], second, rtol=1e-4, atol=1e-4)


def test_has_the_tensors_of_the_released_checkpoints():
    state = TalkNet().state_dict()
    assert len(state) == 487
    assert sum(p.numel() for p in TalkNet().parameters()) == 15_744_481
    assert state["model.visualFrontend.resnet.layer1.downsample.weight"].shape == (64, 64, 1, 1)
    assert state["lossAV.FC.weight"].shape == (2, 256)


def test_a_checkpoint_of_another_network_says_which_keys_differ(tmp_path):
    torch.save(LrAsd().state_dict(), tmp_path / "lr_asd.model")
    message = (
        r"lr_asd.model' are not those of TalkNet, which has 487 tensors; 48\d missing: "
        r"lossA.FC.bias, .* more; 16\d not known: model.*; 1 of another shape: "
        r"lossAV.FC.weight \(2, 128\) instead of \(2, 256\)"
    )
    with pytest.raises(BadCall, match=message):
        load_talknet(tmp_path / "lr_asd.model")


def test_says_where_there_is_no_checkpoint(tmp_path):
    with pytest.raises(BadCall, match="no file of weights at .*nowhere.model"):
        load_talknet(tmp_path / "nowhere.model")


def test_refuses_a_file_that_is_no_state_dict(tmp_path):
    torch.save([1, 2, 3], tmp_path / "list.model")
    with pytest.raises(BadCall, match="holds no state dict"):
        load_talknet(tmp_path / "list.model")


def test_runs_nothing_that_a_file_holds(tmp_path):
    torch.save({"model": Path("/")}, tmp_path / "object.model")
    with pytest.raises(BadCall, match=r"hold more than tensors"):
        load_talknet(tmp_path / "object.model")
