"""What is known of one node on one corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..cache.checkpoints import Checkpoint
from ..cache.records import Array
from ..cache.runs import Failure
from ..cache.statistics import Statistic
from .key_column import KeyColumn
from .nodes import Fit, Node, Reduce


@dataclass(eq=False)
class NodeState:
    """What is known of one node on one corpus.

    Args:
        node: the node.
        waits_for: nodes that must be done, and labels that must be there, before its fingerprint is
            known; empty: it is known.
        fingerprint: of the node; empty while unknown.
        keys: of each utterance; None where the utterance cannot have this feature, or where nobody
            needs it.
        cached: (n,) bool, the utterance's features are stored.
        failed: utterance number -> what stands in the way.
        checkpoint: of a fit that is done.
        why: why something is to be made again; empty where nothing is.
        statistics: of a fit, input name -> statistic of the training split that it uses; None
            where that is still to be made.
        basis: of a reduction whose components are fitted; until then its fingerprint is theirs.
    """

    node: Node
    waits_for: tuple[str, ...] = ()
    fingerprint: str = ""
    keys: KeyColumn = field(default_factory=lambda: KeyColumn.of(()))
    cached: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    failed: dict[int, Failure] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None
    why: str = ""
    statistics: Mapping[str, Statistic | None] = field(default_factory=dict)
    basis: Checkpoint | None = None

    @property
    def left(self) -> Array:
        """Numbers of the utterances whose features are to be made, (m,) int, in order.

        Utterances that give a node the same share one feature: the first of them stands for it.
        """
        open_ = self.keys.there & ~self.cached if len(self.keys) else self.cached
        rows = np.flatnonzero(open_)
        if self.failed:
            rows = rows[~np.isin(rows, np.fromiter(self.failed, np.int64, len(self.failed)))]
        return self.keys.first(rows)

    @property
    def todo(self) -> list[int]:
        """Utterances whose features are to be made; [0] for a fit, or components, to be made."""
        if isinstance(self.node, Fit):
            return [] if self.checkpoint else [0]
        if isinstance(self.node, Reduce) and self.basis is None:
            return [0]
        found: list[int] = self.left.tolist()
        return found

    @property
    def done(self) -> bool:
        """Nothing of it is left to make (what failed, failed)."""
        return not self.waits_for and not self.todo

    @property
    def n(self) -> int:
        """Utterances whose features are needed (``needs``), whether they can be made or not."""
        return int(self.keys.there.sum()) + sum(not self.keys.there[i] for i in self.failed)

    @property
    def n_cached(self) -> int:
        """Utterances whose features are stored; for a fit, 1 if it is done."""
        if isinstance(self.node, Fit):
            return int(self.checkpoint is not None)
        return int(self.cached.sum())


def first_of_twins(states: Sequence[NodeState]) -> list[NodeState]:
    """Those of a level's nodes with something to do that are to be done now.

    Two nodes with the same settings on the same inputs make the same: what the first one makes,
    the second then finds made. So it waits, and so does what reads it.

    Args:
        states: in the order of their nodes.
    """
    now: list[NodeState] = []
    times = Counter(state.fingerprint for state in states)
    made: dict[str, set[bytes | None]] = {}  # fingerprint -> keys; of a fit, which has none: None
    waiting: set[str] = set()
    for state in states:
        twin = times[state.fingerprint] > 1  # keys of others are no concern of anybody's
        own = {state.keys[i] if state.keys else None for i in state.todo} if twin else set()
        there = made.setdefault(state.fingerprint, set())
        if own & there or waiting.intersection(state.node.inputs):
            waiting.add(state.node.name)
        else:
            there |= own
            now.append(state)
    return now
