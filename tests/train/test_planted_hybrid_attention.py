import runpy
from pathlib import Path

PLANTED = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "planted.py"))


def test_a_loss_on_shifts_keeps_the_noise_of_one_modality_out_of_another():
    _, without, having = PLANTED["shift"]([3])["planted_shift_distance"]
    assert having[0] < 0.9 * without[0]
