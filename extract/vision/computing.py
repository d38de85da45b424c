"""How torch computes: with one thread, in whole float32."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread inside.

    The nets are too small to share: more threads are no faster, many times slower on a machine
    that has other work, and round otherwise.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def whole_float32(device: str) -> AbstractContextManager[None]:
    """Convolutions of a GPU in whole float32: by default they round to 10 bits of mantissa."""
    import torch

    if torch.device(device).type != "cuda":
        return nullcontext()
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, deterministic=True, allow_tf32=False
    )
    return flags
