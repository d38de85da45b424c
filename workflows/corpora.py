"""Where a recipe's utterances come from: a corpus on disk, or the demo made on the spot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..cache.corpus import Corpus
from ..cache.corpus_columns import TASKS
from ..cache.corpus_file import is_ours
from ..cache.errors import BadCall, BadCorpus, BadRecipe, unknown
from ..cache.folds import Folds
from ..cache.joined import NAME, joined
from ..cache.labels import CLASSES
from ..extract.corpora import KINDS, kind_at, read_corpus

#: Kind of the corpus that is made where it does not exist.
DEMO = "demo"
#: What several corpora that are to be one stand under.
SEVERAL = "several"
#: The corpus' own splits.
OFFICIAL = Folds("official")


@dataclass(frozen=True)
class CorpusSpec:
    """Kind, place and options of a corpus, or of several, as a recipe gives them.

    Args:
        root: folder or file; relative to the current folder.
        kind: which reader; empty: told from what lies there.
        options: what the reader takes beside.
        without: label columns that nothing is to learn from, whether it has them or not.
        several: name -> corpus, where they are to be one (``cache.joined``); of the others, only
            folds are given then.
        folds: how it is cut into folds, on each of which fits are trained; official: not at all.
    """

    root: str = ""
    kind: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    several: Mapping[str, CorpusSpec] = field(default_factory=dict)
    folds: Folds = OFFICIAL

    @classmethod
    def from_mapping(cls, source: Any) -> CorpusSpec:
        """Read the ``corpus`` entry of a recipe.

        Raises:
            BadRecipe: it is not a mapping, or stands for several that are none.
            UnknownName: no reader, label column or way to make folds is called so.
            BadCall: the corpus cannot be cut into such folds.
        """
        if not isinstance(source, dict):
            raise BadRecipe(f"must map 'root' (and 'kind') to values, got {source!r}")
        rest = dict(source)
        folds = _folds(rest.pop("folds", OFFICIAL.kind))
        if SEVERAL in rest:
            return cls(several=_several(rest.pop(SEVERAL), rest), folds=folds)
        kind, root = str(rest.pop("kind", "")), str(rest.pop("root", ""))
        if kind and kind not in (*KINDS, DEMO):
            raise unknown("kind of corpus", kind, [*KINDS, DEMO])
        return cls(root, kind, rest, _without(rest.pop("without", [])), folds=folds)

    def open(self, progress: Callable[[int, int], None] | None = None) -> Corpus:
        """Read the corpus, or all of several; the demo is made first where it does not stand yet.

        Args:
            progress: called with (clips made, clips in all) while the demo is made.

        Raises:
            BadCorpus: no root is given, nothing is there, or nothing tells its kind.
        """
        if self.several:
            return joined({name: _open(name, own, progress) for name, own in self.several.items()})
        return self._read(progress).without(self.without)

    def _read(self, progress: Callable[[int, int], None] | None) -> Corpus:
        """The corpus as it lies there."""
        if self.kind == DEMO:
            from .demo import make_demo

            return make_demo(Path(self.root or DEMO), progress=progress, **self.options)
        if not self.root:
            raise BadCorpus(
                "no corpus is given. Name one: --corpus FOLDER, or --set corpus.root=FOLDER"
            )
        root = Path(self.root)
        return read_corpus(self.kind or _kind(root), root, **self.options)


def _folds(value: Any) -> Folds:
    """How a corpus is cut; a word alone is the kind.

    Raises:
        BadRecipe: it is neither a word nor a mapping.
        UnknownName: folds have no such setting, or there is no such kind.
        BadCall: a setting is out of its range.
    """
    value = {"kind": value} if isinstance(value, str) else value
    if not isinstance(value, dict):
        raise BadRecipe(f"'folds' must map kind, k, seed to values, got {value!r}")
    known = [one.name for one in fields(Folds)]
    for key in value:
        if key not in known:
            raise unknown("setting of 'folds'", str(key), known)
    return Folds(**value)


def _without(value: Any) -> tuple[str, ...]:
    """Label columns that are left out.

    Raises:
        BadRecipe: it is no list of names.
        UnknownName: none is called so.
    """
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise BadRecipe(f"'without' must be a list of label columns, got {value!r}")
    for name in value:
        if name not in (*TASKS, *CLASSES):
            raise unknown("label column in 'without'", name, (*TASKS, *CLASSES))
    return tuple(value)


def _several(source: Any, rest: Mapping[str, Any]) -> dict[str, CorpusSpec]:
    """Each of several corpora by its name.

    Raises:
        BadRecipe: there is none, a name is none, or something else is said beside.
    """
    if rest:
        raise BadRecipe(f"'{SEVERAL}' stands alone, each option with its corpus: got {list(rest)}")
    if not isinstance(source, dict) or not source:
        raise BadRecipe(f"'{SEVERAL}' must map names to corpora, got {source!r}")
    found = {}
    for name, own in source.items():
        if not NAME.fullmatch(str(name)):
            raise BadRecipe(
                f"a corpus' name has 1 to 64 letters, digits, '_', '-', for it goes before a '/' "
                f"in its ids; got {name!r}"
            )
        if isinstance(own, dict) and SEVERAL in own:
            raise BadRecipe(f"corpus '{name}' cannot itself be several")
        if isinstance(own, dict) and "folds" in own:
            raise BadRecipe(f"'folds' are of all corpora together: set them beside '{SEVERAL}'")
        try:
            found[str(name)] = CorpusSpec.from_mapping(own)
        except BadCall as error:
            raise BadRecipe(f"'{name}': {error}") from error
    return found


def _open(name: str, spec: CorpusSpec, progress: Callable[[int, int], None] | None) -> Corpus:
    """One of several corpora; what is wrong with it names it.

    Raises:
        BadCorpus: as in ``CorpusSpec.open``.
    """
    if not spec.root and spec.kind != DEMO:
        raise BadCorpus(
            f"corpus '{name}' is not given. Name it: --set corpus.{SEVERAL}.{name}.root=FOLDER"
        )
    try:
        return spec.open(progress)
    except BadCorpus as error:
        raise BadCorpus(f"corpus '{name}': {error}") from error


def _kind(root: Path) -> str:
    """Tell the reader from what lies at a path."""
    if not root.exists():
        raise BadCorpus(f"no corpus at '{root}': there is no such file or folder")
    if root.is_file():
        return "affectflow" if is_ours(root) else "table"
    if found := kind_at(root):
        return found
    raise BadCorpus(
        f"'{root}' holds neither 'label.csv' or 'meta.csv' (CH-SIMS layout) nor 'corpus.parquet'; "
        f"say what it is: --set corpus.kind=KIND, one of {', '.join(sorted(KINDS))}"
    )
