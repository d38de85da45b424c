"""A finished run made by hand: real recipe, corpus, checkpoints; features are only promised."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from affectflow.cache import checkpoints
from affectflow.cache.corpus import Corpus
from affectflow.cache.runs import Failure
from affectflow.train.compare import spread
from affectflow.train.metrics import rows_seen, scores
from affectflow.workflows.key_column import KeyColumn
from affectflow.workflows.node_state import NodeState
from affectflow.workflows.nodes import Extract, Fit
from affectflow.workflows.recipe import build
from affectflow.workflows.result import Run

NODES = {
    "text": {"extract": "vader"},
    "audio": {"extract": "librosa-33"},
    "only_t": {"fit": "unimodal", "on": ["text"], "tasks": ["M"], "seeds": 3},
    "only_a": {"fit": "unimodal", "on": ["audio"], "tasks": ["M"], "seeds": 3},
    "sf": {"fit": "sf", "on": ["text", "audio"], "tasks": ["M"], "seeds": 3},
    "pair": {"fit": "fmlmsn-pair", "on": ["text", "audio"], "tasks": ["T", "A", "TA"], "seeds": 1},
    "h_pair": {"encode": "pair"},
    "late": {"fit": "fmlmsn-meta", "on": ["h_pair"], "tasks": ["M"], "seeds": 3},
}
NOISE = {"only_t": 0.5, "only_a": 0.7, "sf": 0.3, "pair": 0.4, "late": 0.35}
SPLITS = ("train", "valid", "test")


def make_corpus(n=60, tasks=("M", "T", "A", "TA"), **about):
    """Labels in steps of 0.2, split 6:2:2, a speaker for each six utterances."""
    rng = np.random.default_rng(0)
    base = rng.uniform(-1, 1, n)
    columns = {
        "id": [f"video_{i // 6:02d}/{i % 6:04d}" for i in range(n)],
        "speaker": [f"speaker_{i // 6}" for i in range(n)],
        "split": [SPLITS[0] if i < 0.6 * n else SPLITS[1 + (i >= 0.8 * n)] for i in range(n)],
        "start": [0.0] * n,
        "end": [3.0] * n,
    }
    for task in tasks:
        noisy = np.clip(base + rng.normal(0, 0.2, n), -1, 1)
        columns[task] = (np.round(noisy * 5) / 5).tolist()
    about = {"name": "toy", "family": "sims", "label_range": (-1, 1)} | about
    return Corpus.from_columns(columns, **about)


def plain(value):
    return float(value) if math.isfinite(value) else None


def make_meta(node, corpus, seed_of_noise):
    """Meta and predictions as ``train.fit`` leaves them."""
    rng = np.random.default_rng(seed_of_noise)
    read = np.isin(corpus.domains, node.corpora or [*corpus.families, ""])
    family = corpus.families[node.corpora[0]] if node.corpora else corpus.family
    tables, seeds, rows = [], [], {split: {} for split in SPLITS}
    for seed in node.training.seeds:
        curve = [1.2 * math.exp(-e / 12) + 0.3 + rng.normal(0, 0.02) for e in range(40 + 3 * seed)]
        valid = [v + 0.05 + 0.002 * e for e, v in enumerate(curve)]
        found = {split: {} for split in SPLITS}
        for split in SPLITS:
            mine = (corpus.splits == split) & read
            for task in node.tasks:
                truth = corpus.labels(task)[mine]
                p = truth + rng.normal(0, NOISE[node.name], len(truth))
                p = np.where(np.isfinite(p), p, 0.1)
                known = np.isfinite(truth)
                rows[split][task] = {"of": len(truth), "labelled": int(known.sum())}
                if known.any():
                    values = scores(family, p[known], truth[known])
                    found[split][task] = {name: plain(v) for name, v in values.items()}
                    rows[split][task] |= rows_seen(family, truth[known])
                ids = np.array(corpus.ids)[mine]
                columns = {"id": ids, "split": split, "seed": seed, "task": task}
                tables.append(pd.DataFrame(columns | {"truth": truth, "prediction": p}))
        best = int(np.argmin(valid)) + 1
        seeds.append(
            {
                "seed": seed,
                "train_loss": curve,
                "valid_loss": valid,
                "valid_metric": valid,
                "best_epoch": best,
                "epochs": len(curve),
                "scores": found,
            }
        )
    masked = {split: dict.fromkeys(node.on, 0) for split in SPLITS}
    masked["test"][node.on[0]] = 1
    meta = {"seeds": seeds, "rows": rows, "masked": masked, "tasks": list(node.tasks)}
    meta["family"] = family
    return meta | {"seconds": 12.25, "threads": 2}, pd.concat(tables, ignore_index=True)


def fail(i, node, corpus, error="NoAudio", message="the file has no audio stream"):
    return Failure(corpus.ids[i], node, "f" * 64, "0" * 32, error, message)


def run_maker(folder):
    """Builds runs: ``make_run(nodes=..., corpus=..., failed={node: {i: Failure}}, name=...)``."""

    def build_run(nodes=NODES, corpus=None, failed=None, trained=True, **about):
        corpus = make_corpus() if corpus is None else corpus
        recipe = build({"name": "toy-recipe", "nodes": nodes} | about, "toy")
        libraries = {"librosa": "0.11.0"}
        store = SimpleNamespace(
            root=folder / "cache", origins=lambda mark: [{"libraries": libraries}]
        )
        run = Run("toy-recipe-0123456789ab", recipe, corpus, store)
        for i, node in enumerate(recipe.workflow):
            mark = f"{i:x}" * 64
            state = NodeState(
                node, (), mark, KeyColumn.of([b"k" * 16] * len(corpus)), np.ones(len(corpus), bool)
            )
            if isinstance(node, Fit):
                state = NodeState(node, (), mark)
                if trained:
                    meta, table = make_meta(node, corpus, i)
                    weights = {"net.w": np.zeros((1, 1), np.float32)}
                    state.checkpoint = checkpoints.publish(store.root, mark, weights, meta, table)
            else:
                state.failed = dict((failed or {}).get(node.name, {}))
                state.cached[list(state.failed)] = False
                run.made[node.name] = state.n_cached
            if isinstance(node, Extract):
                run.seconds[node.name] = 63.4
            run.states[node.name] = state
        return run

    return build_run


@pytest.fixture
def make_run(tmp_path):
    return run_maker(tmp_path)


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory):
    """The run that is built where nothing is said, made once; read it only."""
    return run_maker(tmp_path_factory.mktemp("toy"))()


def means(run, fit, task="M", split="test"):
    """Mean and deviation of each metric, straight from the checkpoint's meta."""
    seeds = run.states[fit].checkpoint.meta["seeds"]
    names = seeds[0]["scores"][split][task]
    found = {}
    for name in names:
        values = [seed["scores"][split][task][name] for seed in seeds]
        found[name] = spread([math.nan if v is None else v for v in values])
    return found


@pytest.fixture(name="means")
def means_fixture():
    return means


@pytest.fixture(name="make_corpus")
def make_corpus_fixture():
    return make_corpus


@pytest.fixture(name="fail")
def fail_fixture():
    return fail
