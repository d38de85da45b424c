"""The LSTM of all models: a stack of seeds, no padding.

Shapes: S seeds, B utterances, T rows of a sequence, P rows of the packing, D columns, H hidden.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .lstm_scan import Scan
from .packing import Packing
from .rows import Rows, padded
from .seeds import Streams

#: What our way takes in products of torch's kernel: so many for the calls of a time step, and so
#: much for each product. The kernel computes padding too and is called seed by seed; in 144 cases
#: the quicker of both as this tells them apart took 1.01 times the quickest, ours alone 1.06 times,
#: the slower one 2.0 times (``benchmarks/lstm.py --grid``).
STEP, PRODUCT = 40_000, 0.9


def kernel_is_quicker(mask: Tensor, n_in: int, hidden: int) -> bool:
    """Whether torch's kernel is the quicker way on a CPU: of rows as in ``mask`` (S, B, T)."""
    a_row = hidden * (n_in + hidden)  # products, times 8
    ours = STEP * mask.shape[2] + PRODUCT * int(mask.sum()) * a_row
    return mask.numel() * a_row < ours


class Lstm(nn.Module):
    """One-layer LSTM.

    Masked rows, whether inside a sequence or after it, leave the state as it is, so the result
    does not depend on padding.

    Source:
        Hochreiter and Schmidhuber (1997); gates and first weights as in ``torch.nn.LSTM``, with
        one bias instead of two that are only ever added.
    """

    def __init__(self, n_in: int, hidden: int, streams: Streams) -> None:
        super().__init__()
        bound = 1 / math.sqrt(hidden)
        self.hidden = hidden
        # columns: input, forget and output gate, then the candidate, H each
        self.from_input = nn.Parameter(streams.uniform((n_in, 4 * hidden), bound))
        self.from_state = nn.Parameter(streams.uniform((hidden, 4 * hidden), bound))
        self.bias = nn.Parameter(streams.uniform((1, 4 * hidden), bound))

    def forward(self, x: Tensor | Rows, mask: Tensor) -> Tensor:
        """Map rows (S, B, T, D) and mask (S, B, T) to the last state (S, B, H)."""
        return self._after(x, mask, mask.sum(dim=2, keepdim=True)).squeeze(2)

    def rows(self, x: Tensor | Rows, mask: Tensor) -> Tensor:
        """Map rows (S, B, T, D) and mask (S, B, T) to the state after each row, (S, B, T, H)."""
        return self._after(x, mask, mask.cumsum(dim=2))

    def packed(self, x: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
        """States and memory cells (S, P, H) after each row of a packing, (S, P, D)."""
        from_input, from_state, bias = self._stacked()
        gates = torch.baddbmm(bias, x, from_input)
        with torch.autocast(x.device.type, enabled=False):
            found: tuple[Tensor, Tensor] = Scan.apply(
                gates.to(from_state.dtype), from_state, packing
            )
        return found

    def _after(self, x: Tensor | Rows, mask: Tensor, n_read: Tensor) -> Tensor:
        """The states (S, B, N, H) after so many real rows each, ``n_read`` (S, B, N)."""
        here = mask.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
        if here and kernel_is_quicker(mask, self.from_input.shape[-2], self.hidden):
            return self._by_kernel(padded(x), mask, n_read)
        packing = Packing(mask)
        states, _ = self.packed(packing.pack(x), packing)
        return packing.after(states, n_read)

    def _by_kernel(self, x: Tensor, mask: Tensor, n_read: Tensor) -> Tensor:
        if (mask[..., 1:] & ~mask[..., :-1]).any():  # real rows to the front
            order = mask.to(torch.uint8).argsort(dim=2, descending=True, stable=True)
            x = x.gather(2, order.unsqueeze(-1).expand_as(x))
        start, grad = x.new_zeros(1, x.shape[1], self.hidden), torch.is_grad_enabled()
        made = []
        for rows, *weights in zip(x, *self._stacked(), strict=True):
            parts = [torch.cat([w.chunk(4, -1)[i] for i in (0, 1, 3, 2)], -1).T for w in weights]
            bias = parts[2].reshape(-1)
            given = [parts[0], parts[1], bias, torch.zeros_like(bias)]
            found = torch.lstm(rows, (start, start), given, True, 1, 0.0, grad, False, True)
            made.append(found[0])
        index = (n_read - 1).clamp(min=0).unsqueeze(-1).expand(-1, -1, -1, self.hidden)
        return torch.stack(made).gather(2, index) * (n_read > 0).unsqueeze(-1)

    def _stacked(self) -> tuple[Tensor, Tensor, Tensor]:
        """Weights (S, n_in, 4 H), (S, H, 4 H) and bias (S, 1, 4 H)."""
        return self.from_input, self.from_state, self.bias
