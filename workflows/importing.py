"""Import of features that others made: into the cache, with a corpus and a recipe to go on with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..cache.corpus import FAMILIES, Corpus
from ..cache.corpus_columns import TASKS
from ..cache.digests import default_memory, digest_weights
from ..cache.errors import BadCall
from ..cache.keys import fingerprint
from ..cache.leases import Lease
from ..cache.publish import publish
from ..cache.records import MAIN, Features
from ..cache.store import FeatureStore
from ..cache.validation import count
from ..extract.foreign import READER_VERSION, format_of, options_of, read_foreign
from ..extract.foreign.manifest import Manifest
from ..extract.foreign.records import Foreign
from ..extract.imported import Imported, number_of
from .corpora import CorpusSpec
from .descriptions import content_digests, extract_key
from .graph import Workflow
from .nodes import Extract
from .output import ShardWriter
from .result import Reporter

#: A recipe to go on with.
RECIPE = "recipe.yaml"
#: The array of word times: where there is one, the recipe aligns the others to it.
WORDS = "words"


@dataclass(frozen=True)
class ImportedArray:
    """One imported array: what it is, and of how many utterances.

    Args:
        cached: utterances whose features were in the cache already.
    """

    name: str
    modality: str
    columns: int
    dtype: str
    utterances: int
    rows: int
    cached: int


@dataclass(frozen=True)
class Import:
    """What an import came to.

    Args:
        folder: where corpus, manifest and recipe stand.
        corpus: the utterances.
        arrays: those that were imported.
        notes: what was repaired, guessed or left out, for people.
        recipe: a recipe on these features.
    """

    folder: Path
    corpus: Corpus
    arrays: tuple[ImportedArray, ...]
    notes: tuple[str, ...]
    recipe: Path


def import_features(
    file: str | Path,
    out: str | Path,
    cache: str | Path | FeatureStore = "features",
    *,
    kind: str = "",
    corpus: str | Path | None = None,
    name: str = "",
    family: str = "",
    options: Mapping[str, Any] | None = None,
    reporter: Reporter | None = None,
) -> Import:
    """Read a foreign file once, and put its features into the cache as the node ``imported``.

    Args:
        file: a file or folder; see ``extract.foreign``.
        out: folder for the corpus table, the manifest that the node reads, and a recipe.
        cache: folder of the feature store; made if missing.
        kind: format of the file; empty: told from its content.
        corpus: folder or table whose utterances they are; None: the file's own.
        name: of the corpus that is written; empty: that of the file.
        family: metric family of its labels; empty: told from their range, with a note.
        options: what the format's reader takes beside.
        reporter: hears of progress.

    Raises:
        BadInput: the file cannot be read, or is of no known format.
        BadCall: there is no such file, or none of the corpus' utterances is in it.
        CacheError: the store cannot be written.
    """
    file, folder, reporter = Path(file), Path(out), reporter or Reporter()
    kind = kind or format_of(file)
    given = options_of(options or {})
    with ThreadPoolExecutor(1) as beside:  # a large file keeps a core busy for seconds
        digested = beside.submit(digest_weights, file, default_memory())
        foreign = read_foreign(file, kind, **given)
        if corpus is None:
            spec = CorpusSpec(str(folder.absolute()))
            utterances, told = own_corpus(foreign, name or file.stem, family, file.name)
        else:
            spec = CorpusSpec(str(Path(corpus).absolute()))
            utterances = spec.open()
            told = _match(foreign, utterances, file)
        digest = digested.result()
    arrays = {name: (array.modality, array.spec) for name, array in foreign.arrays.items()}
    place = str(file.absolute())
    Manifest(place, digest, kind, given, READER_VERSION, arrays).write(folder)
    if corpus is None:
        utterances.write(folder)
    store = cache if isinstance(cache, FeatureStore) else FeatureStore(cache)
    done = _store(store, utterances, foreign, folder, reporter)
    notes = [*foreign.notes, *told]
    notes += [line for array in foreign.arrays.values() for line in array.told()]
    recipe = _write_recipe(folder, file, spec.root, foreign, utterances)
    return Import(folder, utterances, tuple(done), tuple(notes), recipe)


def own_corpus(foreign: Foreign, name: str, family: str, file: str) -> tuple[Corpus, list[str]]:
    """The utterances of a file as a corpus, and notes."""
    labels = [column for column in foreign.columns if column in TASKS]
    notes = []
    if labels and not family:
        family, why = _family(foreign, labels)
        notes.append(why)
    corpus = Corpus.from_columns(
        {"id": foreign.ids, **foreign.columns},
        name=name,
        family=family if labels else "",
        label_range=FAMILIES.get(family) if labels else None,
        note=f"features imported from {file}",
    )
    return corpus, notes + [f"the corpus: {fault}" for fault in corpus.check(media=False).errors]


def _family(foreign: Foreign, labels: Sequence[str]) -> tuple[str, str]:
    values = np.concatenate([np.asarray(foreign.columns[c], np.float64) for c in labels])
    most = float(np.nanmax(np.abs(values), initial=0.0))
    family = "sims" if most <= 1 else "mosi"
    return family, (
        f"labels reach {most:g}: taken for metric family '{family}'; --family says otherwise"
    )


def _match(foreign: Foreign, corpus: Corpus, file: Path) -> list[str]:
    """Notes on which utterances of a corpus are in the file.

    Raises:
        BadCall: none is.
    """
    numbers = {name: i for i, name in enumerate(foreign.ids)}
    found = [number for name in corpus.ids if (number := number_of(name, numbers)) is not None]
    if not found:
        raise BadCall(
            f"none of the {len(corpus):,} utterances of corpus '{corpus.name}' "
            f"('{corpus.ids[0]}' ...) is in '{file}', which has '{foreign.ids[0]}' ..."
        )
    more = len(foreign.ids) - len({*found})
    return [
        f"{len(found):,} of {len(corpus):,} utterances of corpus '{corpus.name}' are in the file"
        + (f"; {count(more, 'other')} of the file not used" if more else "")
    ]


def _store(
    store: FeatureStore, corpus: Corpus, foreign: Foreign, folder: Path, reporter: Reporter
) -> list[ImportedArray]:
    """Put all arrays into the cache under the keys that a run looks for."""
    contents = [content_digests(utterance, None, ["name"]) for utterance in corpus]
    # While it is held, nobody who collects garbage takes files that are being written.
    with Lease(store.root), ShardWriter(store) as writer:
        done = [
            _write_array(writer, corpus.ids, contents, foreign, folder, name, reporter)
            for name in foreign.arrays
        ]
    store.add(writer.shards)
    return done


def _write_array(
    writer: ShardWriter,
    ids: Sequence[str],
    contents: Sequence[Mapping[str, bytes]],
    foreign: Foreign,
    folder: Path,
    name: str,
    reporter: Reporter,
) -> ImportedArray:
    node = Extract(name, Imported(str(folder), name))
    description = Workflow("import", [node]).description(node)
    mark = fingerprint(description)
    keys = [extract_key(mark, content, ["name"]) for content in contents]
    writer.store.adopt([mark])
    there = writer.store.has(mark, keys).tolist()
    numbers = {theirs: i for i, theirs in enumerate(foreign.ids)}
    array = foreign.arrays[name]
    n_rows = n = 0
    reporter.start(name, len(keys))

    def made() -> Iterator[tuple[bytes, Features]]:
        nonlocal n_rows, n
        for ours, key, cached in zip(ids, keys, there, strict=True):
            number = number_of(ours, numbers)
            found = None if number is None or cached else array.rows(number)
            reporter.advance(name, 1)
            if found is not None:
                n_rows += len(found)
                n += 1
                yield key, found

    origin = {"description": description, "libraries": {}, "affectflow": __version__}
    spec = {MAIN: array.spec}
    writer.write(mark, made(), lambda _: spec, {**origin, "foreign": True})
    width = int(np.prod(array.spec.shape))
    return ImportedArray(name, array.modality, width, array.spec.dtype, n, n_rows, sum(there))


def _write_recipe(folder: Path, file: Path, root: str, foreign: Foreign, corpus: Corpus) -> Path:
    """A recipe that reads the arrays and, where there are labels and modalities, fits MulT."""
    place = json.dumps(str(folder.absolute()), ensure_ascii=False)
    nodes = [
        f"  {_node(name)}: {{extract: imported, path: {place}, array: {json.dumps(name)}}}"
        for name in foreign.arrays
    ]
    read = [
        _node(name)
        for name, array in foreign.arrays.items()
        if array.modality in ("text", "audio", "vision")
    ][:3]
    if WORDS in foreign.arrays:
        for name in read:
            on = f"{{words: {WORDS}, any: {name}}}"
            nodes.append(f"  {name}_words: {{extract: pool-words, nearest: false, on: {on}}}")
        read = [f"{name}_words" for name in read]
    if len(read) > 1 and "M" in corpus.tasks:
        nodes.append(f"  mult: {{fit: mult, on: [{', '.join(read)}], tasks: [M]}}")
    about = json.dumps(f"features imported from {file.name}", ensure_ascii=False)
    lines = [
        "# Add fits as you like: 'affectflow models' lists them.",
        f"name: {json.dumps(corpus.name, ensure_ascii=False)}",
        f"about: {about}",
        f"corpus: {{root: {json.dumps(root, ensure_ascii=False)}}}",
        "nodes:",
        *nodes,
    ]
    path = folder / RECIPE
    publish(path, ("\n".join(lines) + "\n").encode(), replace=True)
    return path


def _node(name: str) -> str:
    """A node's name for an array."""
    plain = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)[:64]
    return f"{plain}_" if plain == "corpus" else plain
