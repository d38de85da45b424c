import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models import video

from affectflow.cache.errors import BadCall
from affectflow.extract.vision.swin3d_weights import load_weights, torchvision_name
from affectflow.extract.vision.tensor_file import from_hub, read_tensors
from affectflow.extract.vision.video_network import KINDS, load_video_network

SHARED = Path(__file__).parents[4] / "shared" / "golden" / "swin3d"
GOLDEN = Path(__file__).parent / "golden" / "swin3d_t.npz"


def numbers(name, shape):
    """A tensor that follows from its name, scaled so that signals pass."""
    z = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    if len(shape) >= 2 and not name.endswith("relative_position_bias_table"):
        return z / np.sqrt(np.prod(shape[1:]))
    if name.endswith("relative_position_bias_table"):
        return 0.5 * z
    return 1 + 0.05 * z if name.endswith(".weight") else 0.05 * z


def filled(network):
    """The network's state dict with numbers made of its names."""
    return {
        name: tensor
        if name.endswith("relative_position_index")
        else torch.from_numpy(numbers(name, tuple(tensor.shape))).float()
        for name, tensor in network.state_dict().items()
    }


def official(name):
    """The name of a tensor in a checkpoint of the authors of Video Swin."""
    if name.startswith("head."):
        return f"cls_head.fc_cls.{name[5:]}"
    name = name.replace(".mlp.0.", ".mlp.fc1.").replace(".mlp.3.", ".mlp.fc2.")
    parts = name.split(".")
    if parts[0] == "features":
        kind = ["downsample"] if int(parts[1]) % 2 else ["blocks"]
        parts = ["layers", str(int(parts[1]) // 2), *kind, *parts[2:]]
    return ".".join(["backbone", *parts])


@pytest.fixture(scope="module")
def swin_t(tmp_path_factory):
    """A file of an official checkpoint of swin3d_t, filled as the golden numbers want it."""
    path = tmp_path_factory.mktemp("swin") / "official.pth"
    state = {official(name): tensor for name, tensor in filled(video.swin3d_t()).items()}
    torch.save({"meta": {"epoch": 30}, "state_dict": state}, path)
    return path


def rows(kind, path, shape):
    network = load_video_network(kind, path, "cpu", "float32").network
    given = np.random.RandomState(0).standard_normal((1, 3, *shape)).astype(np.float32)
    with torch.inference_mode():
        return KINDS[kind].rows(network, torch.from_numpy(given))[0].numpy()


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(8, 64, 64), (5, 50, 90)])
def test_an_official_checkpoint_gives_the_golden_rows(swin_t, shape):
    golden = np.load(GOLDEN)["T{}_H{}_W{}".format(*shape)]
    found = rows("swin3d_t", swin_t, shape)
    assert found.shape == golden.shape == (-(-shape[0] // 2), 768)
    np.testing.assert_allclose(found, golden, atol=1e-3)


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared")
def test_names_are_translated_as_the_map_of_the_authors_names_says():
    names = json.loads((SHARED / "swin3d_t_torchvision_to_official.json").read_text())["map"]
    assert {torchvision_name(theirs): theirs for theirs in names.values()} == names


def test_every_name_of_the_authors_is_translated_back():
    with torch.device("meta"):
        names = list(video.swin3d_b().state_dict())
    assert [torchvision_name(official(name)) for name in names] == names


def tiny(depths=(1, 1), classes=5):
    """A small Video Swin."""
    torch.manual_seed(0)
    return video.SwinTransformer3d(
        [2, 4, 4], 12, list(depths), [2] * len(depths), [8, 7, 7], num_classes=classes
    )


def test_reads_safetensors_and_a_state_dict_without_a_head_alike(tmp_path):
    from safetensors.torch import save_file

    state = tiny().state_dict()
    save_file(state, tmp_path / "a.safetensors")
    headless = {name: t for name, t in state.items() if not name.startswith("head.")}
    torch.save({f"module.{name}": t for name, t in headless.items()}, tmp_path / "b.pth")
    for file in ("a.safetensors", "b.pth"):
        network = tiny(classes=7)
        torch.nn.init.zeros_(network.norm.weight)
        load_weights(network, tmp_path / file, "tiny", dict)
        for name, tensor in headless.items():
            torch.testing.assert_close(network.state_dict()[name], tensor, rtol=0, atol=0)


def test_says_what_differs_in_weights_of_another_network_and_which_one_they_fit(tmp_path):
    torch.save(tiny((1, 2)).state_dict(), tmp_path / "other.pth")
    with pytest.raises(BadCall, match="not those of tiny; it fits large; 13 not known: features"):
        load_weights(
            tiny(), tmp_path / "other.pth", "tiny", lambda: {"large": tiny((1, 2)).state_dict()}
        )


def test_says_which_shape_differs(tmp_path):
    state = tiny().state_dict()
    torch.save(state | {"norm.bias": torch.zeros(3)}, tmp_path / "cut.pth")
    with pytest.raises(BadCall, match=r"1 of another shape: norm.bias \(3,\) instead of \(24,\)"):
        load_weights(tiny(), tmp_path / "cut.pth", "tiny", dict)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no file of weights"),
        (b"", "cannot be read"),
        (b"<html>not found</html>", "more than tensors|cannot be read"),
        (b"a.", "weights.pth' cannot be read: pop from empty list"),
        (b"h", "weights.pth' cannot be read: index out of range"),
        (b"", "this one is empty"),
        (
            b"hi, I am a text",
            r"be read: it is no pickle\. Wanted is a state dict that torch.save wrote, or a "
            r".safetensors file; this one begins with b'hi, I am a t'$",
        ),
        (b"<html>not found</html>", r"Wanted is a state dict .* begins with b'<html>not fo'$"),
        (b"PK\x03\x04 cut", "cannot be read: .*. Fetch or save it again$"),
    ],
)
def test_refuses_a_file_that_holds_no_weights(tmp_path, content, message):
    path = tmp_path / "weights.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadCall, match=message):
        read_tensors(path)


def test_refuses_truncated_files(tmp_path):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(100)}, tmp_path / "a.safetensors")
    torch.save({"a": torch.zeros(100)}, tmp_path / "a.pth")
    for name in ("a.safetensors", "a.pth"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:200])
        with pytest.raises(BadCall, match="cannot be read"):
            read_tensors(path)


def test_runs_nothing_that_a_file_holds(tmp_path):
    torch.save({"state_dict": {"a": torch.zeros(1)}, "config": Path("x")}, tmp_path / "a.pth")
    with pytest.raises(BadCall, match="hold more than tensors, which is not read"):
        read_tensors(tmp_path / "a.pth")


def test_refuses_a_file_that_holds_something_else_than_a_state_dict(tmp_path):
    torch.save([1, 2], tmp_path / "a.pth")
    with pytest.raises(BadCall, match="holds no state dict"):
        read_tensors(tmp_path / "a.pth")


def test_takes_offered_weights_from_torchs_cache_and_says_when_they_cannot_be_fetched(
    tmp_path, monkeypatch
):
    def fail(url, path, digits, progress):
        assert digits == "0123abcd"
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    url = "https://example.org/net-0123abcd.pth"
    with pytest.raises(BadCall, match=r"weights of net .*no route to host. Off line, set checkp"):
        from_hub(url, "net")
    kept = tmp_path / "checkpoints" / "net-0123abcd.pth"
    kept.write_bytes(b"there")
    assert from_hub(url, "net") == kept
