import numpy as np
import pytest

from affectflow.train.fit import fit
from affectflow.train.fitted import predict
from affectflow.train.registry import fit_settings
from affectflow.train.seeds import Dropout, Streams

FITS = {
    "lf-dnn": (False, ("M",), {}),
    "tfn": (False, ("M",), {"text_units": 8, "audio_units": 8}),
    "ef-lstm": (True, ("M",), {"layers": 2, "units": 8}),
    "mfn": (True, ("M",), {"text_units": 8, "audio_units": 8}),
    "misa": (False, ("M", "T"), {"units": 16, "dropout": 0.2}),
    "self-mm": (False, ("M",), {"post_dropout": 0.2}),
    "av-mc": (False, ("T", "A", "M"), {}),
    "hybrid-attention": (True, ("M",), {"text_units": 16, "heads": 2, "rnn": "sGRU"}),
    "hybrid-attention-encoder": (True, ("M",), {"encoder_lr": 1e-3}),
    "mag": (True, ("M",), {"units": 16, "heads": 2}),
    "mag-encoder": (True, ("M",), {"encoder_lr": 1e-3}),
    "easum-general": (False, ("M",), {"layers": 1}),
    "easum-specific": (False, ("M",), {"layers": 1}),
    "graph-mfn": (True, ("M",), {"text_units": 8, "audio_units": 8, "node_units": 8}),
}


@pytest.mark.parametrize("name", FITS)
def test_a_seed_learns_the_same_alone_and_in_a_stack_and_predicts_the_same(dataset_of, name):
    aligned, tasks, settings = FITS[name]
    dataset = dataset_of(("text", "audio"), aligned=aligned, missing=(3,), model=name)
    model, training = fit_settings(name, **settings, seeds=[3, 4], epochs=6, batch_size=10)
    both = fit(model, training, dataset, tasks, "sims")
    _, training = fit_settings(name, seeds=[4], epochs=6, batch_size=10)
    alone = fit(model, training, dataset, tasks, "sims")
    stacked, apart = both.meta["seeds"][1], alone.meta["seeds"][0]
    # 24 steps, dropout on, batches whose longest utterances differ
    np.testing.assert_allclose(stacked["train_loss"], apart["train_loss"], rtol=1e-4, atol=1e-5)
    assert len(set(apart["train_loss"])) == 6
    again = predict(both.weights, both.meta, dataset.inputs)
    merged = both.predictions.merge(again, on=["id", "seed", "task"], suffixes=("", "_again"))
    assert len(merged) == len(both.predictions)
    np.testing.assert_allclose(merged["prediction"], merged["prediction_again"], atol=1e-6)


@pytest.mark.parametrize("name", FITS)
def test_mixed_precision_learns_nearly_the_same(dataset_of, name):
    aligned, tasks, settings = FITS[name]
    dataset = dataset_of(("text", "audio"), aligned=aligned, missing=(3,), model=name)
    losses = []
    for precision in ("float32", "bfloat16"):
        model, training = fit_settings(
            name, **settings, seeds=1, epochs=3, batch_size=20, precision=precision
        )
        done = fit(model, training, dataset, tasks, "sims")
        losses.append(done.meta["seeds"][0]["train_loss"])
    np.testing.assert_allclose(*losses, rtol=0.02)
    assert losses[0] != losses[1]


def test_several_seeds_learn_in_mixed_precision_as_one_does(dataset_of):
    """Packed rows, whose dropout is drawn seed by seed, are bfloat16 there."""
    dataset = dataset_of(("text", "audio"), aligned=True, missing=(3,), model="mfn")
    losses = []
    for seeds in (1, 2):
        model, training = fit_settings(
            "mfn", seeds=seeds, epochs=2, batch_size=20, precision="bfloat16"
        )
        losses.append(fit(model, training, dataset, ["M"], "sims").meta["seeds"][0]["train_loss"])
    np.testing.assert_allclose(*losses, rtol=0.02)


@pytest.mark.parametrize("shape", [(2, 6, 4), (2, 3, 5, 4)])
def test_dropout_leaves_the_precision_of_what_it_is_given(shape):
    import torch

    dropout = Dropout(0.5, Streams([0, 1])).train()
    for dtype in (torch.bfloat16, torch.float32, torch.float64):
        assert dropout(torch.ones(shape, dtype=dtype)).dtype == dtype
