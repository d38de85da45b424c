"""Word times that an aligner or a person made before, from files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...cache.errors import AffectflowError, BadCall, BadInput, EmptyTranscript
from ...cache.keys import WHERE
from ...cache.records import ArraySpec, Features, FeatureSpec
from ..base import TRANSCRIPT, Extractor, Needs
from ..clip import Clip
from .transcript import TEXT, TEXT_SPEC, as_rows
from .word_files import READERS, Word, holds_words, read_words
from .word_match import match
from .words import word_spans

CLOCKS = ("utterance", "media")
#: What to do where there are no times.
MEND = "Where there are none, 'word-times' makes them from sound and transcript"
RATE = 16_000  # Hz; the sound is looked at for its length alone
#: Words may end this much after the sound: files are padded and cut by a frame here and there.
BEYOND = 0.1  # s
SPANS = ArraySpec((2,), "int32", ("start", "end"))


@dataclass(frozen=True)
class WordTimesFile(Extractor):
    """Times of words from files: TextGrid, CTM, tables of words, GRID's ``.align``.

    ``values`` (n_words, 1): ``duration`` in seconds; the row's times are those of the word.
    ``spans`` (n_words, 2): its characters in the transcript; ``text``: that transcript. Rows are
    the words of the utterance's transcript, which must be the words of the file (see
    ``word_match``); where the utterance has no transcript, the file's words are it, and the node
    may fill the role ``transcript``. Marks of silence (sil, sp, <eps> ...) are dropped; a word
    without a letter or digit is a masked row without times.

    The content of all files under ``path``, of whatever kind, counts towards the fingerprint:
    correcting one makes all again. So keep word times in a folder of their own.

    In a recipe, any feature over the words of a folder of alignments::

        words:   {extract: word-times-file, path: alignments}
        sound:   {extract: librosa-33}
        aligned: {extract: pool-words, on: {words: words, any: sound}}

    Args:
        path: a file, or a folder, sub-folders included. A TextGrid or ``.align`` is named after
            its utterance: ``video/clip.TextGrid`` or ``video_clip.TextGrid``; so is a table
            without the column ``id``. A CTM, or a table with it, holds many utterances. An
            utterance that is a whole media file, with a transcript to check the words by, may
            also go by that file's name alone: ``clip.TextGrid``. In a folder, tables without a
            column ``word`` are passed over.
        tier: the tier of a TextGrid that holds the words; empty: the one called after words.
        clock: what the files' times count from: ``utterance``: its own start; ``media``: that of
            the whole media file; files are then named after the video, and each utterance takes
            the words that lie with their middle in its segment.

    Source:
        The formats' own documents; see ``word_files``.
    """

    name: ClassVar[str] = "word-times-file"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "text"
    rows: ClassVar[str] = "a word"
    sizes: ClassVar[str] = "1"
    provides: ClassVar[tuple[str, ...]] = ("words", TRANSCRIPT)
    batched: ClassVar[bool] = True  # the folder is listed once for many utterances
    peak_memory: ClassVar[int] = 512 << 20

    path: str = field(metadata=WHERE)
    tier: str = ""
    clock: str = "utterance"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.clock not in CLOCKS:
            raise BadCall(
                f"word-times-file: clock must be {' or '.join(map(repr, CLOCKS))}, "
                f"not {self.clock!r}"
            )

    @property
    def needs(self) -> Needs:
        return Needs(audio=RATE, text=True, name=True)

    @property
    def spec(self) -> FeatureSpec:
        return {
            "values": ArraySpec((1,), "float32", ("duration",)),
            "spans": SPANS,
            TEXT: TEXT_SPEC,
        }

    def weights(self) -> Mapping[str, Path | str]:
        path = Path(self.path).expanduser()
        if not path.exists():
            raise BadCall(f"word-times-file: there is no file or folder {path}. {MEND}")
        if path.is_dir() and next(path.iterdir(), None) is None:
            raise BadCall(f"word-times-file: there is no file of word times in {path}. {MEND}")
        return {"words": path}

    def extract(self, clip: Clip) -> Features:
        """Map an utterance to a row a word.

        Raises:
            BadInput: there are no words for it, they are not those of its transcript, or they end
                after the sound.
            EmptyTranscript: its file holds no word.
            BadCall: there is no such folder, or a table of many utterances cannot be read.
        """
        (found,) = self.many([clip])
        if isinstance(found, Exception):
            raise found
        return found

    def many(self, clips: Sequence[Clip], device: str = "cpu") -> Iterator[Features | Exception]:
        """Features of many utterances; see ``extract``."""
        library = Library(Path(self.path).expanduser(), self.tier)
        for clip in clips:
            try:
                yield self._rows(clip, library)
            except Exception as error:  # recorded by the caller with its utterance
                yield error

    def _rows(self, clip: Clip, library: Library) -> Features:
        words = self._words(clip, library)
        if not words:
            raise EmptyTranscript(f"'{clip.id}' has no word in its file of word times")
        text = clip.text if clip.text.strip() else " ".join(word.text for word in words)
        spans = word_spans(text)
        try:
            times = match(words, text, spans)
        except BadInput as error:
            raise BadInput(f"'{clip.id}': {error}") from error
        length = clip.audio(RATE).duration
        if words[-1].end > length + BEYOND:
            raise BadInput(
                f"'{clip.id}': the word '{words[-1].text}' ends at {words[-1].end:.2f} s, the "
                f"sound at {length:.2f} s; if the times count from the start of the media file, "
                "set clock to 'media'"
            )
        mask = np.isfinite(times[:, 0])
        durations = np.where(mask, times[:, 1] - times[:, 0], 0.0)
        where = Features(np.array(spans, np.int32).reshape(-1, 2), times, SPANS.columns)
        return Features(
            durations[:, None].astype(np.float32),
            times,
            ("duration",),
            mask,
            {"spans": where, TEXT: as_rows(text)},
        )

    def _words(self, clip: Clip, library: Library) -> list[Word]:
        """The utterance's words with times from its own start."""
        stem = Path(clip.media).stem if clip.media else ""
        if self.clock == "utterance":
            whole = clip.start is None and clip.end is None and clip.text.strip()
            names = [clip.id, clip.id.replace("/", "_"), stem if whole else ""]
            return library.words([name for name in names if name], clip.id)
        video = clip.id.rpartition("/")[0]
        words = library.words([name for name in (video, stem) if name], clip.id)
        start = clip.start or 0.0
        end = np.inf if clip.end is None else clip.end
        return [
            Word(word.text, max(word.start - start, 0.0), word.end - start)
            for word in words
            if start <= (word.start + word.end) / 2 < end
        ]


class Library:
    """The files of word times under a path, by utterance.

    Args:
        path: a file or a folder.
        tier: of TextGrids.

    Raises:
        BadCall: there is nothing of the kind, or a file of many utterances cannot be read.
    """

    def __init__(self, path: Path, tier: str) -> None:
        self.path = path
        self.tier = tier
        root = path if path.is_dir() else path.parent
        files = path.rglob("*") if path.is_dir() else [path]
        self._files: dict[str, list[Path]] = {}
        self._tables: dict[Path, dict[str, list[Word]]] = {}
        for file in sorted(f for f in files if f.suffix.lower() in READERS and f.is_file()):
            name = file.relative_to(root).with_suffix("").as_posix()
            if file.suffix.lower() not in (".ctm", ".csv", ".tsv"):
                self._files.setdefault(name, []).append(file)
            elif file == path or holds_words(file):
                self._tables[file] = _table(file, name, file.stat().st_mtime_ns)
        if not self._files and not self._tables:
            kinds = ", ".join(sorted(READERS))
            raise BadCall(f"word-times-file: no file of word times ({kinds}) at {path}. {MEND}")

    def words(self, names: Sequence[str], who: str) -> list[Word]:
        """The words under the first of these names that is there.

        Raises:
            BadInput: none is, two files have it, or its file cannot be read.
        """
        for name in names:
            files = self._files.get(name, [])
            tables = [file for file, table in self._tables.items() if name in table]
            if len(files) + len(tables) > 1:
                both = " and ".join(str(file) for file in (*files, *tables))
                raise BadInput(f"'{who}' has word times in {both}: keep one of them")
            if files:
                return read_words(files[0], self.tier)[""]
            if tables:
                return self._tables[tables[0]][name]
        wanted = " or ".join(f"'{name}'" for name in dict.fromkeys(names))
        raise BadInput(
            f"'{who}' has no word times: nothing is called {wanted} in {self.path}. {MEND}"
        )


@lru_cache(maxsize=64)
def _table(file: Path, name: str, changed: int) -> dict[str, list[Word]]:
    """A file of many utterances; one without ids belongs to the utterance it is named after."""
    try:
        found = read_words(file)
    except (AffectflowError, OSError) as error:
        raise BadCall(f"word-times-file: {error}") from error
    return {key or name: words for key, words in found.items()}
