import pytest
import torch

from affectflow.train.models.graph_mfn import FusionGraph
from affectflow.train.seeds import Streams


@pytest.mark.parametrize(("n", "networks", "edges"), [(2, 2, 5), (3, 5, 19)])
def test_the_graph_has_a_network_for_each_group_of_modalities_and_one_for_the_result(
    n, networks, edges
):
    graph = FusionGraph(n, 4, 6, Streams((0,)))
    assert len(graph.networks) == networks
    assert sum(len(feeds) for feeds in graph.feeds) == edges
    said, efficacies = graph([torch.randn(1, 5, 4) for _ in range(n)])
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
    said, efficacies = graph([torch.tensor([[[3.0]]]), torch.tensor([[[4.0]]])])
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
        said, _ = graph(x)
        nothing, _ = graph([torch.zeros(1, 2, 4)] * 3)
    torch.testing.assert_close(said, nothing)


def test_groups_are_fed_by_their_parts_alone():
    graph = FusionGraph(3, 2, 2, Streams((0,)))
    #: vertices: t, a, v, ta, tv, av, tav
    assert graph.feeds[:3] == [[0, 1], [0, 2], [1, 2]]
    assert graph.feeds[3] == [0, 1, 2, 3, 4, 5]
    assert graph.feeds[4] == [0, 1, 2, 3, 4, 5, 6]
