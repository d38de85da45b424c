"""MFN, memory fusion network: an LSTM a modality, attention over their memories, a gated memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..seeds import Dropout, Linear, Lstm, Streams
from .aligned import aligned_rows
from .base import Batch, Model, Output


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

    def fuse(self, before: Sequence[Tensor], now: Sequence[Tensor]) -> Tensor:
        """Map memories (S, B, T, H) of each modality, before and after each row, to what they say.

        Returns:
            (S, B, T, columns).
        """
        window = torch.cat([*before, *now], dim=-1)  # (S, B, T, twice the sum of H)
        said: Tensor = self.attention(window).softmax(dim=-1) * window
        return said

    def forward(self, batch: Batch) -> Output:
        """Scores (S, B, K) and the layer before them (S, B, post_units)."""
        rows, masks, real = aligned_rows(batch, self.inputs)
        lstms = cast(Sequence[Lstm], self.lstms)
        heard = [lstm.memories(x, mask) for lstm, x, mask in zip(lstms, rows, masks, strict=True)]
        now = [memories for _, memories in heard]
        before = [functional.pad(memories[:, :, :-1], (0, 0, 1, 0)) for memories in now]
        said = self.fuse(before, now)
        memory = self._remember(said, torch.tanh(self.proposal(said)), real)
        last = torch.cat([*[state for state, _ in heard], memory], dim=-1)
        hidden = self.drop(torch.relu(self.hidden(last)))
        return Output(self.score(hidden), hidden)

    def _remember(self, said: Tensor, proposed: Tensor, real: Tensor) -> Tensor:
        """The shared memory (S, B, M) after the last row; of rows (S, B, T, ...), ``real`` ones."""
        memory = proposed.new_zeros(*proposed.shape[:2], self.memory)
        keeps, writes = self.keep.of_rows(said), self.write.of_rows(said)
        steps = zip(keeps, writes, *(x.unbind(2) for x in (proposed, real)), strict=True)
        for keep, write, new, is_real in steps:
            kept = self.keep(*keep, memory) * memory
            changed = kept + self.write(*write, memory) * new
            memory = torch.where(is_real.unsqueeze(-1), changed, memory)
        return memory


class Perceptron(nn.Module):
    """Two linear layers, ReLU and dropout between."""

    def __init__(self, n_in: int, units: int, n_out: int, dropout: float, streams: Streams) -> None:
        super().__init__()
        self.first = Linear(n_in, units, streams)
        self.drop = Dropout(dropout, streams)
        self.second = Linear(units, n_out, streams)

    def forward(self, x: Tensor) -> Tensor:
        """Map (S, ..., n_in) to (S, ..., n_out)."""
        done: Tensor = self.second(self.drop(torch.relu(self.first(x))))
        return done


class Gate(nn.Module):
    """How far, in (0, 1), each cell of the memory follows: two layers on a row and the memory."""

    def __init__(
        self, n_in: int, memory: int, units: int, dropout: float, streams: Streams
    ) -> None:
        super().__init__()
        self.from_row = Linear(n_in, units, streams)
        self.from_memory = nn.Parameter(streams.uniform((memory, units), (n_in + memory) ** -0.5))
        self.drop = Dropout(dropout, streams)
        self.second = Linear(units, memory, streams)

    def of_rows(self, rows: Tensor) -> list[tuple[Tensor, Tensor | None]]:
        """What needs no loop: of each row, its share (S, B, units) of the first layer, dropout."""
        share = self.from_row(rows)  # (S, B, T, units)
        kept = self.drop.kept(share).unbind(2) if self.drop.active else [None] * share.shape[2]
        return list(zip(share.unbind(2), kept, strict=True))

    def forward(self, share: Tensor, kept: Tensor | None, memory: Tensor) -> Tensor:
        """Map what ``of_rows`` gives of a row, and the memory (S, B, M), to (S, B, M)."""
        first = torch.relu(torch.baddbmm(share, memory, self.from_memory))
        return torch.sigmoid(self.second(first if kept is None else first * kept))
