"""IEMOCAP: utterances inside recordings of whole dialogues, with emotion and its dimensions.

Source:
    Busso et al. (2008), "IEMOCAP: interactive emotional dyadic motion capture database", Language
    Resources and Evaluation 42, 335-359; counts of the release's EmoEvaluation files.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...cache.corpus import Corpus
from ...cache.errors import BadCall, BadCorpus
from ...cache.labels import DIMENSIONS
from ...cache.validation import count, listing, show
from .kind import Kind, counted
from .media_folder import MediaFolder, Unusable
from .repairs import without_doubles
from .sheet import read_text

LAYOUT = """\
Session1/dialog/EmoEvaluation/Ses01F_impro01.txt
Session1/dialog/transcriptions/Ses01F_impro01.txt
Session1/dialog/avi/DivX/Ses01F_impro01.avi    (or dialog/wav/Ses01F_impro01.wav: sound alone)
and so on, up to Session5"""
EVALUATIONS, TRANSCRIPTS = "dialog/EmoEvaluation", "dialog/transcriptions"
#: Folders of the recordings; of several of one dialogue, the one named first here is taken.
RECORDINGS = (("dialog/avi/DivX", ".avi"), ("dialog/avi", ".avi"), ("dialog/wav", ".wav"))
SESSIONS = range(1, 6)
_NUMBER = r"\d+(?:\.\d+)?"
#: A turn: ``[6.2901 - 8.2357]  Ses01F_impro01_F000  neu  [2.5000, 2.5000, 2.5000]``, by tabs.
_TURN = re.compile(
    rf"\[(?P<start>{_NUMBER})\s*-\s*(?P<end>{_NUMBER})\]\s+"
    r"(?P<id>Ses(?P<session>\d\d)\S*_(?P<who>[FM])\d+)\s+(?P<emotion>\w+)\s+"
    rf"\[(?P<valence>{_NUMBER}),\s*(?P<arousal>{_NUMBER}),\s*(?P<dominance>{_NUMBER})\]"
)
#: What was said: ``Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.``
_SAID = re.compile(r"(?P<id>Ses\S+)\s*\[[^\]]*\]\s*:\s*(?P<text>.*)")
#: Labels that are no emotion: the judges did not agree, or meant another one.
NO_EMOTION = {"xxx": "of no agreement", "oth": "of another emotion"}


class Turn(NamedTuple):
    """One utterance of a dialogue."""

    session: int
    dialogue: str
    number: int
    said: re.Match[str]


def read(
    root: str | Path,
    *,
    test_session: int = 5,
    valid_session: int = 4,
    name: str = "",
    note: str = "",
) -> Corpus:
    """Read every turn that was judged: its time in the dialogue's recording, words, labels.

    Nothing is cut out of the recordings: an utterance is their stretch from ``start`` to ``end``.
    Both speakers are in the picture. There are no official splits; sessions, of two speakers each,
    are split here, or left out in turn by ``folds: sessions``. Turns of the emotions ``xxx`` (no
    agreement) and ``oth`` keep their dimensions and have no emotion.

    Args:
        root: the folder with ``Session1`` to ``Session5``.
        test_session: number of the session that is in ``test``.
        valid_session: number of the one in ``valid``.
        name: empty: ``iemocap``.
        note: shown wherever the corpus is shown.

    Raises:
        BadCorpus: there is no such folder, or no turn in it.
        BadCall: there is no such session, or it is asked for twice.
    """
    held = _held(test_session, valid_session)
    folder = Path(root)
    KIND.require(folder)
    notes: list[str] = []
    faults: list[str] = []
    turns = [turn for k in SESSIONS for turn in _session(folder, k, notes, faults)]
    if not turns:
        raise BadCorpus(f"no turn is in the files of '{folder}/Session*/{EVALUATIONS}'")
    texts = {k: v for session in SESSIONS for k, v in _texts(folder, session, notes).items()}
    media, outside = _media(folder, turns)
    silent = [own for turn in turns if (own := turn.said["id"]) not in texts]
    columns, doubled = without_doubles({**_columns(turns, texts, held), "media": media})
    notes += [counted(silent, "turn", "without a transcript")] if silent else []
    return Corpus.from_columns(
        columns,
        name=name or "iemocap",
        note=note,
        notes=(*notes, *_unlabelled(turns), *doubled),
        reading_faults=(*faults, *outside),
    )


def _columns(
    turns: Sequence[Turn], texts: Mapping[str, str], held: Mapping[int, str]
) -> dict[str, list[Any]]:
    """Columns of the corpus, but for the media."""
    said = [turn.said for turn in turns]
    emotions = ["" if own["emotion"] in NO_EMOTION else own["emotion"] for own in said]
    return {
        **{name: [own[name] for own in said] for name in ("id", "start", "end", *DIMENSIONS)},
        "emotion": emotions,
        "text": [texts.get(own["id"], "") for own in said],
        "speaker": [f"Ses{own['session']}_{own['who']}" for own in said],
        "language": ["en"] * len(turns),
        "dialogue": [turn.dialogue for turn in turns],
        "turn": [turn.number for turn in turns],
        "split": [held.get(turn.session, "train") for turn in turns],
    }


def _held(test: int, valid: int) -> dict[int, str]:
    if test == valid or not {test, valid} <= {*SESSIONS}:
        raise BadCall(
            "test_session and valid_session are two different ones of "
            f"{', '.join(map(str, SESSIONS))}, not {test!r} and {valid!r}"
        )
    return {test: "test", valid: "valid"}


def _files(folder: Path) -> list[Path]:
    """Text files of a folder; those that begin with a dot are other systems' leavings."""
    return sorted(path for path in folder.glob("*.txt") if not path.name.startswith("."))


def _session(root: Path, session: int, notes: list[str], faults: list[str]) -> list[Turn]:
    """Turns of a session, dialogue by dialogue, in the order of their times."""
    files = _files(root / f"Session{session}" / EVALUATIONS)
    if not files:
        notes.append(f"nothing of session {session}: no file in Session{session}/{EVALUATIONS}")
    turns, unread = [], []
    for file in files:
        text, said = read_text(file)
        notes += said
        found = []
        for number, line in enumerate(text.splitlines(), 1):
            match = _TURN.match(line)
            if match:
                found.append(match)
            elif line.startswith("["):
                unread.append(f"'{file.name}', line {number} ({show(line)})")
        found.sort(key=lambda match: float(match["start"]))
        turns += [Turn(session, file.stem, i, match) for i, match in enumerate(found)]
    if unread:
        faults.append(f"{count(len(unread), 'line')} not read as a turn: {listing(unread)}")
    return turns


def _texts(root: Path, session: int, notes: list[str]) -> dict[str, str]:
    """What was said, by the name of the turn."""
    texts = {}
    for file in _files(root / f"Session{session}" / TRANSCRIPTS):
        text, said = read_text(file)
        notes += said
        for line in text.splitlines():
            match = _SAID.match(line.strip())
            if match:
                texts[match["id"]] = match["text"].strip()
    return texts


def _media(root: Path, turns: Sequence[Turn]) -> tuple[list[str], list[str]]:
    """Path of each turn's recording, and faults."""
    place = MediaFolder(os.path.abspath(root), os.path.abspath(root))
    outside: dict[str, str] = {}
    paths: dict[str, str] = {}
    for turn in turns:
        if turn.dialogue in paths:
            continue
        inside = [f"Session{turn.session}/{f}/{turn.dialogue}{end}" for f, end in RECORDINGS]
        there = next((own for own in inside if (root / own).is_file()), inside[0])
        try:
            paths[turn.dialogue] = place.path(there)
        except Unusable as error:
            paths[turn.dialogue] = ""
            outside[turn.dialogue] = f"{show(turn.dialogue)} ({error})"
    n = count(len(outside), "recording")
    faults = [f"{n} outside '{root}': {listing([*outside.values()])}"] if outside else []
    return [paths[turn.dialogue] for turn in turns], faults


def _unlabelled(turns: Iterable[Turn]) -> list[str]:
    found = Counter(turn.said["emotion"] for turn in turns)
    return [
        f"{count(found[word], 'turn')} {what} ('{word}') left without an emotion"
        for word, what in NO_EMOTION.items()
        if found[word]
    ]


KIND = Kind(
    about="IEMOCAP: the full release, utterances as stretches of the dialogues' recordings",
    layout=LAYOUT,
    read=read,
    marks=(f"Session[1-5]/{EVALUATIONS}",),
    paper="the full release of Busso et al. (2008)",
    counts={
        f"Session{k}": n for k, n in zip(SESSIONS, (1819, 1811, 2136, 2103, 2170), strict=True)
    },
    part_of=lambda corpus: [f"Session{int(own[3:5])}" for own in corpus.ids],
)
