"""MFN and Graph-MFN against a plain loop of cells over time: seconds of a training step.

The plain one does for each row what the papers' code does: an LSTM cell a modality, the attention
or the graph, the proposal, both gates. Random word-aligned rows of MOSI and CH-SIMS, settings
commonly used there; forward and backward, CPU seconds of one thread. Large batches of wide states
are bound by their arithmetic, which both ways share; batches of 8 show what the loop costs.

    OMP_NUM_THREADS=1 python benchmarks/mfn_loop.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from affectflow.train.dataset import InputSpec
from affectflow.train.models.base import Batch
from affectflow.train.registry import model_settings, network_class
from affectflow.train.seeds import Streams

MODALITIES = ("text", "audio", "vision")
MOSI, CH_SIMS = (50, (768, 5, 20)), (39, (768, 33, 709))  # rows, columns
WIDE = {"text_units": 256, "audio_units": 32, "vision_units": 256}
NARROW = {"text_units": 64, "audio_units": 16, "vision_units": 64}
CASES = (
    ("mosi", MOSI, "mfn", 128, WIDE | {"memory_units": 400}),
    ("ch_sims", CH_SIMS, "mfn", 32, {}),
    ("ch_sims", CH_SIMS, "mfn", 8, {}),
    ("mosi", MOSI, "graph-mfn", 32, {"memory_units": 300, "node_units": 64}),
    ("ch_sims", CH_SIMS, "graph-mfn", 64, {}),
    ("ch_sims", CH_SIMS, "graph-mfn", 8, NARROW | {"node_units": 32, "inner_units": 32}),
)


class PlainLoop(nn.Module):
    """The same network, one row after another in Python; ``step`` is its attention or graph."""

    def __init__(self, settings: Any, net: Any, widths: Sequence[int]) -> None:
        super().__init__()
        units = [getattr(settings, f"{m}_units") for m in MODALITIES]
        self.cells = nn.ModuleList(
            nn.LSTMCell(width, n) for width, n in zip(widths, units, strict=True)
        )
        self.net, self.memory = net, settings.memory_units

    def forward(self, rows: Sequence[Tensor]) -> Tensor:
        net, size = self.net, len(rows[0])
        states = [
            (rows[0].new_zeros(size, c.hidden_size), rows[0].new_zeros(size, c.hidden_size))
            for c in self.cells
        ]
        memory = rows[0].new_zeros(1, size, self.memory)
        real = torch.ones(1, size, dtype=torch.bool)
        for t in range(rows[0].shape[1]):
            before = [cell[None] for _, cell in states]
            states = [
                cell(x[:, t], state)
                for cell, x, state in zip(self.cells, rows, states, strict=True)
            ]
            said = net.fuse(before, [cell[None] for _, cell in states], real)
            new = torch.tanh(net.proposal(said, real))
            keep, write = (opened(gate, said, memory) for gate in (net.keep, net.write))
            memory = keep * memory + write * new
        last = torch.cat([*[h[None] for h, _ in states], memory], dim=-1)
        scores: Tensor = net.score(net.drop(torch.relu(net.hidden(last))))
        return scores


def opened(gate: Any, said: Tensor, memory: Tensor) -> Tensor:
    """How far a gate is open at a row (S, B, D) and the memory (S, B, M)."""
    hidden = torch.relu(torch.baddbmm(gate.from_row(said), memory, gate.from_memory))
    return torch.sigmoid(gate.second(gate.drop(hidden)))


def seconds(run: Callable[[], Tensor], rounds: int = 7) -> float:
    """Median CPU seconds of forward and backward, after a warm round."""
    taken = []
    for _ in range(rounds + 1):
        start = time.process_time()
        run().sum().backward()
        taken.append(time.process_time() - start)
    return statistics.median(taken[1:])


def main() -> None:
    torch.set_num_threads(1)
    for corpus, (n_rows, widths), name, size, given in CASES:
        settings = model_settings(name, **given)
        columns = dict(zip(MODALITIES, widths, strict=True))
        specs = [InputSpec(m, m, width, "sequence", n_rows) for m, width in columns.items()]
        net = network_class(name)(settings, specs, ("M",), Streams((0,))).train()
        rows = {m: torch.randn(1, size, n_rows, width) for m, width in columns.items()}
        real = torch.ones(1, size, n_rows, dtype=torch.bool)
        batch = Batch(rows, dict.fromkeys(rows, real), None)
        plain = PlainLoop(settings, net, widths)
        fast = seconds(lambda: net(batch).predictions)  # noqa: B023
        slow = seconds(lambda: plain([x[0] for x in rows.values()]))  # noqa: B023
        label = f"{name}_{corpus}_{size}"
        print(f"figure {label}_step = {fast:.4f} s")
        print(f"figure {label}_plain = {slow:.4f} s")
        print(f"figure {label}_times = {slow / fast:.2f}")


if __name__ == "__main__":
    main()
