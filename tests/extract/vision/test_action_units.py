import dataclasses
import json
import os
import sys
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
import torch

from affectflow.cache.errors import BadCall, NoFace
from affectflow.extract.listing import about
from affectflow.extract.registry import extractor, extractor_class
from affectflow.extract.vision import action_units
from affectflow.extract.vision.action_units import COLUMNS
from affectflow.extract.vision.openface2_csv import COLUMNS as OPENFACE
from affectflow.extract.vision.pyfeat import HUB, load_pyfeat, weights_file


@pytest.fixture
def network(monkeypatch):
    """In place of py-feat's: each unit is a picture's mean plus the unit's number."""

    class Means:
        shapes = []

        def units(self, pictures):
            self.shapes.append(pictures.shape)
            means = pictures.mean(axis=(1, 2, 3), keepdims=True)[:, :, 0, 0]
            return (means / 255 + np.arange(len(COLUMNS))).astype(np.float32)

    monkeypatch.setattr(action_units, "load_pyfeat", lambda path, device, precision: Means())
    monkeypatch.setattr(action_units.ActionUnits, "weights", lambda self: {"checkpoint": "a"})
    Means.shapes = []
    return Means


@pytest.fixture
def installed(monkeypatch):
    """As if py-feat were installed: files are looked at before it is loaded."""
    monkeypatch.setattr("importlib.metadata.version", lambda name: "2.1.5")


def test_columns_are_named_as_openface_names_its_intensities():
    spec = extractor("action-units").spec["values"]
    assert spec.columns == COLUMNS
    assert (COLUMNS[0], COLUMNS[-1], len(COLUMNS)) == ("AU01_r", "AU43_r", 20)
    shared = [name for name in OPENFACE if name.endswith("_r") and name != "AU45_r"]
    assert [name for name in COLUMNS if name in OPENFACE] == shared


def test_rows_are_of_the_pictures_with_a_face_cut_as_py_feat_cuts_them(network, talk):
    node = extractor("action-units")
    found = node.extract(talk(3, [1, 0, 1]))
    assert found.mask.tolist() == [True, False, True]
    assert network.shapes == [(2, 256, 256, 3)]
    # 1.2 times 32 pixels about the box's middle, at (32, 24): rows 4.8 to 43.2.
    clip = talk(3)
    image = list(clip.frames(10.0))[2].image[5:43, 13:51]
    np.testing.assert_allclose(found.values[2, 0], image.mean() / 255, atol=0.01)
    np.testing.assert_allclose(np.diff(found.values[2]), 1, atol=1e-5)
    assert not found.values[1].any()
    assert found.columns == found.cast(node.spec).columns == COLUMNS


def test_the_mean_is_over_the_pictures_with_a_face(network, talk):
    whole = extractor("action-units", level="mean").extract(talk(4, [1, 0, 1, 0]))
    rows = extractor("action-units").extract(talk(4, [1, 0, 1, 0]))
    assert whole.values.shape == (1, 20)
    np.testing.assert_allclose(whole.values[0], rows.values[rows.mask].mean(axis=0), rtol=1e-6)
    with pytest.raises(NoFace, match="'talk': none of 2 rows has a face"):
        extractor("action-units").extract(talk(2, [0, 0]))


def test_says_which_extra_brings_py_feat(monkeypatch, talk):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", missing)
    with pytest.raises(
        BadCall,
        match=r"action-units needs py-feat: it is not installed; pip install 'affectflow\[a",
    ):
        extractor("action-units", checkpoint="a.safetensors").extract(talk(1))


def test_is_told_of_without_its_package():
    told = dict(about(extractor_class("action-units")))
    assert told["reads"] == "pictures, 10 a second, a node that fills 'faces'"
    assert told["licence"] == "the weights: research, not commercial"


def test_reads_no_file_that_could_run_anything(tmp_path):
    (tmp_path / "a.pt").write_bytes(b"")
    with pytest.raises(BadCall, match=r"a.pt' is no .safetensors file, and others are not read"):
        weights_file(str(tmp_path / "a.pt"), "main")


def test_says_when_there_is_no_such_file(tmp_path):
    with pytest.raises(BadCall, match="no file of weights at '.*a.safetensors'"):
        weights_file(str(tmp_path / "a.safetensors"), "main")
    with pytest.raises(BadCall, match=f"checkpoint must be a file of weights or '{HUB}'"):
        extractor("action-units", checkpoint="")


def test_says_what_to_do_off_line(monkeypatch):
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *a, **k: None)

    def offline(*given, **more):
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", offline)
    with pytest.raises(BadCall, match="face_multitask_v28.* Off line, set checkpoint to that file"):
        weights_file(HUB, "main")


def test_a_file_fetched_before_is_taken(tmp_path, monkeypatch):
    kept = tmp_path / "face_multitask_v28.safetensors"
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *a, **k: str(kept))
    assert weights_file(HUB, "main") == kept


def test_refuses_a_damaged_file(tmp_path, installed):
    (tmp_path / "a.safetensors").write_bytes(b"hello")
    with pytest.raises(BadCall, match="a.safetensors' cannot be read as safetensors"):
        load_pyfeat(tmp_path / "a.safetensors", "cpu", "float32")


def test_says_when_py_feat_does_not_load(tmp_path, installed, monkeypatch):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    monkeypatch.setitem(sys.modules, "feat", None)
    with pytest.raises(BadCall, match=r"needs py-feat: .*feat.*; pip install"):
        load_pyfeat(tmp_path / "a.safetensors", "cpu", "float32")


# What follows runs py-feat's own classes where it is installed: pip install '.[action-units]'. The
# extra 'dev' leaves it out, as its dependencies put another NCCL in the place of torch's. Its
# network is small and its weights random: nothing here shows that the released file is read, or
# what the network sees in a face.


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The function: a file of weights of py-feat's network, small; ``changes`` of its settings."""
    pytest.importorskip("feat")
    from feat.multitask.model_v2 import MEGraphAUv2, ModelV2Config
    from safetensors.torch import save_file

    def make(**changes):
        torch.manual_seed(0)
        config = ModelV2Config(
            backbone="convnextv2_atto",
            n_emotion=7,
            n_blendshape=52,
            mesh_normalized=True,
            afg_channels=16,
            mefl_channels=16,
            unified_lmk_dim=16,
            use_head_v3=True,
            drop_mefl=True,
            pretrained=False,
            **{"n_au": 20, **changes},
        )
        path = tmp_path_factory.mktemp("pyfeat") / "tiny.safetensors"
        settings = {"config": json.dumps(dataclasses.asdict(config))}
        save_file(MEGraphAUv2(config).state_dict(), path, metadata=settings)
        return path

    return make


@pytest.mark.slow
def test_gives_what_py_feats_own_wrapper_gives_of_the_crops(tiny, talk):
    from feat.multitask.inference import MultitaskModel

    path = tiny()
    found = extractor("action-units", checkpoint=str(path)).extract(talk(40))
    crops = extractor("face-crops", size=256, margin=0.1).extract(talk(40)).values
    chips = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255
    wanted = MultitaskModel(weights_path=str(path))(chips)
    assert tuple(f"{name}_r" for name in wanted.au_names) == COLUMNS
    np.testing.assert_allclose(found.values, wanted.au, rtol=1e-4, atol=1e-5)
    assert found.values.std(axis=0).min() > 0


@pytest.mark.slow
def test_leaves_the_threads_of_the_process_as_they_were(tiny, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    load_pyfeat(tiny(), "cpu", "float32")
    assert "OMP_NUM_THREADS" not in os.environ


@pytest.mark.slow
def test_refuses_weights_of_another_network(tiny, tmp_path):
    from safetensors.torch import save_file

    with pytest.raises(BadCall, match="are for 24 action units, not for the 20"):
        load_pyfeat(tiny(n_au=24), "cpu", "float32")
    for name, settings, why in (
        ("a", None, "safetensors metadata missing 'config'"),
        ("b", {"config": "{}"}, r"checkpoint mismatch: \d+ missing, 1 unexpected"),
        ("c", {"config": '{"backbone": "nothing"}'}, r"Unknown model \(nothing\)"),
        ("d", {"config": "{"}, "Expecting property name"),
    ):
        path = tmp_path / f"{name}.safetensors"
        save_file({"a": torch.zeros(1)}, path, metadata=settings)
        with pytest.raises(BadCall, match=f"are not those of py-feat's Detectorv2: .*{why}"):
            load_pyfeat(path, "cpu", "float32")
