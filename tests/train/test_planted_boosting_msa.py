import runpy
from pathlib import Path

PLANTED = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "planted.py"))


def test_a_sum_of_two_modalities_is_blind_to_their_xor_and_their_product_is_not():
    figures = PLANTED["xor"]([1])
    _, (linear,), (tfn,) = figures["planted_xor"]
    assert 0.4 < linear < 0.6
    assert tfn > 0.9


def test_labels_of_single_modalities_help_where_they_contradict_that_of_all():
    _, (alone,), (both,) = PLANTED["conflict"]([1], n=160)["planted_conflict"]
    assert both > alone + 0.2


def test_a_cue_that_comes_later_is_found_by_attention_and_not_by_means():
    _, (mean,), (mult,) = PLANTED["late_cue"]([0])["planted_late_cue"]
    assert mean < 0.6
    assert mult > 0.8
