"""Where a recipe's utterances come from: a corpus on disk, or the demo made on the spot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..cache.corpus import Corpus
from ..cache.errors import BadCorpus, BadRecipe, unknown
from ..extract.corpora import KINDS, read_corpus

#: Kind of the corpus that is made where it does not exist.
DEMO = "demo"


@dataclass(frozen=True)
class CorpusSpec:
    """Kind, place and options of a corpus, as a recipe gives them.

    Args:
        root: folder or file; relative to the current folder.
        kind: which reader; empty: told from what lies there.
        options: what the reader takes beside.
    """

    root: str = ""
    kind: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_mapping(cls, source: Any) -> CorpusSpec:
        """Read the ``corpus`` entry of a recipe.

        Raises:
            BadRecipe: it is not a mapping.
            UnknownName: no reader has this kind.
        """
        if not isinstance(source, dict):
            raise BadRecipe(f"must map 'root' (and 'kind') to values, got {source!r}")
        rest = dict(source)
        kind, root = str(rest.pop("kind", "")), str(rest.pop("root", ""))
        if kind and kind not in (*KINDS, DEMO):
            raise unknown("kind of corpus", kind, [*KINDS, DEMO])
        return cls(root, kind, rest)

    def open(self, progress: Callable[[int, int], None] | None = None) -> Corpus:
        """Read the corpus; the demo is made first where it does not stand yet.

        Args:
            progress: called with (clips made, clips in all) while the demo is made.

        Raises:
            BadCorpus: no root is given, nothing is there, or nothing tells its kind.
        """
        if self.kind == DEMO:
            from .demo import make_demo

            return make_demo(Path(self.root or DEMO), progress=progress, **self.options)
        if not self.root:
            raise BadCorpus(
                "no corpus is given. Name one: --corpus FOLDER, or --set corpus.root=FOLDER"
            )
        root = Path(self.root)
        return read_corpus(self.kind or _kind(root), root, **self.options)


def _kind(root: Path) -> str:
    """Tell the reader from what lies at a path."""
    if not root.exists():
        raise BadCorpus(f"no corpus at '{root}': there is no such file or folder")
    if root.is_file():
        return "table"
    if (root / "corpus.parquet").is_file():
        return "affectflow"
    if (root / "label.csv").is_file() or (root / "meta.csv").is_file():
        return "ch-sims"
    raise BadCorpus(
        f"'{root}' holds neither 'label.csv' or 'meta.csv' (CH-SIMS layout) nor 'corpus.parquet'; "
        f"say what it is: --set corpus.kind=KIND, one of {', '.join(sorted(KINDS))}"
    )
