"""Graph-MFN: MFN whose memories meet in a graph with a vertex for each subset of modalities."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn

from ..seeds import Linear, Streams
from .mfn import MfnNet, Perceptron


class GraphMfnNet(MfnNet):
    """MFN with the dynamic fusion graph in place of the attention over two rows' memories.

    A modality's memories before and after a row go through a linear layer and ReLU to
    ``node_units`` columns, and then into the graph. As in MFN, only the shared memory needs a loop
    over time.

    Source:
        Zadeh et al. (2018), "Multimodal Language Analysis in the Wild: CMU-MOSEI Dataset and
        Interpretable Dynamic Fusion Graph", ACL, section 4. The paper's gates see the graph's
        output alone, ours the shared memory too, as in MFN and the published code. That code
        keeps the vertices' networks in a plain dictionary, where no optimiser finds them, gives
        them no nonlinearity, and its efficacies no bounds; the paper's lie in [0, 1]. Defaults:
        those commonly used on CH-SIMS.
    """

    def build_fusion(self, settings: Any, widths: Sequence[int], streams: Streams) -> int:
        """The way into the graph, and the graph."""
        node: int = settings.node_units
        self.enter = nn.ModuleList(Linear(2 * width, node, streams) for width in widths)
        self.graph = FusionGraph(len(widths), node, settings.inner_units, streams)
        return node

    def fuse(self, before: Sequence[Tensor], now: Sequence[Tensor], real: Tensor) -> Tensor:
        """Map memories (S, P, H) of each modality to what the graph says (S, P, node)."""
        alone = [
            torch.relu(enter(torch.cat(both, dim=-1)))
            for enter, *both in zip(self.enter, before, now, strict=True)
        ]
        said: Tensor = self.graph(alone, real)[0]
        return said


class FusionGraph(nn.Module):
    """Dynamic fusion graph: a vertex for each subset of modalities, fed by those of its subsets.

    A vertex of several modalities is a network on the vertices of its proper subsets side by side;
    one more network on all vertices says the result. Each edge scales what it carries by its
    efficacy in (0, 1), which a network makes of the single modalities. Three modalities have 4 + 1
    such networks and 19 edges, two have 1 + 1 and 5.

    Args:
        n: how many modalities.
        width: columns of every vertex and of the result.
        inner: hidden layer of every network; its width in the published code is 100.
        streams: random numbers of the seeds.

    Source:
        Zadeh et al. (2018), section 4.1.
    """

    def __init__(self, n: int, width: int, inner: int, streams: Streams) -> None:
        super().__init__()
        subsets = [s for size in range(1, n + 1) for s in combinations(range(n), size)]
        #: Of each network, the numbers of the vertices that feed it; the result's is the last.
        self.feeds = [
            [i for i, other in enumerate(subsets) if set(other) < set(subset)]
            for subset in subsets[n:]
        ] + [list(range(len(subsets)))]
        self.networks = nn.ModuleList(
            Perceptron(len(feeds) * width, inner, width, 0.0, streams) for feeds in self.feeds
        )
        n_edges = sum(len(feeds) for feeds in self.feeds)
        self.efficacy = Perceptron(n * width, inner, n_edges, 0.0, streams)

    def forward(self, alone: Sequence[Tensor], real: Tensor) -> tuple[Tensor, Tensor]:
        """Map each modality's vertex (S, P, width) to the result, and the edges' efficacies.

        Returns:
            (S, P, width), and (S, P, edges) in the order of ``feeds``.
        """
        efficacies = torch.sigmoid(self.efficacy(torch.cat(list(alone), dim=-1), real))
        edges = efficacies.split([len(feeds) for feeds in self.feeds], dim=-1)
        vertices = list(alone)
        for network, feeds, own in zip(self.networks, self.feeds, edges, strict=True):
            fed = torch.stack([vertices[i] for i in feeds], dim=-2) * own.unsqueeze(-1)
            vertices.append(network(fed.flatten(-2), real))
        return vertices[-1], efficacies
