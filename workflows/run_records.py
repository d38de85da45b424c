"""Records of earlier runs: the latest one of each, with the fits that are still there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from ..cache import checkpoints, runs
from ..cache.errors import BadCall
from ..train.settings.base import LETTERS
from .fit_view import FitView
from .pooled import collected
from .recording import PREFIX


@dataclass(frozen=True)
class Origin:
    """A corpus that a run read.

    Args:
        part: what the recipe calls it, where it is one of several; else empty.
        name: what it is called itself; empty: it has no name.
        root: folder or file that it was read from; empty: unknown.
    """

    part: str
    name: str
    root: str


@dataclass(frozen=True, eq=False)
class RunRecord:
    """The latest record of a run.

    Args:
        root: folder of the store.
        id: name of the run.
        name: of the record, ``run-`` and the time in ns.
        content: recipe, corpus, nodes, code; see ``recording``.
    """

    root: Path
    id: str
    name: str
    content: Mapping[str, Any]

    @property
    def recipe(self) -> str:
        """Name of the recipe."""
        return str(self.content["recipe"].get("name", self.id))

    @property
    def corpus(self) -> str:
        """Name of the corpus; empty where the record is too old to say."""
        return str(self.content.get("corpus_name", ""))

    @property
    def digest(self) -> str:
        """Of the corpus' table: the same name may stand for two corpora, the same digest not."""
        return str(self.content["corpus"])

    @property
    def parts(self) -> frozenset[str]:
        """Names of the corpora that were joined, which stand before the ids; else none."""
        told = self.content.get("parts", self.content.get("corpora", {}))
        return frozenset(told) - {""}

    def learned_from(self, fit: FitView) -> list[Origin]:
        """The corpora that a fit learns from; one whose root is empty where the record is old."""
        told = self.content.get("corpora", {})
        origins = [Origin(name, **told[name]) for name in fit.corpora or ("",) if name in told]
        return origins or [Origin("", self.corpus, "")]

    @cached_property
    def nodes(self) -> Mapping[str, Mapping[str, Any]]:
        """Nodes by name, in the recipe's order; empty where the record is too old to say."""
        found = self.content.get("nodes", {})
        return dict(sorted(found.items(), key=lambda item: item[1]["place"]))

    @property
    def path(self) -> Path:
        """Where the record lies."""
        return self.root / "runs" / self.id / f"{self.name}.json"

    @property
    def time(self) -> datetime:
        """When it was written."""
        return datetime.fromtimestamp(int(self.name.removeprefix(PREFIX)) // 10**9, UTC)

    def upstream(self, node: str, predicting: bool = False) -> dict[str, Mapping[str, Any]]:
        """All nodes that a node is made from, in the order in which they run.

        Args:
            node: its name.
            predicting: without those that fits need only to be trained.
        """
        wanted: set[str] = set()
        todo = self._before(node, predicting)
        while todo:
            name = todo.pop()
            if name not in wanted and name in self.nodes:
                wanted.add(name)
                todo.extend(self._before(name, predicting))
        return {name: node for name, node in self.nodes.items() if name in wanted}

    def _before(self, node: str, predicting: bool) -> list[str]:
        own = self.nodes[node]
        return list(own["reads"] if predicting and "reads" in own else own["on"])

    @cached_property
    def fits(self) -> dict[str, FitView]:
        """Fits that are done and whose checkpoints are still there, by name; folds as one."""
        fits = self._trained
        n_folds = {node["of"]: node["fold"][1] for node in self.nodes.values() if "fold" in node}
        named = ((self.nodes[name].get("of", name), fit) for name, fit in fits.items())
        return {fit.name: fit for fit in collected(named, n_folds)}

    @cached_property
    def _trained(self) -> dict[str, FitView]:
        """As ``fits``, each fold's for itself."""
        found = {}
        for name, node in self.nodes.items():
            if node["kind"] != "fit" or "digest" not in node:
                continue
            checkpoint = checkpoints.load(self.root, node["fingerprint"])
            if checkpoint is not None and checkpoint.digest == node["digest"]:
                tasks = tuple(checkpoint.meta["tasks"])
                corpora = tuple(node.get("corpora", ()))
                found[name] = FitView(
                    name, node["what"], self._letters(name), tasks, checkpoint, corpora
                )
        return found

    @property
    def gone(self) -> list[str]:
        """Fits that were done, and whose checkpoints are no longer there."""
        return [n for n, node in self.nodes.items() if "digest" in node and n not in self._trained]

    def _letters(self, fit: str) -> str:
        read = {node.get("modality") for node in self.upstream(fit, predicting=True).values()}
        return "".join(letter for modality, letter in LETTERS.items() if modality in read)


def store_folders(folder: Path) -> list[Path]:
    """Stores at or below a folder that hold runs; what lies inside a store is not searched."""
    found = []
    for path, names, _ in os.walk(folder):
        if "runs" in names and any((Path(path) / "runs").glob(f"[!.]*/{PREFIX}*.json")):
            found.append(Path(path))
            names.clear()
    return sorted(found)


def read_runs(folder: Path) -> list[RunRecord]:
    """The latest record of each run at or below a folder, oldest first.

    Raises:
        BadCall: there is none.
        Damaged: a record cannot be read.
    """
    found = [
        record
        for root in store_folders(folder)
        for name in runs.run_names(root)
        if (record := read_run(root, name)) is not None
    ]
    if not found:
        raise BadCall(
            f"there is no record of a run in '{folder}': name the folder that 'affectflow run' "
            "filled (its --cache), or one above it"
        )
    return sorted(found, key=lambda record: record.name)


def read_run(root: Path, name: str) -> RunRecord | None:
    """The latest record of a run, or None."""
    records = runs.read_records(root, name, PREFIX)
    return RunRecord(root, name, max(records), records[max(records)]) if records else None
