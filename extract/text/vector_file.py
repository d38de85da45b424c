"""A text file of word vectors: where each word's line begins, and the numbers on it.

A file of five gigabytes is read once to find its lines and check them; what stays in memory is
16 bytes a word, and the vectors that were used last.
"""

from __future__ import annotations

import mmap
import os
from collections import OrderedDict
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ...cache.errors import BadCall
from ...cache.records import Array

#: A line of 10,000 numbers is shorter; a longer first line is no line of vectors.
LONGEST_LINE = 1 << 18
#: Vectors kept as numbers for the next transcript: at 300 columns 24 MB.
KEPT = 20_000


def read_head(path: Path) -> tuple[int, int | None]:
    """Columns of a file's vectors, and how many words its header promises; None without one.

    Raises:
        BadCall: it is not a text file of word vectors.
    """
    try:
        with open(path, "rb") as file:
            first = _fields(file.readline(LONGEST_LINE))
            second = _fields(file.readline(LONGEST_LINE))
    except OSError as error:
        raise BadCall(f"word vectors '{path}' cannot be read: {error.strerror}") from error
    if len(first) == 2 and all(part.isdigit() for part in first):  # word2vec and fastText
        n_words, width = map(int, first)
    else:
        n_words, width, second = None, len(first) - 1, first
    if width < 1 or not _are_numbers(second[-width:]) or len(second) <= width:
        raise BadCall(
            f"'{path}' is no text file of word vectors: each line must be a word and its numbers, "
            "with spaces between them. Unpack a compressed file; save a binary one as text"
        )
    return width, n_words


def _fields(line: bytes) -> list[bytes]:
    return line.strip(b" \r\n").split(b" ")


def _are_numbers(fields: list[bytes]) -> bool:
    try:
        return all(np.isfinite(float(field)) for field in fields)
    except ValueError:
        return False


class VectorFile:
    """Vectors of a file by word.

    Args:
        path: text of GloVe, word2vec (with a header) or fastText (``.vec``), in UTF-8.

    Raises:
        BadCall: it is not such a file; the message names the line.

    Attributes:
        width: columns of a vector.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.width, promised = read_head(path)
        self._first_line = 1 if promised is None else 2
        with open(path, "rb") as file:
            hashes, starts = self._scan(file, promised)
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        order = np.argsort(hashes, kind="stable")  # of a word that stands twice, the first counts
        self._hashes, self._starts = hashes[order], starts[order]
        self._kept: OrderedDict[str, Array | None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it holds, kept vectors at their most."""
        return 16 * len(self) + 4 * KEPT * self.width

    def get(self, word: str) -> Array | None:
        """The word's vector, (width,) float32; None where the file has no such word.

        Raises:
            BadCall: its line holds something else than finite numbers.
        """
        if word not in self._kept:
            self._kept[word] = self._find(word.encode())
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(word)
        return self._kept[word]

    def _find(self, word: bytes) -> Array | None:
        from xxhash import xxh3_64_intdigest

        wanted = np.uint64(xxh3_64_intdigest(word))
        place = int(np.searchsorted(self._hashes, wanted))
        while place < len(self) and self._hashes[place] == wanted:  # two words may share a hash
            start = int(self._starts[place])
            self._bytes.seek(start)
            found, *fields = self._bytes.readline().strip(b" \r\n").rsplit(b" ", self.width)
            if found == word:
                return self._numbers(fields, start)
            place += 1
        return None

    def _numbers(self, fields: list[bytes], start: int) -> Array:
        if not _are_numbers(fields):
            line = int((self._starts < start).sum()) + self._first_line
            raise BadCall(
                f"'{self.path}' line {line}: not all of its {self.width} values are finite numbers"
            )
        return np.array(fields).astype(np.float32)

    def _scan(self, file: BinaryIO, promised: int | None) -> tuple[Array, Array]:
        """Hash of each word, (n,) uint64, and first byte of its line, (n,) int64."""
        from array import array

        from xxhash import xxh3_64_intdigest

        hashes, starts = array("Q"), array("q")
        start = len(file.readline()) if promised is not None else 0
        for number, line in enumerate(file, self._first_line):
            if line.count(b" ") == self.width and line[-2:-1] != b" ":
                word = line[: line.index(b" ")]
            else:
                word = self._odd_word(line, number)
            hashes.append(xxh3_64_intdigest(word))
            starts.append(start)
            start += len(line)
        if promised is not None and promised != len(starts):
            raise BadCall(
                f"'{self.path}' promises {promised} words in its first line and has "
                f"{len(starts)}: it is not whole"
            )
        return np.array(hashes, np.uint64), np.array(starts, np.int64)

    def _odd_word(self, line: bytes, number: int) -> bytes:
        """The word of a line that has a space at its end or in the word (GloVe has ". . .")."""
        fields = line.strip(b" \r\n").rsplit(b" ", self.width)
        if len(fields) != self.width + 1:
            raise BadCall(
                f"'{self.path}' line {number}: a word and {self.width} numbers were expected, "
                f"got {len(fields)} fields"
            )
        return fields[0]


def file_mark(path: Path) -> tuple[str, int, int]:
    """What tells a file from an earlier one of its name."""
    status = os.stat(path)
    return str(path), status.st_size, status.st_mtime_ns
