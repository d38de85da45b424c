import subprocess
import sys

import pytest

COUNT = """
import ctypes, resource, sys, torch
from affectflow.train.freed_memory import freed_memory_kept
if not hasattr(ctypes.CDLL(None), "mallopt"):
    sys.exit(3)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        held = [torch.ones(1 << 20) for _ in range(8)]  # 32 MiB in eight pieces
        del held
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.set_num_threads(1)
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

with freed_memory_kept():
    faults()
    kept = faults()
    within = resident()
after = resident()
print(kept, within - after)
"""


def test_freed_memory_is_kept_within_and_given_back_after():
    """A page that is handed out anew is a fault: of 20 rounds of 8192 pages there are few."""
    done = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True)
    if done.returncode == 3:
        pytest.skip("the C library has no mallopt")
    assert done.returncode == 0, done.stderr
    faults, given_back = map(int, done.stdout.split())
    assert faults < 8192
    assert given_back > 16 << 20
