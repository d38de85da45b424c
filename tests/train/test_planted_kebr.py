import runpy
from pathlib import Path

PLANTED = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "planted.py"))


def test_the_cosine_constraint_keeps_a_modality_that_another_one_drowns():
    figures = PLANTED["balance"]([3])
    for without, having in zip(*figures["planted_balance_share"][1:], strict=True):
        assert having > without + 0.1
    for without, having in zip(*figures["planted_balance_cosine"][1:], strict=True):
        assert having > without + 0.1
