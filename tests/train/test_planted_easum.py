import runpy
from pathlib import Path

PLANTED = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "planted.py"))


def test_moment_matching_draws_corpora_together_and_carries_over_to_another_one():
    figures = PLANTED["moments"]([2])
    for without, having in zip(*figures["planted_moments_distance"][1:], strict=True):
        assert having < 0.8 * without
    for without, having in zip(*figures["planted_moments_transfer"][1:], strict=True):
        assert without < 0.6 < 0.7 < having
