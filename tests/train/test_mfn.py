import pytest
import torch

from affectflow.train.dataset import InputSpec
from affectflow.train.models.base import Batch
from affectflow.train.models.graph_mfn import FusionGraph
from affectflow.train.registry import model_settings, network_class
from affectflow.train.seeds import Streams


@pytest.mark.parametrize(("n", "networks", "edges"), [(2, 2, 5), (3, 5, 19)])
def test_the_graph_has_a_network_for_each_group_of_modalities_and_one_for_the_result(
    n, networks, edges
):
    graph = FusionGraph(n, 4, 6, Streams((0,)))
    assert len(graph.networks) == networks
    assert sum(len(feeds) for feeds in graph.feeds) == edges
    said, efficacies = graph([torch.randn(1, 5, 4) for _ in range(n)], torch.ones(1, 5).bool())
    assert said.shape == (1, 5, 4)
    assert efficacies.shape == (1, 5, edges)
    assert ((efficacies > 0) & (efficacies < 1)).all()


def test_the_graph_of_two_modalities_is_that_worked_out_by_hand():
    graph = FusionGraph(2, 1, 1, Streams((0,)))
    with torch.no_grad():
        for layer in (graph.efficacy.first, *(network.first for network in graph.networks)):
            layer.weight.fill_(1.0)
            layer.bias.zero_()
        for network in graph.networks:
            network.second.weight.fill_(1.0)
            network.second.bias.zero_()
        graph.efficacy.second.weight.zero_()
        wanted = torch.tensor([0.5, 0.25, 0.2, 0.4, 0.8])
        graph.efficacy.second.bias.copy_(torch.logit(wanted).view(1, 1, 5))
    said, efficacies = graph(
        [torch.tensor([[[3.0]]]), torch.tensor([[[4.0]]])], torch.ones(1, 1).bool()
    )
    torch.testing.assert_close(efficacies[0, 0], wanted)
    pair = 0.5 * 3 + 0.25 * 4  # the vertex of both: 2.5
    assert float(said.detach()) == pytest.approx(0.2 * 3 + 0.4 * 4 + 0.8 * pair)


def test_an_edge_that_is_shut_carries_nothing():
    generator = torch.Generator().manual_seed(0)
    graph = FusionGraph(3, 4, 6, Streams((0,)))
    x = [torch.randn(1, 2, 4, generator=generator) for _ in range(3)]
    with torch.no_grad():
        graph.efficacy.second.weight.zero_()
        graph.efficacy.second.bias.fill_(-1e4)
        said, _ = graph(x, torch.ones(1, 2).bool())
        nothing, _ = graph([torch.zeros(1, 2, 4)] * 3, torch.ones(1, 2).bool())
    torch.testing.assert_close(said, nothing)


def test_groups_are_fed_by_their_parts_alone():
    graph = FusionGraph(3, 2, 2, Streams((0,)))
    #: vertices: t, a, v, ta, tv, av, tav
    assert graph.feeds[:3] == [[0, 1], [0, 2], [1, 2]]
    assert graph.feeds[3] == [0, 1, 2, 3, 4, 5]
    assert graph.feeds[4] == [0, 1, 2, 3, 4, 5, 6]


def attended(net, before, now):
    """MFN: what attention leaves of a row's memories (1, H), and of those before it."""
    window = torch.cat([*before, *now], dim=-1)
    weights = net.attention(window[None], torch.ones(1, 1, dtype=torch.bool))[0].softmax(dim=-1)
    return weights * window


def said_by_the_graph(net, before, now):
    """Graph-MFN: both memories of a modality make its vertex."""
    alone = [
        torch.relu(torch.cat(both, dim=-1) @ enter.weight[0] + enter.bias[0])[None]
        for enter, *both in zip(net.enter, before, now, strict=True)
    ]
    return net.graph(alone, torch.ones(1, 1, dtype=torch.bool))[0][0]


@pytest.mark.parametrize(("name", "fuse"), [("mfn", attended), ("graph-mfn", said_by_the_graph)])
def test_the_memory_is_that_of_the_equations_step_by_step(name, fuse):
    generator = torch.Generator().manual_seed(0)
    model = model_settings(name, text_units=3, audio_units=2, memory_units=4)
    specs = [
        InputSpec("text", "text", 6, "sequence", 50),
        InputSpec("audio", "audio", 4, "sequence", 50),
    ]
    net = network_class(name)(model, specs, ("M",), Streams((0,))).eval()
    values = {s.name: torch.randn(1, 1, 5, s.width, generator=generator) for s in specs}
    mask = torch.ones(1, 1, 5, dtype=torch.bool)
    batch = Batch(values, {"text": mask, "audio": mask}, None)
    cells = [
        torch.nn.LSTMCell(spec.width, lstm.hidden)
        for spec, lstm in zip(specs, net.lstms, strict=True)
    ]
    with torch.no_grad():
        for cell, lstm in zip(cells, net.lstms, strict=True):
            rows = [0, 1, 3, 2]  # torch keeps input, forget, candidate, output
            for mine, its in (
                (lstm.from_input, cell.weight_ih),
                (lstm.from_state, cell.weight_hh),
                (lstm.bias, cell.bias_ih),
            ):
                its.copy_(torch.cat([mine[0].T.chunk(4)[i] for i in rows]).view_as(its))
            cell.bias_hh.zero_()

        def gate(part, said, memory):
            first = said @ part.from_row.weight[0] + part.from_row.bias[0]
            first = torch.relu(first + memory @ part.from_memory[0])
            return torch.sigmoid(first @ part.second.weight[0] + part.second.bias[0])

        states = [(torch.zeros(1, n), torch.zeros(1, n)) for n in (3, 2)]
        memory, one = torch.zeros(1, 4), torch.ones(1, 1, dtype=torch.bool)
        for t in range(batch.values["text"].shape[2]):
            before = [memory for _, memory in states]
            states = [
                cell(batch.values[spec.name][0, :, t], state)
                for cell, spec, state in zip(cells, specs, states, strict=True)
            ]
            said = fuse(net, before, [memory for _, memory in states])
            new = torch.tanh(net.proposal(said[None], one)[0])
            kept = gate(net.keep, said, memory) * memory
            memory = kept + gate(net.write, said, memory) * new
        last = torch.cat([*[h for h, _ in states], memory], dim=-1)
        wanted = net.score(torch.relu(net.hidden(last[None])))
        torch.testing.assert_close(net(batch).predictions, wanted, atol=1e-6, rtol=1e-5)
