import pytest
import torch

from affectflow.train.models.shared_memory import Gate, remember
from affectflow.train.packing import Packing
from affectflow.train.seeds import Streams

REAL = torch.arange(5) < torch.tensor([[5, 2, 0, 3], [1, 4, 5, 5]]).unsqueeze(-1)
PACKING = Packing(REAL)


def given(dropout):
    generator = torch.Generator().manual_seed(0)
    rows, proposed = (torch.randn(2, 4, 5, n, generator=generator) for n in (3, 6))
    streams = Streams((0, 1))
    gates = torch.nn.ModuleList(Gate(3, 6, 7, p, streams) for p in dropout).train()
    return rows.requires_grad_(), proposed.requires_grad_(), gates


def ours(keep, write, rows, proposed):
    memories = remember(keep, write, PACKING.pack(rows), PACKING.pack(proposed), PACKING)
    return PACKING.last(memories, REAL)


def plain(keep, write, rows, proposed):
    """Zadeh et al. (2018), eq. 7-9, a row after another."""
    n_read = REAL.cumsum(dim=2)
    factors = [
        PACKING.after(gate.kept(PACKING.pack(rows), PACKING.real), n_read) for gate in (keep, write)
    ]
    memory = torch.zeros(2, 4, 6)
    for t in range(5):
        opened = [
            torch.sigmoid(
                gate.second(
                    torch.relu(gate.from_row(rows[:, :, t]) + memory @ gate.from_memory)
                    * factor[:, :, t]
                )
            )
            for gate, factor in zip((keep, write), factors, strict=True)
        ]
        changed = opened[0] * memory + opened[1] * proposed[:, :, t]
        memory = torch.where(REAL[:, :, t, None], changed, memory)
    return memory


@pytest.mark.parametrize("dropout", [(0.0, 0.0), (0.5, 0.2), (0.0, 0.5)])
def test_memory_and_gradients_are_those_of_the_formulas(dropout):
    ways = []
    for run in (plain, ours):
        rows, proposed, gates = given(dropout)  # the same draws again
        memory = run(*gates, rows, proposed)
        (memory * torch.arange(6)).sum().backward()
        ways.append([memory, rows.grad, proposed.grad, *[p.grad for p in gates.parameters()]])
    for expected, found in zip(*ways, strict=True):
        assert expected.any()
        torch.testing.assert_close(found, expected)


def test_without_a_real_row_nothing_is_remembered():
    rows, proposed, gates = given((0.0, 0.0))
    nothing = Packing(torch.zeros_like(REAL))
    made = remember(*gates, nothing.pack(rows), nothing.pack(proposed), nothing)
    assert not nothing.last(made, torch.zeros_like(REAL)).any()
