"""The short version of ``benchmarks/cache_bitflips.py``."""

import collections
import runpy
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "cache_bitflips.py"


def test_every_flipped_bit_is_found_and_none_is_read_back_as_wrong_numbers():
    counts = runpy.run_path(str(BENCHMARK))["flip_bits"](60, seed=1)
    total = sum(counts.values(), collections.Counter())
    assert total == {"raised": 60}
    assert all(sum(count.values()) for name, count in counts.items() if name != "regular")
