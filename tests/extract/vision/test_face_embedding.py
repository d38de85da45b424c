import sys

import numpy as np
import pytest
import torch
from torchvision import models

from affectflow.cache.errors import BadCall, NoFace, UnknownName
from affectflow.extract.registry import extractor
from affectflow.extract.vision.crops import face_crops
from affectflow.extract.vision.image_network import make_network

MOBILE = "torchvision/mobilenet_v3_small"


@pytest.fixture(scope="module")
def mobile(tmp_path_factory):
    """A file of random weights of MobileNet V3 small, with the classifier of another task."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("mobile") / "mobile.pth"
    network = of_ordinary_size(models.mobilenet_v3_small())
    network.classifier[3] = torch.nn.Linear(1024, 7)
    torch.save({"state_dict": network.state_dict()}, path)
    return str(path)


def of_ordinary_size(network):
    """Weights that keep what they carry at its size, as trained ones do: fresh ones let it fade."""
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            torch.nn.init.kaiming_normal_(layer.weight)
    return network


def assert_equal(found, wanted):
    """As far as float32 goes, of values that differ from picture to picture."""
    largest = np.abs(wanted).max()
    assert wanted.std(axis=0).max() > 0.01 * largest > 1e-4
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * largest)


def crops_of(clip, size):
    """The faces that the network is shown, (n, size, size, 3) uint8."""
    return next(face_crops(clip, clip.features["faces"], size, 10.0))[1]


def test_is_what_the_last_linear_layer_would_read_of_the_normalised_crops(mobile, talk):
    node = extractor("face-embedding", network=MOBILE, checkpoint=mobile, size=32)
    clip = talk(3)
    found = node.extract(clip)
    network = models.mobilenet_v3_small(num_classes=7).eval()
    network.load_state_dict(torch.load(mobile)["state_dict"])
    network.classifier[3] = torch.nn.Identity()
    crops = np.stack([frame.image for frame in clip.frames(10.0)])[:, 8:40, 16:48] / 255
    given = (crops - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    with torch.inference_mode():
        wanted = network(torch.from_numpy(given.transpose(0, 3, 1, 2)).float()).numpy()
    assert found.values.shape == (3, 1024)
    assert_equal(found.values, wanted)
    np.testing.assert_allclose(found.times, [[0, 0.1], [0.1, 0.2], [0.2, 0.3]])
    assert node.spec["values"].shape == (1024,)


def test_pictures_without_a_face_are_masked(mobile, talk):
    node = extractor("face-embedding", network=MOBILE, checkpoint=mobile, size=32)
    found = node.extract(talk(4, [1, 0, 1, 0]))
    assert found.mask.tolist() == [True, False, True, False]
    assert (found.values[~found.mask] == 0).all()
    with pytest.raises(NoFace, match="none of 2 rows has a face"):
        node.extract(talk(2, [0, 0]))


def test_a_picture_is_the_same_alone_as_in_a_batch(mobile, talk):
    node = extractor("face-embedding", network=MOBILE, checkpoint=mobile, size=32)
    many = node.extract(talk(70)).values
    alone = node.extract(talk(1)).values
    assert np.abs(many[0] - alone[0]).max() <= 1e-5 * np.abs(many).max()


def test_the_size_is_that_of_the_network_unless_given(mobile):
    assert extractor("face-embedding", network=MOBILE, checkpoint=mobile).size == 224
    assert extractor("face-embedding", checkpoint=mobile).size == 160


@pytest.mark.slow
def test_facenets_embeddings_have_length_one_and_its_classifier_is_ignored(tmp_path, talk):
    from facenet_pytorch import InceptionResnetV1, fixed_image_standardization

    torch.manual_seed(0)
    network = of_ordinary_size(InceptionResnetV1(classify=True, num_classes=3)).eval()
    torch.save(network.state_dict(), tmp_path / "facenet.pt")
    settings = {"size": 96, "dtype": "float32"}
    node = extractor("face-embedding", checkpoint=str(tmp_path / "facenet.pt"), **settings)
    found = node.extract(talk(2)).values
    assert found.shape == (2, 512)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    network.classify = False
    crops = torch.from_numpy(crops_of(talk(2), 96)).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        wanted = network(fixed_image_standardization(crops)).numpy()
    assert_equal(found, wanted)


def test_networks_in_whose_weights_a_transform_belongs_get_it(tmp_path, talk):
    """torchvision sets ``transform_input`` itself, but only where it loads the weights."""
    torch.manual_seed(0)
    network = of_ordinary_size(models.googlenet(init_weights=False, transform_input=True)).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    clip = talk(2)
    settings = {"network": "torchvision/googlenet", "size": 32, "dtype": "float32"}
    node = extractor("face-embedding", checkpoint=str(tmp_path / "weights.pth"), **settings)
    found = node.extract(clip)
    crops = torch.from_numpy(crops_of(clip, 32))
    colours = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
    network.fc = torch.nn.Identity()
    with torch.inference_mode():
        wanted = network((crops.permute(0, 3, 1, 2) / 255 - colours[0]) / colours[1])
    assert_equal(found.values, wanted.numpy())
    with torch.device("meta"):
        assert make_network("torchvision/inception_v3")[0].transform_input


def test_a_network_of_timm_gives_what_its_own_last_layer_would_read(tmp_path, talk):
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    network = of_ordinary_size(timm.create_model("test_byobnet", num_classes=7)).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    settings = {"network": "timm/test_byobnet", "size": 64, "dtype": "float32"}
    node = extractor("face-embedding", checkpoint=str(tmp_path / "weights.pth"), **settings)
    seen = []
    network.head.fc.register_forward_pre_hook(lambda layer, given: seen.append(given[0]))
    crops = torch.from_numpy(crops_of(talk(3), 64)).permute(0, 3, 1, 2) / 255
    colours = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
    with torch.inference_mode():
        network((crops - colours[0]) / colours[1])  # as its configuration says
    assert_equal(node.extract(talk(3)).values, seen[0].numpy())


def test_refuses_weights_of_another_network(mobile, talk):
    node = extractor("face-embedding", network="torchvision/resnet18", checkpoint=mobile)
    said = r"not those of torchvision/resnet18, which has 120 tensors; \d+ missing: bn1.bias"
    with pytest.raises(BadCall, match=said):
        node.extract(talk(1))


def test_a_damaged_file_of_weights_ends_the_run_not_each_clip(tmp_path, talk):
    (tmp_path / "weights.pth").write_bytes(b"a.")
    node = extractor("face-embedding", network=MOBILE, checkpoint=str(tmp_path / "weights.pth"))
    with pytest.raises(BadCall, match="weights.pth' cannot be read: pop from empty list"):
        list(node.many([talk(1), talk(1)]))


@pytest.mark.parametrize(
    ("network", "error", "message"),
    [
        ("torchvision/resnet17", UnknownName, "unknown image network of torchvision 'resnet17'. D"),
        ("resnet18", BadCall, "no image network 'resnet18': it is 'inception-resnet-v1', 'torchv"),
        ("torchvision/squeezenet1_0", BadCall, "'squeezenet1_0' ends with no linear classifier"),
    ],
)
def test_refuses_networks_that_there_are_not(network, error, message):
    with pytest.raises(error, match=message):
        extractor("face-embedding", network=network, checkpoint="a.pth")


@pytest.mark.parametrize(
    ("network", "library"),
    [
        ("inception-resnet-v1", "facenet-pytorch"),
        (MOBILE, "torchvision"),
        ("timm/resnet18", "timm"),
    ],
)
def test_the_library_that_holds_the_network_is_recorded(network, library):
    node = extractor("face-embedding", network=network, checkpoint="a.pth", size=160)
    assert node.used_libraries() == ("torch", "opencv-python-headless", library)


def test_says_when_timm_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(BadCall, match="'timm/vit' needs timm: pip install 'affectflow"):
        extractor("face-embedding", network="timm/vit", checkpoint="a.pth")


def test_needs_a_checkpoint():
    with pytest.raises(BadCall, match="extractor 'face-embedding'.*checkpoint"):
        extractor("face-embedding")
    with pytest.raises(BadCall, match="checkpoint must be a file of weights"):
        extractor("face-embedding", checkpoint="")
