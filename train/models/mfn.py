"""MFN, memory fusion network: an LSTM a modality, attention over their memories, a gated memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from ..lstm import Lstm
from ..packing import Packing
from ..seeds import Dropout, Linear, Streams
from .aligned import aligned
from .base import Batch, Model, Output
from .shared_memory import Gate, remember


class MfnNet(Model):
    """What the LSTMs' memories become from one row to the next drives a memory they share.

    Only the shared memory needs a loop over time: the LSTMs do not hear it, so their memories, the
    attention over them and the proposals are computed for all rows at once.

    A row that is masked in one modality leaves that one's LSTM as it is; one that is masked in all
    leaves the shared memory as it is.

    Source:
        Zadeh et al. (2018), "Memory Fusion Network for Multi-view Sequential Learning", AAAI,
        arXiv:1802.00927, eq. 1-9, window of two rows. Defaults: those commonly used on CH-SIMS.
    """

    #: Four loops over time: five seeds of CH-SIMS' settings in one stack took 0.7 of the time of
    #: five in a row (``benchmarks/baselines.py mfn``).
    stack_more: ClassVar[int] = 3

    def build(self, settings: Any, streams: Streams) -> None:
        """LSTMs, what their memories say, gated memory, read-out."""
        self.memory = settings.memory_units
        widths = [getattr(settings, f"{spec.modality}_units") for spec in self.inputs]
        self.lstms = nn.ModuleList(
            Lstm(spec.width, width, streams)
            for spec, width in zip(self.inputs, widths, strict=True)
        )
        said = self.build_fusion(settings, widths, streams)
        self.proposal = Perceptron(
            said, settings.proposal_units, self.memory, settings.proposal_dropout, streams
        )
        self.keep = Gate(said, self.memory, settings.gate_units, settings.keep_dropout, streams)
        self.write = Gate(said, self.memory, settings.gate_units, settings.write_dropout, streams)
        self.hidden = Linear(sum(widths) + self.memory, settings.post_units, streams)
        self.drop = Dropout(settings.post_dropout, streams)
        self.score = Linear(settings.post_units, sum(self.sizes), streams)

    def build_fusion(self, settings: Any, widths: Sequence[int], streams: Streams) -> int:
        """Layers that ``fuse`` uses, on memories of these widths; how many columns it gives."""
        window = 2 * sum(widths)
        self.attention = Perceptron(
            window, settings.attention_units, window, settings.attention_dropout, streams
        )
        return window

    def fuse(self, before: Sequence[Tensor], now: Sequence[Tensor], real: Tensor) -> Tensor:
        """What the memories (S, P, H) of each modality say, before and after each packed row.

        Returns:
            (S, P, columns).
        """
        window = torch.cat([*before, *now], dim=-1)  # (S, P, twice the sum of H)
        said: Tensor = self.attention(window, real).softmax(dim=-1) * window
        return said

    def forward(self, batch: Batch) -> Output:
        """Scores (S, B, K) and the layer before them (S, B, post_units)."""
        rows, masks, real = aligned(batch, self.inputs)
        packing = Packing(real)
        states, now = [], []
        for lstm, x, mask in zip(cast(Sequence[Lstm], self.lstms), rows, masks, strict=True):
            own = packing if torch.equal(mask, real) else Packing(mask)
            state, memory = lstm.packed(own.pack(x), own)
            states.append(own.last(state, mask))
            if own is not packing:  # what it remembers while only the others have rows
                memory = packing.pack(own.after(memory, mask.cumsum(dim=2)))
            now.append(memory)
        said = self.fuse([packing.before(x) for x in now], now, packing.real)
        proposed = torch.tanh(self.proposal(said, packing.real))
        memory = remember(self.keep, self.write, said, proposed, packing)
        last = torch.cat([*states, packing.last(memory, real)], dim=-1)
        hidden = self.drop(torch.relu(self.hidden(last)))
        return Output(self.score(hidden), hidden)


class Perceptron(nn.Module):
    """Two linear layers, ReLU and dropout between."""

    def __init__(self, n_in: int, units: int, n_out: int, dropout: float, streams: Streams) -> None:
        super().__init__()
        self.first = Linear(n_in, units, streams)
        self.drop = Dropout(dropout, streams)
        self.second = Linear(units, n_out, streams)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """Map packed rows (S, P, n_in), of which ``real`` (S, P) are real, to (S, P, n_out)."""
        done: Tensor = self.second(self.drop(torch.relu(self.first(x)), real))
        return done
