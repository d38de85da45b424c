"""Of which utterances the features of a node are needed, where a recipe runs on several corpora."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..cache.corpus import Corpus
from ..cache.records import Array
from .graph import Workflow
from .learning import chosen_of
from .nodes import Extract, Fit, Node, Reduce


def needed_of(workflow: Workflow, corpus: Corpus) -> Mapping[str, Array]:
    """Node -> (n,) bool: the utterances that some fit learns from by way of it.

    All of them where no fit reads the node, not even through others: it is wanted for itself. So
    the recogniser whose transcripts only the fit on an unlabelled corpus reads is not run on the
    other corpora of the recipe. A reduction needs all: its components are of the whole training
    split, whoever reads them. An extract that is of some corpora alone is needed of no others, nor
    is what it reads, or what reads it.
    """
    nodes = [*workflow, *([workflow.awaited] if workflow.awaited else [])]
    reads = {node.name: _reads(node) for node in nodes}
    found = {name: np.zeros(len(corpus), bool) for name in reads}
    read = {name for names in reads.values() for name in names}
    for node in reversed(nodes):  # whoever reads a node stands behind it
        if isinstance(node, Fit):
            own = chosen_of(node, corpus)
        elif node.name in read and not isinstance(node, Reduce):
            own = found[node.name]
        else:
            own = np.ones(len(corpus), bool)
        found[node.name] = own
        if isinstance(node, Extract):
            own = found[node.name] = own & chosen_of(node, corpus)
        for name in reads[node.name]:
            found[name] = found[name] | own
    for node in nodes:  # whatever reads a node stands behind it
        if isinstance(node, Extract):
            for name in node.inputs:
                found[node.name] = found[node.name] & found[name]
    return found


def _reads(node: Node) -> tuple[str, ...]:
    """The nodes whose features, utterance by utterance, one reads."""
    return tuple(name for name in node.inputs if name not in _checkpoints(node))


def _checkpoints(node: Node) -> tuple[str, ...]:
    """Fits whose weights a node takes: not what they make of an utterance."""
    return (node.start,) if isinstance(node, Fit) else (getattr(node, "of", ""),)
