import json

import numpy as np
import pytest
import torch

from affectflow.cache.errors import BadCall, NoFace
from affectflow.extract.registry import extractor
from affectflow.extract.vision.hf_vision_sight import sight_of

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 32,
    "patch_size": 8,
}
TEXT = {**{k: SMALL[k] for k in list(SMALL)[:4]}, "vocab_size": 20}


def configurations():
    import transformers as t

    return {
        "vit": lambda: t.ViTConfig(**SMALL),
        "dinov2": lambda: t.Dinov2WithRegistersConfig(**SMALL),
        "siglip": lambda: t.SiglipVisionConfig(**SMALL),
        "clip": lambda: t.CLIPConfig(vision_config=SMALL, text_config=TEXT),
        "swin": lambda: t.SwinConfig(
            image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4
        ),
        "convnext": lambda: t.ConvNextConfig(
            image_size=32, num_stages=2, hidden_sizes=[8, 16], depths=[1, 1]
        ),
        "mobilevit": lambda: t.MobileViTConfig(
            image_size=32,
            hidden_sizes=[16, 24, 32],
            neck_hidden_sizes=[8, 8, 8, 8, 8, 8, 24],
            num_attention_heads=2,
        ),
        "vit_mae": lambda: t.ViTMAEConfig(**SMALL),
        "resnet": lambda: t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1]),
        "videomae": lambda: t.VideoMAEConfig(**SMALL, num_frames=4),
        "vivit": lambda: t.VivitConfig(**SMALL, num_frames=4, tubelet_size=[2, 8, 8]),
        "bert": lambda: t.BertConfig(**TEXT),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The function `make`: a folder with a small random model of a kind."""
    from transformers import AutoModel

    made = {}

    def make(kind):
        if kind not in made:
            torch.manual_seed(0)
            path = tmp_path_factory.mktemp(kind)
            AutoModel.from_config(configurations()[kind]()).save_pretrained(path)
            prepared = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}
            prepared |= {"rescale_factor": 1 / 255, "crop_size": {"height": 32, "width": 32}}
            (path / "preprocessor_config.json").write_text(json.dumps(prepared))
            made[kind] = path
        return str(made[kind])

    return make


def prepared(clip):
    """The face's pictures as a model wants them, (n, 3, 32, 32)."""
    crops = np.stack([frame.image for frame in clip.frames(10.0)])[:, 8:40, 16:48] / 255
    return torch.from_numpy((crops - [0.5, 0.4, 0.3]) / [0.2, 0.3, 0.4]).permute(0, 3, 1, 2).float()


def states(folder, given):
    from transformers import AutoModel

    network = AutoModel.from_pretrained(folder).eval()
    network = getattr(network, "vision_model", network)
    with torch.inference_mode():
        return network(pixel_values=given, output_hidden_states=True)


@pytest.mark.parametrize(("kind", "added"), [("vit", 1), ("dinov2", 5), ("siglip", 0), ("clip", 1)])
def test_is_the_mean_over_the_patches_of_the_models_output(folder, talk, kind, added):
    clip = talk(3)
    found = extractor("hf-vision", model=folder(kind)).extract(clip)
    wanted = states(folder(kind), prepared(clip)).last_hidden_state[:, added:].mean(1)
    assert found.values.shape == (3, 16)
    np.testing.assert_allclose(found.values, wanted, atol=2e-5)


def test_maps_of_a_convolutional_network_are_averaged(folder, talk):
    clip = talk(2)
    found = extractor("hf-vision", model=folder("resnet")).extract(clip)
    wanted = states(folder("resnet"), prepared(clip)).last_hidden_state.mean((2, 3))
    np.testing.assert_allclose(found.values, wanted, atol=2e-5)
    with pytest.raises(BadCall, match="has one output, layer 'last', not 1"):
        extractor("hf-vision", model=folder("resnet"), layer=1).extract(clip)


def test_layers_are_averaged_and_the_added_token_can_be_taken(folder, talk):
    clip = talk(2)
    model = folder("vit")
    found = extractor("hf-vision", model=model, layer=(0, 1), pool="cls").extract(clip)
    hidden = states(model, prepared(clip)).hidden_states
    np.testing.assert_allclose(found.values, (hidden[0] + hidden[1])[:, 0] / 2, atol=2e-5)
    last = extractor("hf-vision", model=model, layer=2).extract(clip)
    np.testing.assert_array_equal(
        last.values, extractor("hf-vision", model=model).extract(clip).values
    )
    with pytest.raises(BadCall, match=r"has layers 0 \(embeddings\) to 2, not 3"):
        extractor("hf-vision", model=model, layer=3).extract(clip)


@pytest.mark.parametrize(("kind", "added"), [("videomae", 0), ("vivit", 1)])
def test_a_video_encoder_gives_a_row_for_two_pictures_window_by_window(folder, talk, kind, added):
    clip = talk(7, [1, 1, 1, 1, 1, 0, 1])
    found = extractor("hf-vision", model=folder(kind)).extract(clip)
    assert found.values.shape == (4, 16)
    np.testing.assert_allclose(found.times, [[0, 0.2], [0.2, 0.4], [0.4, 0.6], [0.6, 0.7]])
    shift = 1.0 if kind == "vivit" else 0.0  # its processor scales to [-1, 1] first
    std = torch.tensor([0.2, 0.3, 0.4])[:, None, None]
    given = torch.cat([prepared(clip) - shift / std, torch.zeros(1, 3, 32, 32)])
    given[5] = 0
    for window in (0, 1):
        out = states(folder(kind), given[None, 4 * window : 4 * window + 4]).last_hidden_state[0]
        wanted = out[added:].reshape(2, 16, 16).mean(1)
        np.testing.assert_allclose(found.values[2 * window : 2 * window + 2], wanted, atol=2e-5)


@pytest.mark.parametrize("own", [{}, {"do_normalize": False}, {"offset": False}])
def test_vivits_pictures_are_scaled_as_by_its_processor(tmp_path, own):
    from transformers import VivitImageProcessor

    configurations()["vivit"]().save_pretrained(tmp_path)
    levels = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4]}
    VivitImageProcessor(do_resize=False, do_center_crop=False, **levels, **own).save_pretrained(
        tmp_path
    )
    pictures = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    processor = VivitImageProcessor.from_pretrained(tmp_path)
    wanted = processor(list(pictures), return_tensors="np")["pixel_values"][0]
    sight = sight_of(str(tmp_path), "", 32)
    found = (pictures - np.array(sight.mean)) / np.array(sight.std)
    np.testing.assert_allclose(found.transpose(0, 3, 1, 2), wanted, atol=1e-5)


def test_rows_without_a_face_are_masked(folder, talk):
    found = extractor("hf-vision", model=folder("vit")).extract(talk(3, [1, 0, 1]))
    assert found.mask.tolist() == [True, False, True]
    assert (found.values[1] == 0).all()
    found = extractor("hf-vision", model=folder("videomae")).extract(talk(8, [1] * 4 + [0] * 4))
    assert found.mask.tolist() == [True, True, False, False]
    with pytest.raises(NoFace, match="none of 1 rows"):
        extractor("hf-vision", model=folder("videomae")).extract(talk(2, [0, 0]))


def test_a_picture_is_the_same_alone_as_in_a_batch(folder, talk):
    node = extractor("hf-vision", model=folder("clip"))
    many, alone = node.extract(talk(70)).values, node.extract(talk(1)).values
    assert np.abs(many[0] - alone[0]).max() <= 1e-5 * np.abs(many).max()


def test_width_size_and_weights_follow_from_the_folder(folder):
    node = extractor("hf-vision", model=folder("clip"), level="mean")
    assert node.spec["values"].shape == (16,)
    assert node.size == 32
    assert set(node.weights()) == {"config.json", "preprocessor_config.json", "model.safetensors"}


@pytest.mark.parametrize(
    ("kind", "width", "mean"),
    [("swin", 16, (1,)), ("convnext", 16, (2, 3)), ("mobilevit", 24, (2, 3))],
)
def test_networks_of_stages_give_their_output_and_no_numbered_layers(
    folder, talk, kind, width, mean
):
    clip = talk(2)
    node = extractor("hf-vision", model=folder(kind))
    wanted = states(folder(kind), prepared(clip)).last_hidden_state.mean(mean)
    assert node.spec["values"].shape == (width,)
    np.testing.assert_allclose(node.extract(clip).values, wanted, atol=1e-3)
    for layer in (0, 1, (0, 1)):
        with pytest.raises(BadCall, match="has one output, layer 'last', not"):
            _ = extractor("hf-vision", model=folder(kind), layer=layer).spec


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("vit", {"size": 64}, r"\(vit\) cannot see pictures of 64 pixels: Input image size"),
        ("vit", {"layer": 9}, r"has layers 0 \(embeddings\) to 2, not 9"),
        ("siglip", {"pool": "cls"}, "pool must be 'mean'"),
        ("vit_mae", {}, "hides most of a picture from itself, at random"),
    ],
)
def test_what_a_model_cannot_do_is_said_before_the_run(folder, kind, settings, message):
    with pytest.raises(BadCall, match=message):
        _ = extractor("hf-vision", model=folder(kind), **settings).spec


@pytest.mark.parametrize(
    ("said", "size"),
    [
        ({"crop_size": {"height": 32, "width": 32}, "size": {"shortest_edge": 48}}, 32),
        ({"crop_size": 32, "size": {"height": 48, "width": 48}, "do_center_crop": False}, 48),
        ({"size": {"height": 48, "width": 48}, "do_resize": False}, 64),
        ({}, 64),
    ],
)
def test_the_size_is_that_of_the_image_processor_before_the_configurations(tmp_path, said, size):
    """DINOv2 learnt last from 518 pixels, and its processor makes pictures of 224."""
    config = {"model_type": "dinov2", **SMALL, "image_size": 64}
    (tmp_path / "config.json").write_text(json.dumps(config))
    said = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, **said}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    assert extractor("hf-vision", model=str(tmp_path)).size == size


def test_layers_that_are_the_same_have_one_fingerprint(folder):
    ways = [[1, (1,), -2, (-2, -2)], ["last", 2, -1, (2,)], [(0, 1), (1, 0), [-3, -2]]]
    for same in ways:
        nodes = {extractor("hf-vision", model=folder("vit"), layer=layer) for layer in same}
        assert len(nodes) == 1


def test_refuses_models_that_see_nothing_and_folders_that_are_not_whole(folder, tmp_path):
    with pytest.raises(BadCall, match=r"\(bert\) is no encoder of pictures"):
        extractor("hf-vision", model=folder("bert"))
    (tmp_path / "config.json").write_text('{"model_type": "vit", "hidden_size": 8}')
    with pytest.raises(BadCall, match="does not say how its pictures are normalised"):
        extractor("hf-vision", model=str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "strange"}')
    with pytest.raises(BadCall, match="of the family 'strange', which is not known"):
        extractor("hf-vision", model=str(tmp_path))


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("siglip", {"pool": "cls"}, "pool must be 'mean', for the model adds no token"),
        ("vivit", {"pool": "cls"}, "pool must be 'mean' for the video encoder"),
        ("vit", {"pool": "max"}, "pool must be 'mean' or 'cls', not 'max'"),
        ("vit", {"layer": "first"}, "layer must be 'last' or whole numbers, not 'first'"),
    ],
)
def test_refuses_settings_that_do_not_go(folder, talk, kind, settings, message):
    with pytest.raises(BadCall, match=f"hf-vision: {message}"):
        extractor("hf-vision", model=folder(kind), **settings).extract(talk(2))
