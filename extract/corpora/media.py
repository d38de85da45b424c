"""A folder of videos without labels or transcripts, such as VoxCeleb, whole or cut."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ...cache.corpus import Corpus
from ...cache.errors import BadCall, BadCorpus, BadInput
from ...cache.validation import count, listing, show
from .kind import Kind, counted
from .media_folder import ENDINGS, MediaFolder, Unusable
from .sides import check_share, sides

#: Endings of media files; of several of one clip, the one named first here is taken.
KNOWN = (*ENDINGS, ".wav", ".flac", ".m4a", ".mp3")
LAYOUT = f"""\
any folders below one another with media files ({" ".join(KNOWN)});
<speaker>/<video>/<clip>.mp4, as in VoxCeleb, says who speaks"""
#: Seconds that a stretch of a long file may at least be long.
LEAST = 2.0
Spans = list[tuple[float | None, float | None]]
Progress = Callable[[int, int], None]


def read(
    root: str | Path,
    *,
    valid: float = 0.05,
    longest: float = 0.0,
    language: str = "",
    name: str = "",
    note: str = "",
    progress: Progress | None = None,
) -> Corpus:
    """Read every media file in a folder and the folders below it, a whole file an utterance.

    Ids are the paths without their endings. In ``speaker/video/clip.mp4``, VoxCeleb's layout, the
    last two folders say who speaks in what. There is nothing to test: utterances are split into
    ``train`` and ``valid``, by the digest of who speaks (else of the folder, else of the id), so
    that nobody stands in both and nobody changes sides when the folder grows.

    With ``longest``, files are cut by voice activity (``voice.spans_of_speech``): nothing is
    written, an utterance is a stretch of its file and called by it and a number. All sound is
    decoded for that: do it once, by ``affectflow corpus import``.

    Args:
        root: the folder.
        valid: about this share of the speakers is for validation, and at least one.
        longest: seconds that no utterance is longer than, at least 2; 0: files are not cut.
        language: what is spoken in all of it (``en``); empty: it is not known.
        name: empty: the folder's name.
        note: shown wherever the corpus is shown.
        progress: called with (files listened to, files in all).

    Raises:
        BadCorpus: there is no such folder, or fewer than two media files.
        BadCall: ``valid`` is no share, or ``longest`` too short.
    """
    check_share(valid)
    if longest and not longest >= LEAST:
        raise BadCall(f"longest must be at least {LEAST:g} s, or 0 (not cut), not {longest!r}")
    folder = Path(root)
    if not folder.is_dir():
        raise BadCorpus(f"'{folder}' is no folder; kind 'media' reads a folder of media files")
    files, notes, faults = _files(folder)
    if len(files) < 2:
        raise BadCorpus(
            f"'{folder}' holds {count(len(files), 'media file')} ({', '.join(KNOWN)}), folders "
            "below it included; at least two are needed, one to learn from and one to validate by"
        )
    whole: dict[str, Spans] = {own: [(None, None)] for own in files}
    spans, told = _cut(files, longest, progress) if longest else (whole, [])
    return Corpus.from_columns(
        _columns(files, spans, language, valid),
        name=name or folder.resolve().name,
        note=note,
        notes=(*notes, *told),
        reading_faults=faults,
    )


def _columns(
    files: Mapping[str, str], spans: Mapping[str, Spans], language: str, valid: float
) -> dict[str, Sequence[object]]:
    """Columns of the corpus: one row a stretch of a file."""
    ids = list(files)
    speakers = [parts[-3] if len(parts := one.split("/")) > 2 else "" for one in ids]
    choices = (speakers, [os.path.dirname(one) for one in ids], ids)
    groups = next(own for own in choices if all(own) and len({*own}) > 1 or own is ids)
    splits = dict(zip(ids, sides(groups, valid), strict=True))
    who = dict(zip(ids, speakers, strict=True))
    rows = [(own, i, *span) for own in ids for i, span in enumerate(spans[own])]
    return {
        "id": [own if begin is None else f"{own}/{i:04d}" for own, i, begin, _ in rows],
        "media": [files[own] for own, *_ in rows],
        "start": [begin for *_, begin, _ in rows],
        "end": [end for *_, end in rows],
        "speaker": [who[own] for own, *_ in rows],
        "language": [language] * len(rows),
        "split": [splits[own] for own, *_ in rows],
    }


def _cut(
    files: Mapping[str, str], longest: float, progress: Progress | None
) -> tuple[dict[str, Spans], list[str]]:
    """Stretches of speech of each file, and notes on those that have none."""
    spans: dict[str, Spans] = {}
    failed, silent = [], []
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding lets go of the interpreter's lock
        heard = pool.map(lambda path: _spans(path, longest), files.values())
        for n, (own, found) in enumerate(zip(files, heard, strict=True), 1):
            spans[own] = [(None, None)] if isinstance(found, BadInput) else [*found]
            if isinstance(found, BadInput):
                failed.append(f"{show(own)} ({found})")
            elif not found:
                silent.append(own)
            if progress is not None:
                progress(n, len(files))
    return spans, [*_told(failed, silent)]


def _spans(path: str, longest: float) -> list[tuple[float, float]] | BadInput:
    from .voice import spans_of_speech

    try:
        return spans_of_speech(path, longest)
    except BadInput as error:
        return error
    except OSError as error:  # one file that cannot be opened, of thousands
        return BadInput(str(error))


def _told(failed: Sequence[str], silent: Sequence[str]) -> Iterator[str]:
    if failed:
        n = count(len(failed), "file")
        yield f"{n} whose sound cannot be heard, taken whole: {listing(failed)}"
    if silent:
        yield counted(silent, "file", "without speech left out")


def _files(folder: Path) -> tuple[dict[str, str], list[str], list[str]]:
    """Id to path of each clip, sorted by id; notes; faults: files whose links lead out."""
    place = MediaFolder(str(folder), str(folder))
    found: dict[str, tuple[int, str]] = {}
    outside, hidden = [], []
    for parent, _, names in os.walk(place.top):
        for name in names:
            stem, ending = os.path.splitext(name)
            if ending.lower() not in KNOWN:
                continue
            relative = os.path.relpath(f"{parent}/{name}", place.top)
            if name.startswith("."):
                hidden.append(relative)
                continue
            try:
                given = KNOWN.index(ending.lower()), place.path(relative)
            except Unusable as error:
                outside.append(str(error))
                continue
            own = os.path.join(os.path.dirname(relative), stem)
            found[own] = min(found.get(own, given), given)
    notes = [counted(hidden, "hidden file", "left out")] if hidden else []
    faults = [f"{count(len(outside), 'file')} outside '{folder}': {listing(outside)}"]
    files = {own: found[own][1] for own in sorted(found)}
    return files, notes, faults if outside else []


KIND = Kind(about="a folder of videos without labels, such as VoxCeleb", layout=LAYOUT, read=read)
