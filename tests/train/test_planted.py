"""Mechanisms of the papers on corpora made up so that they must help: one seed or a few of each."""

import runpy
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def planted():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        return runpy.run_path(str(BENCHMARKS / "planted.py"))["MECHANISMS"]


def test_a_sum_of_two_modalities_is_blind_to_their_xor_and_their_product_is_not(planted):
    figures = planted["xor"]([1])
    _, (linear,), (tfn,) = figures["planted_xor"]
    assert 0.4 < linear < 0.6
    assert tfn > 0.9


def test_labels_of_single_modalities_help_where_they_contradict_that_of_all(planted):
    _, (alone,), (both,) = planted["conflict"]([1], n=160)["planted_conflict"]
    assert both > alone + 0.2


def test_a_cue_that_comes_later_is_found_by_attention_and_not_by_means(planted):
    _, (mean,), (mult,) = planted["late_cue"]([0])["planted_late_cue"]
    assert mean < 0.6
    assert mult > 0.8


def test_moment_matching_draws_corpora_together_and_carries_over_to_another_one(planted):
    figures = planted["moments"]([2], n=120)
    _, (without,), (having,) = figures["planted_moments_distance"]
    assert having < 0.8 * without
    _, (without,), (having,) = figures["planted_moments_transfer"]
    assert without < 0.6 < 0.7 < having


def test_the_cosine_constraint_keeps_a_modality_that_another_one_drowns(planted):
    figures = planted["balance"]([3], n=400)
    for name in ("planted_balance_share", "planted_balance_cosine"):
        _, (without,), (having,) = figures[name]
        assert having > without + 0.1


def test_a_loss_on_shifts_keeps_the_noise_of_one_modality_out_of_another(planted):
    """On the mean of three seeds: single ones gain between nothing and two fifths."""
    _, without, having = planted["shift"]([0, 1, 2])["planted_shift_distance"]
    assert np.mean(having) < np.mean(without)
