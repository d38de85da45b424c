import json
import os
import sys
import time

import numpy as np
import pytest

import affectflow
from affectflow.cache.errors import BadCall, BadInput, NoFace, NoVideo
from affectflow.extract.clip import Clip
from affectflow.extract.registry import extractor
from affectflow.extract.vision.openface2_csv import COLUMNS

#: A stand-in for FeatureExtraction: writes the CSV beside it, or behaves as it is told.
PROGRAM = """#!{python} -S
import os, pathlib, signal, subprocess, sys, time
here = pathlib.Path(__file__).parent
behaviour = "{behaviour}"
arguments = sys.argv[1:]
with open(here / "calls", "a") as calls:
    calls.write(" ".join(arguments) + chr(10))
out = pathlib.Path(arguments[arguments.index("-out_dir") + 1])
name = arguments[arguments.index("-of") + 1]
text = (here / "table.csv").read_text()
print("Reading the CLNF model from: model/main_ceclm_general.txt")
if behaviour == "crash":
    print("terminate called: Could not open the video", flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)
if behaviour == "status":
    print("Failed to open the model")
    sys.exit(3)
if behaviour == "library":
    print("error while loading shared libraries: libopenblas.so.0")
    sys.exit(127)
if behaviour == "hang":
    child = subprocess.Popen(["sleep", "60"])
    (here / "child").write_text(str(child.pid))
    time.sleep(60)
if behaviour == "truncate":
    text = text[:-500]
if behaviour != "nothing":
    (out / f"{{name}}.csv").write_text(text)
"""


@pytest.fixture
def program(tmp_path, openface_csv):
    """The function `make`: a stand-in for FeatureExtraction that behaves in a given way."""
    folder = tmp_path / "open face"
    folder.mkdir()
    openface_csv(folder / "table.csv", 5)

    def make(behaviour="work"):
        path = folder / "FeatureExtraction"
        path.write_text(PROGRAM.format(python=sys.executable, behaviour=behaviour))
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def clip(tmp_path):
    media = tmp_path / "talk.mp4"
    media.write_bytes(b"not looked at by the stand-in")
    return Clip("video/talk", media=str(media))


def run(path, clip, **settings):
    return extractor("openface2", command=f"'{path}'", **settings).extract(clip)


def test_runs_the_program_once_and_reads_its_table(program, clip):
    found = run(program(), clip, flags="-wild")
    assert found.columns == COLUMNS
    assert found.values.shape == (5, 709)
    np.testing.assert_allclose(found.times[:, 0], np.arange(5) / 25)
    (call,) = (program().parent / "calls").read_text().splitlines()
    assert call.startswith(f"-f {clip.media} -out_dir ")
    assert call.endswith("-of clip -2Dfp -3Dfp -pdmparams -pose -aus -gaze -q -wild")


def test_rows_that_failed_or_are_unsure_or_not_finite_are_masked(program, clip, openface_csv):
    path = program()
    table = openface_csv(
        path.parent / "table.csv", 5, success=[1, 0, 1, 1, 1], confidence=[0.9, 0, 0.5, 0.9, 0.9]
    )
    table.write_text(table.read_text().replace("3.005", "nan"))
    found = run(path, clip, confidence=0.8)
    assert found.mask.tolist() == [True, False, False, False, True]
    assert (found.values[~found.mask] == 0).all()
    assert clip.warnings == ["OpenFace gave values that are not finite in 1 rows; they are masked"]


def test_a_clip_without_a_tracked_face_is_an_error(program, clip, openface_csv):
    path = program()
    openface_csv(path.parent / "table.csv", 5, success=[0] * 5)
    with pytest.raises(NoFace, match="no face in any of 5 pictures of 'video/talk'"):
        run(path, clip)


@pytest.mark.parametrize("behaviour", ["work", "status"])
def test_segments_of_one_file_share_a_run_or_its_failure_in_any_order(
    program, clip, tmp_path, behaviour
):
    path = program(behaviour)
    other = tmp_path / "other.mp4"
    other.write_bytes(b"")
    files = [clip.media, str(other)] * 3
    clips = [Clip(str(k), media, k * 0.02, 0.2) for k, media in enumerate(files)]
    found = list(extractor("openface2", command=f"'{path}'").many(clips))
    assert len((path.parent / "calls").read_text().splitlines()) == 2
    if behaviour == "work":
        assert [len(rows) for rows in found] == [5, 5, 4, 4, 3, 3]
    else:
        said = "FeatureExtraction left with status 3; the last it said: Failed to open the model"
        assert [str(error) for error in found] == [f"'{k}': {said}" for k in range(6)]


def test_a_run_brings_the_segments_of_a_file_together(program, tmp_path):
    path, lines = program(), ["id,media,start,end,text"]
    for file in "abc":
        (tmp_path / f"{file}.mp4").write_bytes(file.encode())
        lines += [f"{file}/{k},{file}.mp4,{k / 100},{k / 100 + 0.1},hello" for k in range(15)]
    (tmp_path / "corpus.csv").write_text("\n".join(lines) + "\n")
    node = {"extract": "openface2", "command": f"'{path}'"}
    recipe = {"name": "r", "corpus": {"root": str(tmp_path / "corpus.csv")}, "nodes": {"of": node}}
    (tmp_path / "r.yaml").write_text(json.dumps(recipe))
    done = affectflow.run(tmp_path / "r.yaml", cache=str(tmp_path / "cache"), scheduler="sync")
    assert len(done.table("of").ids) == 45
    assert len((path.parent / "calls").read_text().splitlines()) == 3


def test_a_segment_takes_its_rows_and_neighbours_share_a_run(program, clip):
    path = program()
    first = Clip("a", media=clip.media, start=0.0, end=0.08)
    second = Clip("b", media=clip.media, start=0.1, end=0.2)
    late = Clip("c", media=clip.media, start=5.0)
    one, two, three = extractor("openface2", command=f"'{path}'").many([first, second, late])
    np.testing.assert_array_equal(one.values[:, 0], [0, 1])
    np.testing.assert_array_equal(two.values[:, 0], [2, 3, 4])
    np.testing.assert_allclose(two.times[0], [0, 0.02])
    assert "no picture of 'c' in its segment" in str(three)
    assert len((path.parent / "calls").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (
            "crash",
            "'video/talk': FeatureExtraction was ended by signal 11; the last it said: terminate",
        ),
        ("status", "FeatureExtraction left with status 3; the last it said: Failed to open"),
        ("nothing", "FeatureExtraction wrote no CSV; the last it said: Reading the CLNF"),
        ("truncate", "what FeatureExtraction wrote: clip.csv: row 5 has .* it was cut off"),
    ],
)
def test_says_what_went_wrong_with_one_clip(program, clip, behaviour, message):
    with pytest.raises(BadInput, match=message):
        run(program(behaviour), clip)


def test_a_program_that_hangs_is_ended_with_its_children(program, clip):
    path = program("hang")
    began = time.monotonic()
    with pytest.raises(BadInput, match="took more than 1 s and was ended"):
        run(path, clip, timeout=1)
    assert time.monotonic() - began < 20
    child = int((path.parent / "child").read_text())
    for _ in range(100):
        if not os.path.exists(f"/proc/{child}") or "Z" in _state(child):
            break
        time.sleep(0.05)
    else:
        pytest.fail("the child lives on")


def _state(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().split()[2]
    except FileNotFoundError:
        return "Z"


def test_a_missing_program_or_library_ends_the_run(program, clip, tmp_path):
    with pytest.raises(BadCall, match="no program '/no/where'; set command to the path"):
        run("/no/where", clip)
    with pytest.raises(BadCall, match="no program"):
        extractor("openface2", command="/no/where").weights()
    with pytest.raises(BadCall, match="did not start: error while loading shared libraries: libo"):
        run(program("library"), clip)
    broken = tmp_path / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    with pytest.raises(BadCall, match="broken cannot be run: No such file"):
        run(broken, clip)


def test_a_container_command_gets_the_folders_of_media_and_result(program, clip):
    path = program()
    command = f"env MEDIA={{media}} OUT={{out}} '{path}'"
    found = extractor("openface2", command=command).extract(clip)
    assert len(found) == 5
    assert extractor("openface2", command=command).weights() == {"program": command}
    assert extractor("openface2", command=f"'{path}'").weights() == {"program": path}


def test_what_the_program_has_learnt_counts_with_it(program):
    path = program()
    for name in ("model", "AU_predictors", "lib"):
        (path.parent / name).mkdir()
    wanted = {"program": path, "model": path.parent / "model"}
    wanted["AU_predictors"] = path.parent / "AU_predictors"
    assert extractor("openface2", command=f"'{path}'").weights() == wanted


@pytest.mark.parametrize(
    ("file", "own"),
    [
        ("video/talk.csv", True),
        ("video_talk.csv", True),
        ("talk.csv", False),
        ("deep/below/talk.csv", False),
    ],
)
def test_reads_tables_made_elsewhere(tmp_path, openface_csv, file, own):
    path = tmp_path / "tables" / file
    path.parent.mkdir(parents=True)
    openface_csv(path, 5)
    clip = Clip("video/talk", media="/data/raw/talk.mp4", start=0.08, end=0.16)
    node = extractor("openface2", folder=str(tmp_path / "tables"))
    assert node.weights() == {"tables": tmp_path / "tables"}
    assert len(node.extract(clip)) == (5 if own else 2)


def test_a_name_that_two_videos_have_tells_nothing(tmp_path, openface_csv):
    clips = []
    for video in ("one", "two"):
        path = tmp_path / "Raw" / video / "0001.mp4"
        path.parent.mkdir(parents=True)
        path.touch()
        clips.append(Clip(f"{video}#0001", media=str(path)))
    (tmp_path / "tables").mkdir()
    openface_csv(tmp_path / "tables" / "0001.csv", 5)
    node = extractor("openface2", folder=str(tmp_path / "tables"))
    with pytest.raises(BadInput, match="of 'one#0001' or of '.*/two/0001.mp4'.* 'one/0001.csv'"):
        node.extract(clips[0])
    (tmp_path / "tables" / "two").mkdir()
    openface_csv(tmp_path / "tables" / "two" / "0001.csv", 3)
    assert len(node.extract(clips[1])) == 3


def test_says_which_table_is_missing_or_open(tmp_path, openface_csv):
    node = extractor("openface2", folder=str(tmp_path))
    clip = Clip("video/talk", media="/data/raw/talk.mp4")
    with pytest.raises(BadCall, match="no CSV in the folder"):
        node.extract(clip)
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        openface_csv(tmp_path / part / "talk.csv", 2)
    with pytest.raises(BadInput, match="2 files can be that of 'video/talk': wanted is"):
        node.extract(clip)
    with pytest.raises(BadInput, match="none can be that of 'video/walk'"):
        node.extract(Clip("video/walk", media="/data/raw/walk.mp4"))


def test_refuses_an_utterance_without_media(program):
    with pytest.raises(NoVideo, match="'talk' has no media file"):
        run(program(), Clip("talk"))
    with pytest.raises(BadInput, match="there is no file /no/talk.mp4"):
        run(program(), Clip("talk", media="/no/talk.mp4"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "set command to OpenFace's FeatureExtraction .* one of them"),
        ({"command": "a", "folder": "b"}, "one of them"),
        ({"command": "a", "confidence": 2}, r"confidence must be in \[0, 1\], not 2"),
        ({"command": "a", "timeout": 0}, "timeout must be above 0 s, not 0"),
        ({"command": "a", "flags": "-of x"}, "flags must not hold -of"),
        ({"command": "a", "flags": "'"}, "is no command line: No closing quotation"),
    ],
)
def test_refuses_settings_that_do_not_go(settings, message):
    with pytest.raises(BadCall, match=f"openface2: .*{message}"):
        extractor("openface2", **settings)
