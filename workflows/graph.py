"""A paper as a graph of nodes, checked when it is made; nothing is run here.

What an extract's output was made from is its description; the description's digest is its
fingerprint.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ..cache.digests import default_memory, digest_weights
from ..cache.errors import BadCall, BadRecipe, unknown
from ..cache.keys import fingerprint, settings_of
from ..cache.records import FeatureSpec
from ..extract.base import TRANSCRIPT, Extractor
from ..extract.cut import CUTS, check_cut, is_cut
from .descriptions import decoding_of
from .graph_checks import check_inputs, check_order, said_of
from .nodes import CONTENTS, STREAM_CONTENT, Encode, Extract, Fit, Node, Reduce


class Workflow:
    """Nodes in an order in which each stands after what it reads.

    Args:
        name: the recipe's name.
        nodes: in order.
        about: lines for people: paper, note.

    Raises:
        BadRecipe: two nodes share a name, a node reads one that is unknown, stands after it, or
            cannot fill the role; a cycle is printed as its path.
    """

    def __init__(self, name: str, nodes: Sequence[Node], about: Mapping[str, str] | None = None):
        self.name = name
        self.about = dict(about or {})
        self.nodes = {node.name: node for node in nodes}
        #: A fit that will read this graph and does not stand in it; see ``before``.
        self.awaited: Fit | None = None
        if len(self.nodes) != len(nodes):
            twice = sorted({n.name for n in nodes if sum(m.name == n.name for m in nodes) > 1})
            raise BadRecipe(f"workflow '{name}': two nodes are called {', '.join(twice)}")
        check_order(self)
        for node in nodes:
            check_inputs(self, node)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    def __getitem__(self, name: str) -> Node:
        if name not in self.nodes:
            whose = f" of workflow '{self.name}'" if self.name else ""
            raise unknown(f"node{whose}", name, self.nodes)
        return self.nodes[name]

    @property
    def extracts(self) -> tuple[Extract, ...]:
        """The extract nodes, in order."""
        return tuple(node for node in self if isinstance(node, Extract))

    @property
    def fits(self) -> tuple[Fit, ...]:
        """The fit nodes, in order."""
        return tuple(node for node in self if isinstance(node, Fit))

    def upto(self, targets: Sequence[str], predicting: bool = False) -> Workflow:
        """The part of the graph that the target nodes need, themselves included.

        Args:
            targets: names of nodes.
            predicting: to predict with them alone: what fits need to be trained is left out.
        """
        nodes = {
            node.name: node.predicting() if predicting and isinstance(node, Fit) else node
            for node in self
        }
        wanted: set[str] = set()
        todo = [self[name].name for name in targets]
        while todo:
            name = todo.pop()
            if name not in wanted:
                wanted.add(name)
                todo.extend(nodes[name].inputs)
        kept = [node for node in nodes.values() if node.name in wanted]
        return Workflow(self.name, kept, self.about)

    def before(self, fit: Fit) -> Workflow:
        """The part of the graph that a fit needs, without itself: others will train it."""
        part = self.upto(fit.inputs)
        part.awaited = fit
        return part

    def streams(self, node: Extract) -> tuple[str, ...]:
        """Which of audio, frames, text, name an extract reads, its upstream nodes included."""
        found = set(node.extractor.needs.streams)
        if TRANSCRIPT in node.on:  # it reads what that node heard, not the corpus' text
            found.discard("text")
        for name in node.inputs:
            upstream = self[name]
            assert isinstance(upstream, Extract)  # checked when the workflow was made
            found.update(self.streams(upstream))
        return tuple(stream for stream in STREAM_CONTENT if stream in found)

    def group(self, node: Extract) -> tuple[str, ...]:
        """Which extracts it runs with: those of the same streams, on one decode of each clip.

        Nodes that look at pictures run together whether they hear the sound too or not: decoding
        pictures again costs more than anything that parting them could save. Those that go
        through whole files are apart, for their utterances are parted by file.
        """
        streams = self.streams(node)
        beside = ("name", "audio") if "frames" in streams else ("name",)
        kept = tuple(stream for stream in streams if stream not in beside)
        return (*kept, "files") if node.extractor.whole_files else kept

    def spec(self, node: Extract) -> FeatureSpec:
        """The named arrays that an extract promises, upstream nodes considered.

        Raises:
            BadCall: a file that says how many columns there are cannot be read; the node is named.
        """
        inputs = {role: self.spec(self[name]) for role, name in node.on.items()}  # type: ignore[arg-type]
        with said_of(node):
            return node.extractor.spec_on(inputs)

    def modality(self, name: str) -> str:
        """What a fusion model takes a node's features for, upstream nodes considered."""
        node = self[name]
        if isinstance(node, Reduce):
            return self.modality(node.on[0])
        if isinstance(node, Encode):
            return node.modality_on({self.modality(read) for read in node.on})
        if isinstance(node, Fit):
            return node.modality
        return node.extractor.modality_on(
            {role: self.modality(upstream) for role, upstream in node.on.items()}
        )

    def encoder(self, fit: Fit, name: str) -> Extractor | None:
        """The extractor of an input of a fit that trains the layers above what it stores.

        None of an input that is only read.

        Raises:
            BadCall: the fit is to train such layers, and there are none.
        """
        modality, node = self.modality(name), self[name]
        if modality not in fit.settings.encoder:
            return None
        made = node.extractor if isinstance(node, Extract) else None
        if not fit.settings.every_encoder and not (made and is_cut(made)):
            return None
        wanted = CUTS[modality][0]
        if made is None or made.name != wanted:
            level = "level: token and " if modality == "text" else ""
            raise BadCall(
                f"model '{fit.model}' trains the layers above those whose states are cached: "
                f"'{name}' must be an {wanted} node with {level}a layer, not {node.what}"
            )
        try:
            check_cut(made)
        except BadCall as error:
            raise BadCall(f"model '{fit.model}' on '{name}': {error}") from error
        return made

    def contents(self, node: Extract) -> tuple[str, ...]:
        """Which of media, text and name enter the keys of an extract's features."""
        wanted = {STREAM_CONTENT[stream] for stream in self.streams(node)}
        return tuple(content for content in CONTENTS if content in wanted)

    def level(self, node: Node) -> int:
        """Nodes of one level need nothing of each other, except for extracts of one stream group.

        Those run together, clip by clip; see ``group``.
        """
        return self._levels[node.name]

    @cached_property
    def _levels(self) -> dict[str, int]:
        levels: dict[str, int] = {}
        group: dict[tuple[str, ...], int] = {}
        for node in self:
            level = 0
            for name in node.inputs:
                same = (
                    isinstance(node, Extract)
                    and isinstance(upstream := self[name], Extract)
                    and self.group(upstream) == self.group(node)
                )
                level = max(level, levels[name] + (0 if same else 1))
            if isinstance(node, Extract):
                together = self.group(node)
                level = group[together] = max(level, group.get(together, 0))
            levels[node.name] = level
        return levels

    def description(self, node: Extract) -> dict[str, Any]:
        """What an extract's output is made from; its digest is the fingerprint.

        Raises:
            BadCall: its weights are not there, or cannot be read; the node is named.
        """
        if node.name not in self._descriptions:
            with said_of(node):
                weights = {
                    name: digest_weights(source, default_memory())
                    if isinstance(source, Path)
                    else source
                    for name, source in node.extractor.weights().items()
                }
            self._descriptions[node.name] = {
                "kind": "extract",
                "name": node.extractor.name,
                "version": node.extractor.version,
                "settings": settings_of(node.extractor),
                **decoding_of(node.extractor.needs),
                "weights": weights,
                "inputs": {
                    role: fingerprint(self.description(self[name]))  # type: ignore[arg-type]
                    for role, name in sorted(node.on.items())
                },
            }
        return self._descriptions[node.name]

    @cached_property
    def _descriptions(self) -> dict[str, dict[str, Any]]:
        return {}
