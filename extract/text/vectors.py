"""One vector a word from a file of word vectors: GloVe, word2vec, fastText."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...cache.errors import BadCall, EmptyTranscript
from ...cache.keys import WHERE
from ...cache.records import Array, ArraySpec, Features, FeatureSpec, no_times
from ..base import Extractor, Needs
from ..clip import Clip
from ..loaded import LoadedModels
from .levels import SPANS
from .vector_file import VectorFile, file_mark, read_head
from .words import word_spans

CASES = ("either", "lower", "exact")
#: Endings that GloVe's tokenizer, that of the Penn Treebank, splits off: do + n't, it + 's.
_CLITIC = re.compile(r"^(.+?)(n't|'s|'re|'ve|'ll|'d|'m)$", re.IGNORECASE)


@dataclass(frozen=True)
class WordVectors(Extractor):
    """The vector of each word of a transcript, from a file of word vectors.

    ``values`` (n_words, D) float32, without times, and ``spans`` (n_words, 2), the word's
    characters in the transcript, half open. Words are those of ``word_spans``: white space
    between them, a Chinese character a word of its own.

    A word is looked up as it stands, then without the punctuation around it, then as its parts:
    ``don't`` is the mean of ``do`` and ``n't``, as the Penn Treebank splits it, and
    ``well-made`` that of ``well`` and ``made``; all parts must be known. A word that is not in
    the file is a masked row of zeros.

    Args:
        path: a text file, a word and its D numbers a line with spaces between them, in UTF-8:
            GloVe's ``.txt``, word2vec's text format, fastText's ``.vec``. Its content counts
            towards the fingerprint. It is read once a process; 16 bytes a word stay in memory.
        case: ``either``: a word as it is written, or else in lower case; ``lower``: always in
            lower case; ``exact``: only as it is written.

    Source:
        Pennington, Socher and Manning (2014), "GloVe: Global Vectors for Word Representation".
    """

    name: ClassVar[str] = "word-vectors"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "text"
    rows: ClassVar[str] = "a word"
    sizes: ClassVar[str] = "the file's"
    paper: ClassVar[str] = "Pennington et al. (2014), GloVe; or that of the file"
    licence: ClassVar[str] = "that of the file"
    peak_memory: ClassVar[int] = 512 << 20

    path: str = field(metadata=WHERE)
    case: str = "either"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.path or not isinstance(self.path, str):
            raise BadCall("word-vectors: path must be that of a text file of word vectors")
        if self.case not in CASES:
            known = " or ".join(map(repr, CASES))
            raise BadCall(f"word-vectors: case must be {known}, not {self.case!r}")

    @property
    def needs(self) -> Needs:
        return Needs(text=True)

    @property
    def place(self) -> Path:
        """Where the file lies."""
        return Path(self.path).expanduser()

    @property
    def spec(self) -> FeatureSpec:
        return {"values": ArraySpec((read_head(self.place)[0],), "float32"), "spans": SPANS}

    def weights(self) -> Mapping[str, Path]:
        return {"vectors": self.place}

    def extract(self, clip: Clip) -> Features:
        """Map the transcript to a row a word.

        Raises:
            EmptyTranscript: it has no word.
            BadCall: the file is not one of word vectors; the message names the line.
        """
        spans = np.array(word_spans(clip.text), np.int32).reshape(-1, 2)
        if not len(spans):
            raise EmptyTranscript(f"'{clip.id}' has no word in its transcript {clip.text[:60]!r}")
        vectors = load_vectors(self.place)
        found = [self._vector(clip.text[start:end], vectors) for start, end in spans]
        values = np.zeros((len(spans), vectors.width), np.float32)
        mask = np.array([vector is not None for vector in found])
        for row in np.flatnonzero(mask):
            values[row] = found[row]
        times = no_times(len(spans))
        more = {"spans": Features(spans, times, SPANS.columns)}
        return Features(values, times, mask=mask, more=more)

    def _vector(self, word: str, vectors: VectorFile) -> Array | None:
        for parts in readings(unicodedata.normalize("NFC", word).replace("\u2019", "'")):
            found = [self._look_up(part, vectors) for part in parts]
            known = [vector for vector in found if vector is not None]
            if len(known) == len(parts):
                mean: Array = np.mean(known, axis=0)
                return mean
        return None

    def _look_up(self, part: str, vectors: VectorFile) -> Array | None:
        if self.case == "lower":
            return vectors.get(part.lower())
        found = vectors.get(part)
        return vectors.get(part.lower()) if found is None and self.case == "either" else found


def readings(word: str) -> Iterator[tuple[str, ...]]:
    """Parts that a word may be looked up as, the likeliest first.

    >>> list(readings("don't!"))
    [("don't!",), ("don't",), ('do', "n't")]
    >>> list(readings("well-made"))
    [('well-made',), ('well', 'made')]
    """
    yield (word,)
    bare = word
    while bare and unicodedata.category(bare[0])[0] == "P":
        bare = bare[1:]
    while bare and unicodedata.category(bare[-1])[0] == "P":
        bare = bare[:-1]
    if bare != word and bare:
        yield (bare,)
    if clitic := _CLITIC.match(bare):
        yield clitic.groups()
    pieces = tuple(piece for piece in re.split("[-\u2010-\u2015/]", bare) if piece)
    if len(pieces) > 1:
        yield pieces


_LOADED: LoadedModels[VectorFile] = LoadedModels(limit=1 << 30)


def load_vectors(path: Path) -> VectorFile:
    """The vectors of a file, scanned once in each process while they are used.

    Raises:
        BadCall: it is not a file of word vectors.
    """
    if not path.is_file():
        raise BadCall(f"word vectors '{path}' cannot be read: no such file")

    def load() -> tuple[VectorFile, int]:
        vectors = VectorFile(path)
        return vectors, vectors.nbytes

    return _LOADED.get(file_mark(path), load)
