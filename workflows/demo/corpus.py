"""Make the demo corpus in a folder, whole, once."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ...cache.corpus import FILE, Corpus
from ...cache.errors import BadCall
from ...cache.names import PART, alive, writer_of
from ...cache.publish import make_folder, publish
from ...cache.records import Utterance
from .takes import Take, plan_takes

#: Raised when the same seed gives other files.
VERSION = 1
NOTE = "synthetic demo corpus: one photographed face, warped; synthesised sound; made-up sentences"
#: Written first and last: says what the folder holds, and whether that is complete.
STAMP = "demo.json"
ANNOTATIONS = {-1: "Negative", 0: "Neutral", 1: "Positive"}
README = """\
This corpus is SYNTHETIC. Nobody said any of this.

affectflow made it (demo version {version}, seed {seed}, {n} utterances) so that its first run
needs no download. It shows that the software works; scores on it say nothing about any method.

Picture   one public-domain photograph of a face (Eileen Collins, NASA; shipped with scikit-image),
          warped by computer: mouth, brows and head move, and each "speaker" has other colours.
          The person in the photograph has nothing to do with the words or feelings shown.
Sound     formant synthesis with the rhythm and melody of speech; it has no words to understand.
Text      templates filled with words of known sentiment.
Labels    random numbers, drawn first. label_T chose the words, label_A the prosody, label_V the
          expression, each with noise; label is their weighted mean; label_TA, label_TV and
          label_AV are means of two.

Layout    that of CH-SIMS: Raw/<video_id>/<clip_id>.mp4 and label.csv. Labels go from -1 to 1 in
          steps of 0.2, mode is the split, and no speaker is in two splits. corpus.parquet is the
          same table as affectflow reads it.
"""


def make_demo(
    folder: Path,
    n: int = 60,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Corpus:
    """Make the demo corpus in a folder, or read it where it stands already.

    Files that are there are left alone, those that are missing are made; so a making that was
    stopped goes on where it was. The same n and seed give the same bytes.

    Args:
        folder: made if missing; must be empty or hold this very demo.
        n: utterances, 3 or more.
        seed: any whole number from 0.
        progress: called with (clips that are there, n) after each clip.

    Raises:
        BadCall: n or seed is impossible, or the folder holds something else.
        StoreFull: the file system has no room.
        StoreReadOnly: the folder cannot be written to.
    """
    if n < 3:
        raise BadCall(f"a demo corpus needs 3 utterances or more, one a split, not n={n}")
    if seed < 0:
        raise BadCall(f"the demo's seed is a whole number from 0, not {seed}")
    folder = Path(folder)
    identity: dict[str, Any] = {"affectflow demo": VERSION, "n": n, "seed": seed}
    stamp = _check(folder, identity)
    if stamp and stamp.get("complete") and all((folder / f).exists() for f in stamp["files"]):
        return Corpus.read(folder)
    takes = plan_takes(n, seed)
    files = [*(take.media for take in takes), "label.csv", "README.txt", FILE]
    make_folder(folder)
    _write_stamp(folder, {**identity, "complete": False, "files": files})
    _make_media(folder, takes, seed, progress)
    publish(folder / "label.csv", _label_table(takes))
    readme = README.format(version=VERSION, n=n, seed=seed)
    publish(folder / "README.txt", readme.encode())
    if not (folder / FILE).exists():
        _as_corpus(folder, takes).write(folder)
    _sweep(folder)
    _write_stamp(folder, {**identity, "complete": True, "files": files})
    return Corpus.read(folder)


def _check(folder: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """The stamp of a folder that may be used; None where there is nothing yet.

    Raises:
        BadCall: the folder holds something else.
    """
    if not folder.exists():
        return None
    if not folder.is_dir():
        raise BadCall(f"the demo corpus needs a folder, but '{folder}' is a file")
    mend = "Choose another folder, or delete it first"
    stamp = _read_stamp(folder / STAMP)
    if stamp is None:
        found = sorted(item.name for item in folder.iterdir() if not item.name.startswith("."))
        if found:
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""
            raise BadCall(
                f"the demo corpus needs an empty folder, but '{folder}' holds other things: "
                f"{', '.join(found[:3])}{more}. {mend}"
            )
        return None
    if any(stamp.get(key) != value for key, value in identity.items()):
        raise BadCall(
            f"'{folder}' holds another demo corpus ({_show(stamp)}) than was asked for "
            f"({_show(identity)}). {mend}"
        )
    return stamp


def _read_stamp(path: Path) -> dict[str, Any] | None:
    try:
        stamp = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise BadCall(f"'{path}' is no stamp of a demo corpus: {error}") from error
    if not isinstance(stamp, dict) or "affectflow demo" not in stamp:
        raise BadCall(f"'{path}' is no stamp of a demo corpus")
    return stamp


def _show(stamp: dict[str, Any]) -> str:
    return f"version {stamp['affectflow demo']}, n={stamp.get('n')}, seed={stamp.get('seed')}"


def _write_stamp(folder: Path, stamp: dict[str, Any]) -> None:
    publish(folder / STAMP, json.dumps(stamp, indent=1).encode(), replace=True)


def _make_media(
    folder: Path,
    takes: Sequence[Take],
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Render the clips that are missing, two at a time: encoder and numpy leave the lock free."""
    from .render import render

    missing = [take for take in takes if not (folder / take.media).exists()]
    done = len(takes) - len(missing)

    def make(take: Take) -> None:
        publish(folder / take.media, render(take, seed))

    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(make, take) for take in missing]
        try:
            for job in jobs:
                job.result()
                done += 1
                if progress:
                    progress(done, len(takes))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _sweep(folder: Path) -> None:
    """Remove what a killed making left half-written."""
    for part in folder.rglob(f".*{PART}"):
        writer = writer_of(part)
        if writer and not alive(*writer):
            part.unlink(missing_ok=True)


def _label_table(takes: Sequence[Take]) -> bytes:
    columns = ["video_id", "clip_id", "text", "label"]
    unimodal_and_pairs = ["T", "A", "V", "TA", "TV", "AV"]
    columns += [f"label_{task}" for task in unimodal_and_pairs]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*columns, "annotation", "mode", "speaker"])
    for take in takes:
        m = take.labels["M"]
        labels = [f"{take.labels[task]:.1f}" for task in ("M", *unimodal_and_pairs)]
        annotation = ANNOTATIONS[(m > 0) - (m < 0)]
        writer.writerow(
            [
                take.video_id,
                take.clip_id,
                take.text,
                *labels,
                annotation,
                take.split,
                _speaker(take),
            ]
        )
    return text.getvalue().encode()


def _speaker(take: Take) -> str:
    return f"speaker_{take.speaker + 1:02d}"


def _as_corpus(folder: Path, takes: Sequence[Take]) -> Corpus:
    utterances = [
        Utterance(
            id=f"{take.video_id}/{take.clip_id}",
            media=str(folder / take.media),
            text=take.text,
            speaker=_speaker(take),
            language="en",
            split=take.split,
            labels=take.labels,
        )
        for take in takes
    ]
    return Corpus.from_utterances(
        utterances, name="demo", family="sims", label_range=(-1.0, 1.0), note=NOTE
    )
