"""One line each in a notebook: cached features of a corpus by extractor, without a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..cache.corpus import Corpus
from ..cache.keys import fingerprint
from ..cache.store import FeatureStore
from ..extract.base import Extractor
from ..extract.registry import extractor, provider
from .graph import Workflow
from .nodes import Extract
from .plan import Board


@dataclass(frozen=True, eq=False)
class NodeRef:
    """An extractor with what it is made from: enough to find its features in a store.

    Args:
        workflow: the extractor's node and those it reads.
        name: of the node.
    """

    workflow: Workflow
    name: str

    @property
    def fingerprint(self) -> str:
        """Digest of the extractor's settings, weights and inputs."""
        node = self.workflow[self.name]
        assert isinstance(node, Extract)  # made by ``node`` below
        return fingerprint(self.workflow.description(node))

    def keys(self, store: FeatureStore, corpus: Corpus) -> Sequence[bytes | None]:
        """Key of each utterance's features; None where it cannot have them."""
        board = Board(self.workflow, corpus, store, {})
        return [state.keys for state in board.look_all()][-1]


def node(name: str | Extractor, **settings: Any) -> NodeRef:
    """An extractor as a node: ``store.table(corpus, af.node("mtcnn-face", rate=5))``.

    What it reads of other extractors comes from the default one of that role.

    Raises:
        UnknownName: no extractor has this name, or it has no such setting.
    """
    made = name if isinstance(name, Extractor) else extractor(name, **settings)
    nodes: list[Extract] = []
    _add(made, nodes)
    return NodeRef(Workflow(made.name, nodes), made.name)


def _add(made: Extractor, nodes: list[Extract]) -> None:
    on = {role: provider(role).name for role in made.needs.features}
    for name in on.values():
        if name not in [n.name for n in nodes]:
            _add(extractor(name), nodes)
    nodes.append(Extract(made.name, made, on))
