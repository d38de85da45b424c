import pytest
import torch

from affectflow.train.gru import Gru
from affectflow.train.models.time_reader import TimeReader
from affectflow.train.seeds import Streams

LENGTHS = torch.tensor([[7, 1, 4, 0], [3, 7, 2, 5]])
FULL = torch.ones(2, 4, 7, dtype=torch.bool)
RAGGED = torch.arange(7) < LENGTHS.unsqueeze(-1)
HOLES = RAGGED & torch.tensor([True, True, False, True, False, False, True])
MASKS = {"full": FULL, "ragged": RAGGED, "holes": HOLES, "none": torch.zeros_like(FULL)}
KINDS = ["sLSTM", "bLSTM", "sGRU", "bGRU"]


def of_torch(ours, seed):
    """torch's GRU with the weights of one seed."""
    theirs = torch.nn.GRU(3, 5, batch_first=True)
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(ours.from_input[seed].T)
        theirs.weight_hh_l0.copy_(ours.from_state[seed].T)
        theirs.bias_ih_l0.copy_(ours.bias[seed, 0])
        theirs.bias_hh_l0.zero_()
        theirs.bias_hh_l0[10:].copy_(ours.state_bias[seed, 0])
    return theirs


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_is_torchs_on_the_real_rows_of_each_utterance(mask):
    x = torch.randn(2, 4, 7, 3, generator=torch.Generator().manual_seed(0))
    ours = Gru(3, 5, Streams((0, 1)))
    rows = ours.rows(x, mask)
    assert rows.shape == (2, 4, 7, 5)
    for seed in range(2):
        theirs = of_torch(ours, seed)
        for n in range(4):
            real = mask[seed, n]
            states = theirs(x[seed, n, real].unsqueeze(0))[0][0] if real.any() else x[0, 0, :0, :0]
            start = torch.zeros(1, 5)
            wanted = torch.cat([start, states.view(-1, 5)])[real.cumsum(0)]
            torch.testing.assert_close(rows[seed, n], wanted)


@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_says_the_same_whatever_padding_follows(kind):
    x = torch.randn(2, 4, 7, 3, generator=torch.Generator().manual_seed(1))
    reader = TimeReader(kind, 3, 5, Streams((0, 1)))
    rows = reader(x, HOLES)
    assert rows.shape == (2, 4, 7, reader.width)
    short = reader(x[:, 2:3, :4], HOLES[:, 2:3, :4])  # 4 rows of the first seed, 2 of the second
    for seed, length in enumerate((4, 2)):
        torch.testing.assert_close(short[seed, 0, :length], rows[seed, 2, :length])
    x[0, 2, 4:] = 9.0
    torch.testing.assert_close(reader(x, HOLES)[0, 2, :4], rows[0, 2, :4])


@pytest.mark.parametrize("kind", KINDS)
def test_only_readers_both_ways_know_what_comes_later(kind):
    x = torch.randn(1, 1, 7, 3, generator=torch.Generator().manual_seed(2))
    mask = torch.ones(1, 1, 7, dtype=torch.bool)
    reader = TimeReader(kind, 3, 5, Streams((0,)))
    before = reader(x, mask)
    x[..., -1, :] += 1
    after = reader(x, mask)
    assert not torch.allclose(before[..., -1, :5], after[..., -1, :5])
    torch.testing.assert_close(before[..., 0, :5], after[..., 0, :5])
    assert reader.width == (10 if kind[0] == "b" else 5)
    if kind[0] == "b":
        assert (before[..., 0, 5:] - after[..., 0, 5:]).abs().min() > 1e-4
