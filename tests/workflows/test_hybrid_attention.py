"""The recipe hybrid_attention from clips to scores, with tiny random networks."""

import numpy as np
import pytest

from affectflow.cache.errors import BadCall
from affectflow.workflows.demo import make_demo
from affectflow.workflows.recipe import load_recipe
from affectflow.workflows.report.inside import look_inside
from affectflow.workflows.run import run

pytestmark = pytest.mark.slow

#: What of the recipe is made smaller; on a real corpus only its place and the weights are given.
SMALL = [
    "faces.rate=2",
    "hybrid.epochs=2",
    "hybrid.seeds=2",
    "hybrid.audio_units=4",
    "hybrid.vision_units=3",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory, three_clips, save_text_model):
    """A folder with one text model of each kind."""
    folder = tmp_path_factory.mktemp("place")
    for kind in ("bert", "xlnet"):
        save_text_model(folder / kind, kind, [u.text for u in make_demo(three_clips, n=3)], 3)
    return folder


@pytest.fixture
def go(place, three_clips, ctc_folder):
    """Run the recipe, with variants and settings, in this process."""

    def go(variants=(), text="bert", words=None):
        given = [f"text.model={place / text}", words or f"words.model={ctc_folder()}"]
        made = load_recipe("hybrid_attention", [*given, *SMALL], three_clips, variants)
        return run(made, place / "cache", scheduler="sync")

    return go


def test_from_clips_to_scores_with_only_the_layers_above_trained(go):
    first = go()
    assert not first.errors
    assert first.made == {
        **dict.fromkeys(("text", "words", "sound", "faces", "sight", "audio", "vision"), 3),
        "hybrid": 1,
    }
    checkpoint = first.states["hybrid"].checkpoint
    weights, meta = checkpoint.weights(), checkpoint.meta
    assert np.isfinite(checkpoint.predictions()["prediction"]).all()
    # of three layers the one above layer 2 is trained, one copy a seed; nothing else is kept
    assert {name.split(".layer.")[1][0] for name in weights if ".layer." in name} == {"0"}
    assert not any("embeddings" in name for name in weights)
    assert {len(value) for name, value in weights.items() if name.startswith("net.")} == {2}
    # Fig. 6, 8 and 9 of the paper
    (inside,) = look_inside(first)
    names = [f"text looks at text, by {name} (MBA)" for name in ("audio", "vision")]
    assert [found.name for found in inside.maps] == ["text looks at text", *names]
    assert inside.maps[0].layer == "trained layer 1 of 1"
    n_tokens = len(first.table("text")[list(first.corpus.ids).index(inside.utterance)])
    assert {found.weights.shape for found in inside.maps} == {(n_tokens, n_tokens)}
    assert len(meta["seeds"][1]["watched"]["F1"]) == 2
    assert go().made == {}


@pytest.mark.parametrize(
    ("variants", "text", "made"),
    [
        (["frozen"], "bert", {"text": 3, "audio": 3, "vision": 3, "hybrid": 1}),
        (["xlnet", "bgru"], "xlnet", {"text": 3, "audio": 3, "vision": 3, "hybrid": 1}),
        (["only_t"], "bert", {"hybrid": 1}),
        (["layer_1", "swapped"], "bert", {"text": 3, "audio": 3, "vision": 3, "hybrid": 1}),
    ],
)
def test_variants_take_what_the_paper_s_default_left_in_the_cache(go, variants, text, made):
    go()
    done = go(variants, text=text)
    assert not done.errors
    assert done.made == made
    scores = done.states["hybrid"].checkpoint.meta["summary"]["test"]["M"]
    assert np.isfinite(scores["MAE"]["mean"])


def test_missing_word_times_say_which_node_lacks_them_and_what_would_make_them(go, tmp_path):
    times = tmp_path / "times"
    mend = "'word-times' makes them from sound and transcript"
    with pytest.raises(BadCall, match=f"node 'words': .* no file or folder .*times.*{mend}"):
        go(["word_files"], words=f"words.path={times}")
    times.mkdir()
    with pytest.raises(BadCall, match=f"node 'words': .* no file of word times .*{mend}"):
        go(["word_files"], words=f"words.path={times}")
    (times / "other.csv").write_text("word,start,end\nhello,0.1,0.2\n")
    done = go(["word_files"], words=f"words.path={times}")
    failed = {failure.node: failure.message for failure in done.failures}
    assert "has no word times: nothing is called 'video_" in failed["words"]
    assert failed["words"].endswith(mend)
    assert set(done.errors) == {"hybrid"}
    said = "'hybrid' cannot learn from 'audio': it could not be made for any of 3 utterances"
    assert said in str(done.errors["hybrid"])
