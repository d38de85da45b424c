import pytest
import torch

from affectflow.cache.errors import BadCall
from affectflow.train.models.adaptation import AdaptationGate
from affectflow.train.registry import model_settings
from affectflow.train.seeds import Streams


def gate_of(width, others, largest=1.0):
    """A gate that is open by the sum of the columns and maps by the sum of the columns."""
    gate = AdaptationGate(width, others, largest, 0.0, Streams((0,)))
    with torch.no_grad():
        for layer in (*gate.gates, *gate.shifts):
            layer.weight.fill_(1.0)
            layer.bias.zero_()
    return gate


def rows(*values):
    return torch.tensor(values).view(1, 1, 1, -1)


ON, OFF = torch.ones(1, 1, 1, dtype=torch.bool), torch.zeros(1, 1, 1, dtype=torch.bool)


def test_a_shift_is_that_worked_out_by_hand():
    gate = gate_of(2, [1, 2], largest=0.1)
    # gates: 3 + 4 + 1 = 8 and 3 + 4 - 2 = 5; shifts: 1 and -2; H = 8 * 1 + 5 * -2 = -2 in both
    shift = gate.shift(rows(3.0, 4.0), [rows(1.0), rows(-1.0, -1.0)], [ON, ON])
    scale = 5 / 8**0.5 * 0.1  # |Z| = 5, |H| = sqrt(8)
    torch.testing.assert_close(shift.flatten(), torch.tensor([-2.0, -2.0]) * scale)
    gate.largest = 10.0  # short enough: all of it is added
    whole = gate.shift(rows(3.0, 4.0), [rows(1.0), rows(-1.0, -1.0)], [ON, ON])
    torch.testing.assert_close(whole.flatten(), torch.tensor([-2.0, -2.0]))


def test_no_shift_is_longer_than_its_text_allows():
    generator = torch.Generator().manual_seed(0)
    text, sound = (torch.randn(2, 3, 4, n, generator=generator) for n in (6, 5))
    gate = AdaptationGate(6, [5], 0.25, 0.0, Streams((0, 1)))
    shift = gate.shift(text, [100 * sound], [torch.ones(2, 3, 4, dtype=torch.bool)])
    longest = (shift.norm(dim=-1) / text.norm(dim=-1)).max()
    assert float(longest.detach()) == pytest.approx(0.25, rel=1e-4)


def test_masked_modalities_and_shut_gates_shift_nothing():
    gate = gate_of(2, [1])
    text = rows(3.0, 4.0)
    for others, masks in (([rows(1.0)], [OFF]), ([rows(-9.0)], [ON])):  # 3 + 4 - 9 < 0
        shift = gate.shift(text, others, masks)
        assert shift.flatten().tolist() == [0, 0]
        shift.sum().backward()
        assert all(torch.isfinite(p.grad).all() for p in gate.gates.parameters())
    torch.testing.assert_close(gate(text, [rows(1.0)], [OFF]), gate.normal(text))


def test_mag_says_what_it_needs():
    with pytest.raises(BadCall, match=r"'mag' shifts text, .* a \(audio\), v \(vision\)"):
        model_settings("mag").check({"a": "audio", "v": "vision"}, ["M"])
    with pytest.raises(BadCall, match="'largest_shift' of 'mag' must be greater than 0"):
        model_settings("mag", largest_shift=0)
    with pytest.raises(BadCall, match="'units' of 'mag' must be a multiple of 'heads'"):
        model_settings("mag", units=100)
