"""OpenFace 2's 709 columns: FeatureExtraction run on each clip, or CSVs that it wrote before."""

from __future__ import annotations

import glob
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...cache.errors import BadCall, BadInput, NoFace, NoVideo
from ...cache.keys import WHERE
from ...cache.records import ArraySpec, Features, FeatureSpec
from ..base import Extractor, Needs
from ..clip import Clip
from .openface2_csv import COLUMNS, OpenFaceTable, read_openface
from .openface2_program import command_words, filled, program_path, run_program

#: What FeatureExtraction is asked to write.
OUTPUTS = ("-2Dfp", "-3Dfp", "-pdmparams", "-pose", "-aus", "-gaze", "-q")
MEDIA, OUT = "{media}", "{out}"
#: Folders beside the program that it reads what it has learnt from: landmarks, action units.
LEARNT = ("model", "AU_predictors", "classifiers")


@dataclass(frozen=True)
class OpenFace2(Extractor):
    """OpenFace 2's features of the one face of each picture.

    ``values`` (n_pictures, 709) in OpenFace's order and under its names (see
    ``openface2_csv.COLUMNS``): gaze, eye landmarks, head pose (mm, radians), landmarks in pixels
    and mm, parameters of its face model, action units. A row a picture, at the video's own rate;
    its time is from its timestamp to the next. A row is masked (0) where ``success`` is not 1,
    the confidence is below ``confidence``, or a value is not finite.

    OpenFace tracks: it takes the largest face it finds and follows it. It knows nothing of who
    speaks. It is run on whole media files; of an utterance that is a segment of the file the
    segment's rows are taken, so that segments share a run.

    Args:
        command: the program FeatureExtraction, or a command line that ends with it, run without
            a shell. For a container ``{media}`` stands for the folder of the media file and
            ``{out}`` for that of the result: ``docker run --rm -v {media}:{media}:ro -v
            {out}:{out} IMAGE FeatureExtraction``. A program counts by its content and that of the
            folders ``model``, ``AU_predictors`` and ``classifiers`` beside it (models elsewhere,
            as ``-mloc`` names them, do not), a command line by its text: name an image by its
            digest. A container that is ended because it took too long may have to be removed by
            hand.
        folder: CSVs made elsewhere, sub-folders included, instead of ``command``. A file is named
            after its utterance (``video/clip.csv`` or ``video_clip.csv``; its times are the
            utterance's own), or after the media file (times count from the file's start), and
            its folder where another video has a file of that name. All of it counts by content.
        flags: further arguments for FeatureExtraction, such as ``-wild``.
        confidence: least confidence of a row, in [0, 1].
        face: the ``face_id`` to take of CSVs with several faces; None: there must be one.
        timeout: seconds after which a run of FeatureExtraction is ended.

    Source:
        Baltrusaitis et al. (2018), "OpenFace 2.0: Facial Behavior Analysis Toolkit", FG.
    """

    name: ClassVar[str] = "openface2"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "vision"
    rows: ClassVar[str] = "a picture"
    sizes: ClassVar[str] = "709"
    paper: ClassVar[str] = "Baltrusaitis et al. (2018), OpenFace 2.0"
    licence: ClassVar[str] = "OpenFace: academic and non-commercial use only"
    batched: ClassVar[bool] = True
    whole_files: ClassVar[bool] = True  # segments of one file share one run
    peak_memory: ClassVar[int] = 2 << 30

    command: str = field(default="", metadata=WHERE)
    folder: str = field(default="", metadata=WHERE)
    flags: str = ""
    confidence: float = 0.0
    face: int | None = None
    timeout: float = field(default=1800.0, metadata=WHERE)

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.command) == bool(self.folder):
            raise BadCall(
                "openface2: set command to OpenFace's FeatureExtraction (a path, or a container "
                "command), or folder to CSVs that it wrote; one of them"
            )
        if not 0 <= self.confidence <= 1:
            raise BadCall(f"openface2: confidence must be in [0, 1], not {self.confidence:g}")
        if not self.timeout > 0:
            raise BadCall(f"openface2: timeout must be above 0 s, not {self.timeout:g}")
        ours = {"-f", "-out_dir", "-of", "-fdir"} & set(command_words(self.flags))
        if ours:
            raise BadCall(f"openface2: flags must not hold {', '.join(sorted(ours))}")

    @property
    def needs(self) -> Needs:
        # Whatever its rate: the program decodes the file itself.
        return Needs(frames=30.0, name=bool(self.folder))

    @property
    def spec(self) -> FeatureSpec:
        return {"values": ArraySpec((len(COLUMNS),), "float32", COLUMNS)}

    def weights(self) -> Mapping[str, Path | str]:
        if self.folder:
            return {"tables": Path(self.folder).expanduser()}
        words = command_words(self.command)
        if len(words) > 1:
            return {"program": self.command}
        program = Path(program_path(words[0]))
        beside = {name: program.parent / name for name in LEARNT}
        return {"program": program, **{n: path for n, path in beside.items() if path.is_dir()}}

    def extract(self, clip: Clip) -> Features:
        """Map a clip to OpenFace's rows.

        Raises:
            NoFace: no row has a face.
            NoVideo: there is no media file.
            BadInput: FeatureExtraction crashed, took too long or wrote no whole CSV; or no CSV of
                the folder belongs to the clip.
            BadCall: there is no such program or folder.
        """
        (found,) = self.many([clip])
        if isinstance(found, Exception):
            raise found
        return found

    def many(self, clips: Sequence[Clip], device: str = "cpu") -> Iterator[Features | Exception]:
        """Features of many clips; those that are segments of one file share a run, or its failure.

        A file's table is held until the last of its segments has its rows.
        """
        files = _tables(Path(self.folder).expanduser()) if self.folder else {}
        left = Counter(clip.media for clip in clips)
        runs: dict[str, OpenFaceTable | BadInput] = {}
        for clip in clips:
            try:
                if clip.media is None:
                    raise NoVideo(f"utterance '{clip.id}' has no media file, so no pictures")
                if self.folder:
                    path, whole = _table_of(clip, files, self.folder)
                    yield self._features(clip, read_openface(path, self.face), whole)
                    continue
                if clip.media not in runs:
                    runs[clip.media] = self._run(clip.media)
                left[clip.media] -= 1
                table = runs[clip.media] if left[clip.media] else runs.pop(clip.media)
                if isinstance(table, BadInput):
                    raise BadInput(f"'{clip.id}': {table}") from table
                yield self._features(clip, table, True)
            except BadCall:
                raise
            except Exception as error:  # recorded by the caller with its utterance
                yield error

    def _features(self, clip: Clip, table: OpenFaceTable, whole: bool) -> Features:
        """Rows of the utterance; ``whole``: times count from the start of the media file."""
        times, keep = table.times(), np.ones(len(table.starts), bool)
        if whole:
            start = clip.start or 0.0
            keep = (times[:, 1] > start) & (
                times[:, 0] < (np.inf if clip.end is None else clip.end)
            )
            times = np.maximum(times - start, 0)
        if not keep.any():
            raise BadInput(f"OpenFace has no picture of '{clip.id}' in its segment")
        values, times = table.values[keep], times[keep]
        mask = table.success[keep] & (table.confidence[keep] >= self.confidence)
        finite = np.isfinite(values).all(axis=1)
        if (mask & ~finite).any():
            clip.warn(
                f"OpenFace gave values that are not finite in {int((mask & ~finite).sum())} rows; "
                "they are masked"
            )
        mask &= finite
        if not mask.any():
            raise NoFace(
                f"OpenFace tracked no face in any of {len(mask)} pictures of '{clip.id}' with a "
                f"confidence of at least {self.confidence:g}"
            )
        values[~mask] = 0
        return Features(values.astype(np.float32), times, COLUMNS, mask)

    def _run(self, file: str) -> OpenFaceTable | BadInput:
        """What one run of FeatureExtraction on a media file gave, or what went wrong."""
        media = Path(file).resolve()
        if not media.is_file():
            return BadInput(f"there is no file {media}")
        with tempfile.TemporaryDirectory(prefix="openface2-") as out:
            places = {MEDIA: str(media.parent), OUT: out}
            words = [filled(word, places) for word in command_words(self.command)]
            arguments = ["-f", str(media), "-out_dir", out, "-of", "clip", *OUTPUTS]
            command = [program_path(words[0]), *words[1:], *arguments, *command_words(self.flags)]
            try:
                said = run_program(command, self.timeout)
            except BadInput as error:
                return error
            table = Path(out) / "clip.csv"
            if not table.is_file():
                return BadInput(f"FeatureExtraction wrote no CSV; the last it said: {said or '-'}")
            try:
                return read_openface(table, self.face)
            except BadInput as error:
                return BadInput(f"what FeatureExtraction wrote: {error}")


def _tables(folder: Path) -> dict[str, Path]:
    """CSVs under a folder by their path in it without the ending.

    Raises:
        BadCall: there is none.
    """
    files = sorted(file for file in folder.rglob("*.csv") if file.is_file())
    if not files:
        raise BadCall(f"openface2: no CSV in the folder {folder}")
    return {file.relative_to(folder).with_suffix("").as_posix(): file for file in files}


def _table_of(clip: Clip, files: Mapping[str, Path], folder: str) -> tuple[Path, bool]:
    """A clip's CSV, and whether its times count from the start of the media file.

    Raises:
        BadInput: there is none, or which one is open.
    """
    for name in (clip.id, clip.id.replace("/", "_")):
        if name in files:
            return files[name], False
    media = Path(str(clip.media))
    if (name := f"{media.parent.name}/{media.stem}") in files:
        return files[name], True
    same = [file for file in files.values() if file.stem == media.stem]
    if media.stem in files:
        same = [files[media.stem]]
    if len(same) == 1:
        _check_alone(clip, media, same[0])
        return same[0], True
    found = f"{len(same)} files" if same else "none"
    raise BadInput(
        f"of the CSVs in {folder}, {found} can be that of '{clip.id}': wanted is '{clip.id}.csv', "
        f"or one named after the media file, '{media.stem}.csv'"
    )


def _check_alone(clip: Clip, media: Path, table: Path) -> None:
    """Refuse a CSV that is named after the media file alone, where another video's has that name.

    Raises:
        BadInput: a folder beside the media file's own holds a file of the same name.
    """
    for other in media.parent.parent.glob(f"*/{glob.escape(media.name)}"):
        if other.parent.name != media.parent.name:
            raise BadInput(
                f"'{table}' can be that of '{clip.id}' or of '{other}', whose names are the same: "
                f"call it '{media.parent.name}/{media.stem}.csv'"
            )
