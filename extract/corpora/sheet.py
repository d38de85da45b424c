"""A table of strangers, CSV, TSV or Parquet, as named columns and what had to be repaired."""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...cache.errors import BadCall, BadCorpus
from ...cache.validation import SPLIT_NAMES, SPLITS, count, listing, show

#: Columns that a message names.
WIDEST = 30


@dataclass(frozen=True)
class Sheet:
    """Columns of a foreign table, in its order.

    Args:
        path: the file.
        columns: name to cells; text as it stands (CSV) or values of any simple type (Parquet).
        notes: what was repaired.
        faults: what could not be read.
    """

    path: Path
    columns: Mapping[str, Sequence[Any]]
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def header(self) -> str:
        """Names of the columns for a message; of very many, the first."""
        rest = f" and {len(self.columns) - WIDEST:,} more" if len(self.columns) > WIDEST else ""
        return ", ".join([*self.columns][:WIDEST]) + rest

    def require(self, wanted: Sequence[str]) -> None:
        """Refuse the table if columns are missing, all of them in one message.

        Raises:
            BadCorpus: names the missing ones, the nearest that are there, and all found.
        """
        missing = [name for name in wanted if name not in self.columns]
        if missing:
            named = ", ".join(f"'{name}'{nearest(name, self.columns)}" for name in missing)
            raise BadCorpus(
                f"'{self.path}' has no column {named}. "
                f"Found: {self.header}. Wanted: {', '.join(wanted)}."
            )


def nearest(name: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` for the known name nearest to one, or nothing."""
    by_case = {other.lower(): other for other in known}
    near = difflib.get_close_matches(name.lower(), by_case, n=1, cutoff=0.6)
    return f" (did you mean '{by_case[near[0]]}'?)" if near else ""


def read_sheet(
    path: Path, encoding: str = "", delimiter: str = "", header: Sequence[str] = ()
) -> Sheet:
    """Read a table by the ending of its name.

    Args:
        path: ``.parquet``, ``.tsv`` or ``.tab``; everything else is CSV.
        encoding: of CSV and TSV; empty: UTF-8, or cp1252 with a note where it is not.
        delimiter: between cells; empty: comma, or tab in a TSV.
        header: columns that it should have; where they stand there with semicolons or tabs between
            them, as some spreadsheets save them, these are the delimiter, with a note.

    Raises:
        BadCorpus: it cannot be read, or several columns have one name.
        BadCall: the delimiter is not one character.
    """
    if not path.is_file():
        raise BadCorpus(f"no table at '{path}': there is no such file{_neighbours(path)}")
    if path.suffix.lower() in (".parquet", ".pq"):
        return _read_parquet(path)
    if delimiter and (len(delimiter) > 1 or delimiter in '"\r\n'):
        raise BadCall(f"a delimiter is one character, not {delimiter!r}")
    tabbed = path.suffix.lower() in (".tsv", ".tab")
    text, notes = read_text(path, encoding)
    delimiter = delimiter or ("\t" if tabbed else ",")
    other = _other_delimiter(text.partition("\n")[0], delimiter, header)
    if other:
        notes.append(f"'{path.name}' has {other!r} between its cells, read so")
    return _parse(path, text, other or delimiter, notes)


def _other_delimiter(line: str, delimiter: str, header: Sequence[str]) -> str:
    """What stands between the columns that were wanted, if it is not the delimiter."""
    if not header or delimiter in line:
        return ""
    parted = {mark: {cell.strip(' \r"') for cell in line.split(mark)} for mark in ";\t"}
    return next((mark for mark, cells in parted.items() if {*header} <= cells), "")


def _neighbours(path: Path) -> str:
    if not path.parent.is_dir():
        return f", nor a folder '{path.parent}'"
    near = difflib.get_close_matches(path.name, os.listdir(path.parent), n=1, cutoff=0.6)
    return f" (did you mean '{near[0]}'?)" if near else ""


def read_text(path: Path, encoding: str = "") -> tuple[str, list[str]]:
    """Text of a file, without a byte order mark, and what is to be said of its encoding.

    Args:
        path: the file.
        encoding: of it; empty: UTF-8, and cp1252 where it is not.

    Raises:
        BadCorpus: it is in neither, or not in the encoding that was given.
    """
    content = path.read_bytes()
    if encoding:
        try:
            return content.decode(encoding).removeprefix("\ufeff"), []
        except LookupError:
            raise BadCorpus(f"no encoding is called '{encoding}' (for '{path}')") from None
        except UnicodeError as error:  # not all of them are of decoding: 'undefined' is a codec
            raise BadCorpus(f"'{path}' is not {encoding}: {error}") from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _decode_utf16(path, content)
    try:
        return content.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        where = f"'{path.name}' is not UTF-8 (line {line}, byte {error.start:,})"
    return _decode_mixed(content, where)


def _decode_utf16(path: Path, content: bytes) -> tuple[str, list[str]]:
    try:
        return content.decode("utf-16"), [f"'{path.name}' read as UTF-16, as its first bytes say"]
    except UnicodeDecodeError as error:
        raise BadCorpus(f"'{path}' begins as UTF-16, but is not: {error}") from error


def _decode_mixed(content: bytes, where: str) -> tuple[str, list[str]]:
    """Text of cp1252, or of UTF-8 in which single bytes of cp1252 stand."""
    try:
        text = content.decode("utf-8-sig", _WINDOWS)
    except UnicodeDecodeError:
        raise BadCorpus(f"{where}, nor cp1252; give its encoding, such as 'gb18030'") from None
    rest = content.decode("utf-8-sig", "ignore")
    n = len(content.removeprefix(codecs.BOM_UTF8)) - len(rest.encode())
    what = "" if rest.isascii() else f"{count(n, 'byte')} "
    return text, [
        f"{where}: {what}read as cp1252; if the transcripts look wrong, give the encoding"
    ]


def _windows(error: UnicodeError) -> tuple[str, int]:
    """What cp1252 makes of bytes that are not UTF-8."""
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("cp1252"), error.end


_WINDOWS = "affectflow-cp1252"
codecs.register_error(_WINDOWS, _windows)


def _parse(path: Path, text: str, delimiter: str, notes: list[str]) -> Sheet:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows, ragged, blank = [], [], 0
    try:
        header = [name.strip() for name in next(filter(None, reader), [])]
        width = len(header)
        for row in reader:
            if not "".join(row).strip():
                blank += bool(row)
                continue
            if len(row) != width:
                ragged.append(f"line {reader.line_num} ({len(row)})")
                row = (row + [""] * width)[:width]
            rows.append(row)
    except csv.Error as error:
        raise BadCorpus(f"'{path}', near line {reader.line_num}: {error}") from error
    if not header:
        raise BadCorpus(f"'{path}' is empty, not even a line of column names is in it")
    _check_header(path, header, delimiter)
    if blank:
        notes = [*notes, f"{count(blank, 'row')} without any content left out"]
    faults = []
    if ragged:
        n = count(len(ragged), "row")
        faults.append(f"'{path.name}': {n} not of {width} cells: {listing(ragged)}")
    cells = zip(*rows, strict=True) if rows else [()] * width
    columns = {name: column for name, column in zip(header, cells, strict=True) if name}
    return Sheet(path, columns, tuple(notes), tuple(faults))


def _check_header(path: Path, header: Sequence[str], delimiter: str = "") -> None:
    twice = [f"'{name}' ({n} times)" for name, n in Counter(header).items() if name and n > 1]
    if twice:
        raise BadCorpus(f"'{path}' has several columns of one name: {listing(twice)}")
    others = [mark for mark in ";\t,|" if mark != delimiter and mark in header[0]]
    if len(header) == 1 and others:
        raise BadCorpus(
            f"'{path}' has a single column {show(header[0])}; give delimiter={others[0]!r}?"
        )


def _read_parquet(path: Path) -> Sheet:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BadCorpus(f"'{path}' cannot be read as Parquet: {error}") from error
    _check_header(path, table.column_names)
    columns = {name: table[name].to_pylist() for name in table.column_names}
    for name, cells in columns.items():
        if any(isinstance(cell, bytes | list | dict) for cell in cells):
            raise BadCorpus(
                f"'{path}': column '{name}' is {table.schema.field(name).type}, "
                f"only text and numbers can be read"
            )
    return Sheet(path, columns)


def read_splits(cells: Iterable[Any]) -> tuple[list[str], list[str]]:
    """Names of splits as ours, and a note for each other name that was met."""
    given = ["" if cell is None else str(cell) for cell in cells]
    names = {name: _split_name(name) for name in dict.fromkeys(given)}
    sizes = Counter(given)
    notes = [
        f"split {show(name)} read as '{ours}' ({count(sizes[name], 'utterance')})"
        for name, ours in names.items()
        if ours != name
    ]
    return [names[name] for name in given], notes


def _split_name(name: str) -> str:
    plain = name.strip().lower()
    ours = SPLIT_NAMES.get(plain, plain)
    return ours if ours in (*SPLITS, "") else name
