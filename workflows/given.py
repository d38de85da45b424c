"""What the utterances of a corpus give to nodes: digests of it, and their files as they looked.

Kept as columns, so that a driver holds some tens of bytes an utterance, however long their paths
and transcripts are; utterances themselves are made a wave at a time, and forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..cache.corpus import Corpus
from ..cache.digests import FileDigests, default_memory, digest_columns
from ..cache.records import Array
from .batch import ClipRef
from .descriptions import content_digests, extract_key
from .key_column import WAVE, KeyColumn

_DIGEST_BYTES = 32


class Given:
    """What each utterance gives, by ``media``, ``text`` and ``name``.

    Args:
        corpus: the utterances.
        reads: which of the three are read; media files are digested where they are.
        progress: called with (files digested, files in all).
    """

    def __init__(
        self,
        corpus: Corpus,
        reads: Collection[str],
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.corpus = corpus
        self._file, self._paths = corpus.files()
        self._files = FileDigests.none()
        readable = np.zeros(len(corpus), bool)
        if "media" in reads:
            self._files = digest_columns(self._paths, default_memory(), progress=progress)
            readable = self._file >= 0
            readable[readable] = self._files.there[self._file[readable]]
        whole = np.ones(len(corpus), bool)
        self.there = {content: readable if content == "media" else whole for content in reads}
        self.digests = {
            content: np.zeros((len(corpus), _DIGEST_BYTES), np.uint8) for content in reads
        }
        for at in range(0, len(corpus) if reads else 0, WAVE):
            self._digest(range(at, min(at + WAVE, len(corpus))))

    def _digest(self, rows: range) -> None:
        """Fill in the digests of some utterances, one after another."""
        empty = bytes(_DIGEST_BYTES)
        found = [
            content_digests(utterance, self._files.digest(file), self.digests)
            for utterance, file in zip(
                self.corpus.rows(rows), self._file[rows.start : rows.stop].tolist(), strict=True
            )
        ]
        for content, column in self.digests.items():
            image = b"".join(one.get(content, empty) for one in found)
            column[rows.start : rows.stop] = np.frombuffer(image, np.uint8).reshape(len(rows), -1)

    def digest(self, i: int, content: str) -> bytes | None:
        """Digest of what utterance i gives as ``media``, ``text`` or ``name``; None: nothing."""
        column = self.digests.get(content)
        if column is None or not self.there[content][i]:
            return None
        digest: bytes = column[i].tobytes()
        return digest

    def keys(self, node: str, contents: Sequence[str], needed: Array) -> KeyColumn:
        """Keys of the features of an extract node, where utterances give all that it reads.

        Args:
            node: its fingerprint.
            contents: what it reads.
            needed: (n,) bool, utterances whose features are.
        """
        able = np.logical_and.reduce([needed, *(self.there[content] for content in contents)])
        return KeyColumn.of(self._keys(node, contents, able), len(able))

    def _keys(self, node: str, contents: Sequence[str], able: Array) -> Iterator[bytes | None]:
        for i, can in enumerate(able.tolist()):
            found = {content: self.digests[content][i].tobytes() for content in contents}
            yield extract_key(node, found, contents) if can else None

    def fault(self, i: int) -> str:
        """Why utterance i gives no media, though they are read."""
        file = int(self._file[i])
        if file < 0:
            return "no media file is given for this utterance"
        error = self._files.errors[file]
        return f"cannot read '{self._paths[file]}': {error.strerror or error}"

    def clips(self, rows: Array) -> Iterator[ClipRef]:
        """Some utterances, (m,) int numbers, as workers need them."""
        ids, texts, starts, ends = self._columns
        files = self._file[rows]
        columns = (
            rows.tolist(),
            ids.take(rows).to_pylist(),
            self._paths.take(np.maximum(files, 0)).to_pylist() if len(self._paths) else files,
            (None if start != start else start for start in starts[rows].tolist()),
            (None if end != end else end for end in ends[rows].tolist()),
            texts.take(rows).to_pylist(),
            files.tolist(),
        )
        for i, id, media, start, end, text, file in zip(*columns, strict=True):
            there = media if file >= 0 else None
            yield ClipRef(i, id, there, start, end, text, self._files.look(file))

    @cached_property
    def _columns(self) -> tuple[Any, Any, Array, Array]:
        return self.corpus.texts("id"), self.corpus.texts("text"), *self.corpus.spans()

    def buckets(self, rows: Array, contents: Sequence[str], by_file: bool, n: int) -> Array:
        """Which of n parts each of some utterances is in, (m,) int64, by a digest of what it gives.

        Args:
            rows: (m,) int, their numbers.
            contents: what their nodes read.
            by_file: all segments of one file are in one part.
            n: how many parts there are.
        """
        if by_file:
            heads = b"".join(
                clip.file_digest[:8]
                for at in range(0, len(rows), WAVE)
                for clip in self.clips(rows[at : at + WAVE])
            )
            numbers = np.frombuffer(heads, ">u8")
        elif contents:
            numbers = np.ascontiguousarray(self.digests[contents[0]][rows, :8]).view(">u8").ravel()
        else:
            numbers = np.zeros(len(rows), np.uint64)
        return (numbers % np.uint64(n)).astype(np.int64)

    @cached_property
    def doubles(self) -> dict[str, bytes]:
        """Digest of media and segment by utterance id, of those whose digest another has too."""
        if "media" not in self.digests:
            return {}
        rows = np.flatnonzero(self.there["media"])
        heads = np.ascontiguousarray(self.digests["media"][rows, :8]).view(np.uint64).ravel()
        order = np.argsort(heads)
        same = heads[order][1:] == heads[order][:-1]
        twice = np.zeros(len(rows), bool)
        twice[order[1:][same]] = twice[order[:-1][same]] = True
        return {
            utterance.id: self.digests["media"][i].tobytes()
            for i, utterance in zip(
                rows[twice].tolist(), self.corpus.rows(rows[twice]), strict=True
            )
        }
