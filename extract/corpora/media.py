"""A folder of clips without labels or transcripts, such as VoxCeleb: one utterance a media file."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from pathlib import Path

from ...cache.corpus import Corpus
from ...cache.errors import BadCall, BadCorpus
from ...cache.validation import count, listing
from .media_folder import ENDINGS, MediaFolder, Unusable

#: Endings of media files; of several of one clip, the one named first here is taken.
KNOWN = (*ENDINGS, ".wav", ".flac", ".m4a", ".mp3")


def read(
    root: str | Path, *, valid: float = 0.05, language: str = "", name: str = "", note: str = ""
) -> Corpus:
    """Read every media file in a folder and the folders below it, a whole file an utterance.

    Ids are the paths without their endings. In ``speaker/video/clip.mp4``, VoxCeleb's layout, the
    last two folders say who speaks in what. There is nothing to test: utterances are split into
    ``train`` and ``valid``, by the digest of who speaks (else of the folder, else of the id), so
    that nobody stands in both and nobody changes sides when the folder grows.

    Args:
        root: the folder.
        valid: about this share of the speakers is for validation, and at least one.
        language: what is spoken in all of it (``en``); empty: it is not known.
        name: empty: the folder's name.
        note: shown wherever the corpus is shown.

    Raises:
        BadCorpus: there is no such folder, or fewer than two media files.
        BadCall: ``valid`` is no share.
    """
    if isinstance(valid, bool) or not isinstance(valid, int | float) or not 0 < valid < 1:
        raise BadCall(f"valid must be a share between 0 and 1, not {valid!r}")
    folder = Path(root)
    if not folder.is_dir():
        raise BadCorpus(f"'{folder}' is no folder; kind 'media' reads a folder of media files")
    files, faults = _files(folder)
    if len(files) < 2:
        raise BadCorpus(
            f"'{folder}' holds {count(len(files), 'media file')} ({', '.join(KNOWN)}), folders "
            "below it included; at least two are needed, one to learn from and one to validate by"
        )
    ids = list(files)
    speakers = [parts[-3] if len(parts := one.split("/")) > 2 else "" for one in ids]
    return Corpus.from_columns(
        {
            "id": ids,
            "media": list(files.values()),
            "speaker": speakers,
            "language": [language] * len(ids),
            "split": _splits(ids, speakers, valid),
        },
        name=name or folder.resolve().name,
        note=note,
        reading_faults=faults,
    )


def _files(folder: Path) -> tuple[dict[str, str], list[str]]:
    """Id to path of each clip, sorted by id, and faults: files whose links lead out."""
    place = MediaFolder(str(folder), str(folder))
    found: dict[str, tuple[int, str]] = {}
    outside = []
    for parent, _, names in os.walk(place.top):
        for name in names:
            stem, ending = os.path.splitext(name)
            if ending.lower() not in KNOWN:
                continue
            relative = os.path.relpath(f"{parent}/{name}", place.top)
            try:
                given = KNOWN.index(ending.lower()), place.path(relative)
            except Unusable as error:
                outside.append(str(error))
                continue
            own = os.path.join(os.path.dirname(relative), stem)
            found[own] = min(found.get(own, given), given)
    faults = [f"{count(len(outside), 'file')} outside '{folder}': {listing(outside)}"]
    return {own: found[own][1] for own in sorted(found)}, faults if outside else []


def _splits(ids: Sequence[str], speakers: Sequence[str], valid: float) -> list[str]:
    """``train`` or ``valid`` for each utterance; all of one group are on one side."""
    choices = (speakers, [os.path.dirname(one) for one in ids], ids)
    groups = next(own for own in choices if all(own) and len({*own}) > 1 or own is ids)
    place = {group: _place(group) for group in {*groups}}
    limit = max(valid, math.nextafter(min(place.values()), 1))
    held = {group for group, at in place.items() if at < limit}
    if len(held) == len(place):  # of a handful, all may fall below: the last one is learned from
        held.discard(max(place, key=lambda group: place[group]))
    return ["valid" if group in held else "train" for group in groups]


def _place(group: str) -> float:
    """A number in [0, 1) that follows from a name alone."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:6], "big") / 2**48
