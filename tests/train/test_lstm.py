import numpy as np
import pytest
import torch

from affectflow.train import lstm_cpu, lstm_scan
from affectflow.train.lstm import Lstm, kernel_is_quicker
from affectflow.train.packing import Packing
from affectflow.train.seeds import Streams

LENGTHS = torch.tensor([[7, 1, 4, 0], [3, 7, 2, 5]])
FULL = torch.ones(2, 4, 7, dtype=torch.bool)
RAGGED = torch.arange(7) < LENGTHS.unsqueeze(-1)
HOLES = FULL & torch.tensor([True, True, False, True, False, False, True])
MASKS = {"full": FULL, "ragged": RAGGED, "holes": HOLES & RAGGED, "late": RAGGED.flip(2)}


@pytest.fixture(params=[False, True], ids=["ours", "kernel"], autouse=True)
def way(request, monkeypatch):
    """Both ways of the LSTM: ours, and torch's kernel."""
    monkeypatch.setattr("affectflow.train.lstm.kernel_is_quicker", lambda *_: request.param)


def rows_and_lstm(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 4, 7, 3, generator=generator, dtype=dtype)
    return x, Lstm(3, 5, Streams((0, 1))).to(dtype)


def of_torch(ours, seed):
    """torch's LSTM with the weights of one seed."""
    theirs = torch.nn.LSTM(3, 5, batch_first=True)
    with torch.no_grad():
        for mine, its in (
            (ours.from_input, theirs.weight_ih_l0),
            (ours.from_state, theirs.weight_hh_l0),
            (ours.bias, theirs.bias_ih_l0),
        ):  # torch keeps input, forget, candidate, output
            parts = [mine[seed].T.chunk(4)[i] for i in (0, 1, 3, 2)]
            its.copy_(torch.cat(parts).view_as(its))
        theirs.bias_hh_l0.zero_()
    return theirs


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_is_torchs_on_the_real_rows_of_each_utterance(mask):
    x, ours = rows_and_lstm()
    last, rows = ours(x, mask), ours.rows(x, mask)
    packing = Packing(mask)
    memories = packing.last(ours.packed(packing.pack(x), packing)[1], mask)
    for seed in range(2):
        theirs = of_torch(ours, seed)
        for n in range(4):
            real = mask[seed, n]
            if not real.any():
                assert not last[seed, n].any()
                assert not rows[seed, n].any()
                continue
            states, (state, cell) = theirs(x[seed, n, real].unsqueeze(0))
            torch.testing.assert_close(last[seed, n], state[0, 0])
            torch.testing.assert_close(rows[seed, n, real], states[0])
            torch.testing.assert_close(memories[seed, n], cell[0, 0])
            after = real.cumsum(0)  # a masked row leaves the state as it was
            expected = torch.cat([torch.zeros(1, 5), states[0]])[after]
            torch.testing.assert_close(rows[seed, n], expected)


class Everything(torch.nn.Module):
    """All that an LSTM says."""

    def __init__(self, lstm):
        super().__init__()
        self.lstm = lstm

    def forward(self, x, mask):
        packing = Packing(mask)
        states, memories = self.lstm.packed(packing.pack(x), packing)
        after = packing.after(memories, mask.cumsum(dim=2))
        return packing.last(states, mask), after, self.lstm(x, mask), self.lstm.rows(x, mask)


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_gradients_are_those_of_small_differences(mask):
    x, lstm = rows_and_lstm(torch.double)
    net = Everything(lstm)
    names, weights = zip(*net.named_parameters(), strict=True)

    def run(x, *weights):
        given = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(net, given, (x * mask.unsqueeze(-1), mask))

    assert torch.autograd.gradcheck(run, (x.requires_grad_(), *weights), fast_mode=True)


def test_gradients_are_torchs():
    x, ours = rows_and_lstm()
    ours(x, FULL).square().sum().backward()
    theirs = of_torch(ours, 1)
    theirs(x[1])[1][0].square().sum().backward()
    gradient = torch.cat([theirs.weight_ih_l0.grad.T.chunk(4, 1)[i] for i in (0, 1, 3, 2)], 1)
    torch.testing.assert_close(ours.from_input.grad[1], gradient)


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_compiled_steps_are_those_of_torchs_calls(mask, monkeypatch):
    def found(way):
        monkeypatch.setattr(lstm_scan, "compiled", lambda _: way)
        x, lstm = rows_and_lstm()
        made = Everything(lstm)(5 * x.requires_grad_(), mask)
        torch.autograd.backward(made, [part.detach().cos() for part in made])
        return *made, x.grad, *(p.grad for p in lstm.parameters())

    torch.testing.assert_close(found(True), found(False), atol=5e-6, rtol=1e-5)


def test_compiled_tanh_is_tanh_and_what_is_no_number_stays_none():
    x = np.linspace(-12, 12, 100_001, dtype=np.float32)
    squashed = np.array([lstm_cpu.tanh(value) for value in x])
    assert np.abs(squashed - np.tanh(x.astype(np.float64))).max() < 4e-7
    assert np.abs(lstm_cpu.tanh(np.float32(np.inf)) - 1) < 4e-7
    assert np.isnan(lstm_cpu.tanh(np.float32(np.nan)))


def test_a_row_that_is_no_number_makes_its_states_none(way):
    x, lstm = rows_and_lstm()
    x[0, 1, 2, 0] = torch.nan
    states = lstm.rows(x, FULL)
    assert states[0, 1, 2:].isnan().all()
    assert states.isnan().sum() == 5 * 5


def test_nothing_real_gives_zeros():
    x, lstm = rows_and_lstm()
    nothing = torch.zeros_like(FULL)
    assert lstm(x, nothing).shape == (2, 4, 5)
    assert not lstm(x, nothing).any()
    assert not lstm.rows(x, nothing).any()


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_packed_rows_are_the_real_ones_step_by_step(mask):
    number = torch.arange(2 * 4 * 7).view(2, 4, 7, 1)
    packing = Packing(mask)
    packed = packing.pack(number)
    for seed in range(2):
        real = [
            rows[m].flatten().tolist() for rows, m in zip(number[seed], mask[seed], strict=True)
        ]
        longest_first = sorted(real, key=len, reverse=True)
        expected = [rows[t] for t in range(7) for rows in longest_first if t < len(rows)]
        assert packed[seed, packing.real[seed]].flatten().tolist() == expected
    after = packing.after(packed, mask.cumsum(dim=2)).squeeze(-1)
    assert torch.equal(after[mask], number.squeeze(-1)[mask])
    before = packing.before(packing.pack(mask.cumsum(dim=2).unsqueeze(-1)))
    assert torch.equal(
        before[packing.real], (packing.pack(mask.cumsum(dim=2).unsqueeze(-1)) - 1)[packing.real]
    )


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_time_steps_lie_in_one_piece(mask):
    packing = Packing(mask)
    packed = packing.pack(torch.arange(2 * 4 * 7).view(2, 4, 7, 1))
    flat = packing.flat(packed)
    assert torch.equal(packing.stacked(flat), packed)
    steps = packing.steps(flat)
    assert all(step.is_contiguous() for step in steps)
    assert torch.equal(torch.cat(steps, dim=1), packed)


def test_as_many_sequences_are_carried_on_as_a_seed_has():
    packing = Packing(RAGGED)
    assert packing.sizes == [4, 4, 3, 2, 2, 1, 1]  # of 3, 2, 2, 2, 1, 1, 1 and 4, 4, 3, 2, 2, 1, 1


@pytest.mark.parametrize(
    ("n", "rows", "n_in", "hidden", "real", "quicker"),
    [
        (32, 50, 33, 16, 1.0, True),  # calls are all that a step costs
        (128, 50, 793, 128, 0.25, False),  # arithmetic is, and three quarters of it padding
        (8, 50, 128, 128, 1.0, True),
        (8, 50, 793, 256, 1.0, False),
    ],
)
def test_kernel_is_chosen_where_calls_cost_more_than_padding(n, rows, n_in, hidden, real, quicker):
    mask = (torch.arange(rows) < rows * real).expand(1, n, rows)
    assert kernel_is_quicker(mask, n_in, hidden) is quicker


def test_slopes_of_the_scan_cannot_be_differentiated_again():
    """Rather than silently as if they were constants."""
    x, lstm = rows_and_lstm()
    packing = Packing(FULL)
    states, _ = lstm.packed(packing.pack(x), packing)
    (slope,) = torch.autograd.grad(states.square().sum(), lstm.from_state, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


def test_packing_of_no_utterances():
    packing = Packing(torch.ones(2, 0, 7, dtype=torch.bool))
    assert packing.sizes == []
    assert packing.pack(torch.ones(2, 0, 7, 3)).shape == (2, 0, 3)
