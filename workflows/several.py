"""Several reporters that hear of one run: a terminal, a log, the file that ``status`` reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .result import Reporter


class Several(Reporter):
    """Passes on to each of several reporters what it hears.

    Args:
        reporters: in order.
    """

    def __init__(self, *reporters: Reporter) -> None:
        self._reporters = reporters

    def start(self, stage: str, total: int) -> None:
        """A stage begins."""
        for one in self._reporters:
            one.start(stage, total)

    def advance(self, stage: str, done: int, failed: int = 0) -> None:
        """A stage goes on."""
        for one in self._reporters:
            one.advance(stage, done, failed)

    def working(self, node: str, words: str) -> None:
        """How a node stands."""
        for one in self._reporters:
            one.working(node, words)

    def note(self, text: str) -> None:
        """A line for people."""
        for one in self._reporters:
            one.note(text)

    def event(self, name: str, facts: Mapping[str, Any]) -> None:
        """What happened."""
        for one in self._reporters:
            one.event(name, facts)
