"""The recipe boosting_msa from clips to scores, with tiny random networks."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest

from affectflow.workflows.bundle import Bundle, pack_model
from affectflow.workflows.demo import make_demo
from affectflow.workflows.recipe import load_recipe
from affectflow.workflows.run import run

pytestmark = pytest.mark.slow

TUNED = ("tune_t", "tune_a", "tune_v")
#: What of the recipe is made smaller; on a real corpus only its place and the weights are given.
SMALL = ["faces.rate=2", "pixels.rate=5", "pixels.size=32", "mult.units=8", "mult.heads=2"]


def save_hubert(folder):
    """A random HuBERT of two layers."""
    import torch
    import transformers as tf

    config = tf.HubertConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
    )
    tf.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tf.AutoModel.from_config(config).save_pretrained(folder)


def small_swin():
    from torchvision.models import video

    return video.SwinTransformer3d([2, 4, 4], 8, [1, 1, 1, 1], [2, 2, 2, 2], [8, 7, 7])


@pytest.fixture(scope="module")
def place(tmp_path_factory, three_clips, save_text_model):
    """A folder with a model of each modality."""
    import torch

    folder = tmp_path_factory.mktemp("place")
    save_text_model(folder / "bert", "bert", [u.text for u in make_demo(three_clips, n=3)])
    save_hubert(folder / "hubert")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(small_swin().state_dict(), folder / "swin.pth")
    return folder


@pytest.fixture
def go(place, three_clips, monkeypatch):
    """Run the recipe, with variants and settings, in this process; Swin3D-T is a small one."""
    from torchvision.models import video

    from affectflow.extract.vision import video_network

    kind = dataclasses.replace(video_network.KINDS["swin3d_t"], width=64)
    monkeypatch.setitem(video_network.KINDS, "swin3d_t", kind)
    monkeypatch.setattr(video, "swin3d_t", small_swin)

    def go(variants=(), settings=(), drop=()):
        small = [s for s in SMALL if s.split(".")[0] not in drop]
        weights = [
            *("words.model=" + str(place / "bert"), "speech.model=" + str(place / "hubert")),
            "pixels.checkpoint=" + str(place / "swin.pth"),
        ]
        given = [s for s in weights if s.split(".")[0] not in drop]
        made = load_recipe("boosting_msa", [*given, *small, *settings], three_clips, variants)
        return run(made, place / "cache", scheduler="sync")

    return go


TWO_STEP = [
    *("tune_t,tune_a,tune_v.epochs=1", "sf,tfn,mult.epochs=2", "sf,tfn,mult.seeds=2"),
    "tune_t,tune_a,tune_v.encoder_lr=1e-3",
]


def digests(done):
    """SHA-256 of every file of the fine-tuned encoders' checkpoints."""
    folders = [done.states[name].checkpoint.folder for name in TUNED]
    files = [file for folder in folders for file in sorted(folder.iterdir())]
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_two_steps_from_clips_to_scores_and_a_second_fusion_trains_no_encoder(go):
    first = go(settings=[*TWO_STEP, "sf.seeds=1"])
    assert not first.errors
    upto = dict.fromkeys(("words", "speech", "faces", "speaker", "pixels"), 3)
    encodes = ("text", "audio", "vision", "text_s", "audio_s", "vision_s")
    coded = dict.fromkeys(encodes, 3)
    fits = dict.fromkeys((*TUNED, "sf", "tfn", "mult"), 1)
    assert first.made == {**upto, **coded, **fits}
    for name in ("sf", "tfn", "mult"):
        predictions = first.states[name].checkpoint.predictions()
        assert np.isfinite(predictions["prediction"]).all()
        parts = first.states[name].checkpoint.weights()
        assert not any("encoder" in part and "copies" in part for part in parts)

    # HuBERT's rows keep the times of its steps, Swin's one for two pictures; all of it from step 1
    assert len(first.table("audio_s").values) == len(first.table("speech").values)
    pixels, vision = first.table("pixels"), first.table("vision_s")
    assert vision.lengths.tolist() == [-(-n // 2) for n in pixels.lengths]
    np.testing.assert_allclose(vision.times[0], [pixels.times[0, 0], pixels.times[1, 1]])
    assert first.table("audio_s").values.dtype == np.float16
    mean = first.table("audio_s")[0].values.astype(np.float32).mean(axis=0)
    np.testing.assert_allclose(first.table("audio").values[0], mean, atol=2e-3)

    before = digests(first)
    second = go(settings=[*TWO_STEP, "sf.seeds=[7]", "mult.layers=1"])
    assert second.made == {"sf": 1, "mult": 1}
    assert digests(second) == before  # bitwise, and nothing was added
    assert json.dumps(second.states["tune_a"].checkpoint.meta["chosen"]) == "0"


def test_joint_training_trains_every_encoder_at_once(go):
    settings = ["sf,tfn,mult.epochs=1", "sf.encoder_lr=1e-3"]
    done = go(["joint"], settings)
    assert not done.errors
    weights = done.states["sf"].checkpoint.weights()
    trained = {name.split(".")[2] for name in weights if name.startswith("net.encoders.")}
    assert trained == {"0", "1", "2"}
    meta = done.states["mult"].checkpoint.meta
    assert meta["tasks"] == ["T", "A", "V", "M"]
    assert not [n for n in done.made if n in TUNED]


def test_frozen_trains_no_encoder_at_all(go, place):
    settings = [
        *("text.model=" + str(place / "bert"), "text_s.model=" + str(place / "bert")),
        *("audio.model=" + str(place / "hubert"), "vision.checkpoint=" + str(place / "swin.pth")),
        *("vision.rate=5", "vision.size=32"),
        *("sf,tfn,mult,only_t,only_a,only_v.epochs=1", "sf,tfn,mult,only_t,only_a,only_v.seeds=1"),
    ]
    done = go(["frozen"], settings, drop=("words", "speech", "pixels"))
    assert not done.errors
    fits = {"sf", "tfn", "mult", "only_t", "only_a", "only_v"}
    for name in fits:
        assert not any("copies" in part for part in done.states[name].checkpoint.weights())
    assert fits <= set(done.made)


def test_a_packed_model_runs_the_encoders_that_were_trained_inside_its_fit(go, place):
    node = "mult"
    small = [f"sf,tfn,mult.{setting}" for setting in ("epochs=1", "seeds=1")]
    done = go(("joint",), small)
    packed = pack_model(done.recipe, place / "cache", node, place / f"{node}.zip")
    clip = next(iter(done.corpus))
    found = Bundle.read(packed).score(clip.media, clip.text)
    assert not found.missing
    checkpoint = done.states[node].checkpoint
    own = checkpoint.predictions()
    own = own[(own["id"] == clip.id) & (own["seed"] == checkpoint.meta["chosen"])]
    for task in checkpoint.meta["tasks"]:
        wanted = own.loc[own["task"] == task, "prediction"].item()
        assert found.values[task] == pytest.approx(wanted, abs=1e-4)
