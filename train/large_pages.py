"""Memory on pages of 2 MiB, for what every step goes through from end to end."""

from __future__ import annotations

import mmap
from contextlib import suppress

import torch
from torch import Tensor


def moved(x: Tensor) -> Tensor:
    """The same values, at least one, on large pages where a tensor lies on a CPU that has them.

    A pass over the 36 MB of TFN's weights on MOSI then takes two thirds of the time, Adam's step
    nine tenths: the processor looks up 18 pages in place of 9,000.
    """
    if x.device.type != "cpu" or not hasattr(mmap, "MADV_HUGEPAGE"):  # as outside Linux
        return x.clone()
    pages = mmap.mmap(-1, x.numel() * x.element_size(), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel without large pages: small ones do as well
        pages.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(pages, dtype=x.dtype).view(x.shape).copy_(x)
