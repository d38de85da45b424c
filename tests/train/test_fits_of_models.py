import numpy as np
import pytest

from affectflow.train.fit import fit
from affectflow.train.fitted import predict
from affectflow.train.registry import fit_settings

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
