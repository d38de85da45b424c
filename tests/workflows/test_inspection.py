import av
import numpy as np
import pytest
from click.testing import CliRunner
from skimage import data

from affectflow.cache.corpus import Corpus
from affectflow.cache.errors import BadCall
from affectflow.cache.records import Features, Utterance
from affectflow.extract.clip import Frame
from affectflow.extract.vision.chosen import TRACK_COLUMNS, chosen_faces
from affectflow.extract.vision.crops import Window
from affectflow.extract.vision.faces import TrackedFaces
from affectflow.workflows import cli, inspection_drawing, inspection_text
from affectflow.workflows.inspection import Inspection, WatchedClip, look_at, utterance_of
from affectflow.workflows.inspection_drawing import BELOW, Drawer, Strip, colour_of, fitted
from affectflow.workflows.inspection_text import MISSING, MORE, drawable, width, wrapped
from affectflow.workflows.result import Reporter

LEFT, RIGHT = (20, 30, 60, 80), (100, 30, 140, 80)
N = 10


class Heard(Reporter):
    """Counts what it hears."""

    def __init__(self):
        self.done, self.notes = {}, []

    def advance(self, stage, done, failed=0):
        self.done[stage] = self.done.get(stage, 0) + done

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Call the command line in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(cli.main, ["inspect", *map(str, words)])


@pytest.fixture(scope="module")
def talk(tmp_path_factory, make_clip):
    """0.6 s of one face, with sound."""
    face = data.astronaut()[:240, 100:340]
    sound = 0.3 * np.sin(2 * np.pi * 220 * np.arange(26460) / 44100)
    pictures = [np.roll(face, k, axis=1) for k in range(15)]
    path = tmp_path_factory.mktemp("talk") / "talk.mp4"
    return make_clip(path, pictures=pictures, sound=sound)


@pytest.fixture
def seen():
    """Two faces in ten pictures: the right one is chosen, but for the last five; one is filled."""
    rows = []
    for picture in range(N):
        for track, box in ((1, LEFT), (2, RIGHT)):
            row = dict.fromkeys(TRACK_COLUMNS, 0.0)
            row.update(zip(("x1", "y1", "x2", "y2"), box, strict=True))
            row.update(track=track, frame_height=120, frame_width=160, shown=picture / 25)
            row.update(detected=float(picture > 0), probability=0.9, shot=float(picture >= 5))
            rows.append((picture / 25, *row.values()))
    table = np.array(rows)
    times = np.stack([table[:, 0], table[:, 0] + 0.04], axis=1)
    tracks = Features(table[:, 1:].astype(np.float32), times, TRACK_COLUMNS)
    score = np.where(tracks.values[:, TRACK_COLUMNS.index("track")] == 2, 2.0, -1.0)
    chosen = chosen_faces(tracks, np.array([2] * 5 + [-1] * 5), score)
    clip = WatchedClip("c", "c.mp4", text="what a day")
    return Inspection(
        clip, 25.0, tracks, chosen, "mouth-motion", Window(32), np.ones(N), Reporter()
    )


def picture(number):
    """A dark picture; nothing in it is of a colour that is drawn."""
    return Frame(np.full((120, 160, 3), 30, np.uint8), number / 25, number / 25, number)


def test_draws_every_face_and_rims_the_chosen_one_in_white(seen):
    drawn = Drawer(seen, (160, 120)).picture(1, picture(1))
    middle = (LEFT[1] + LEFT[3]) // 2
    assert tuple(drawn[middle, LEFT[0]]) == colour_of(1)
    assert drawn[middle, LEFT[0] - 2].max() < 60  # a black rim, in which the colour ends
    assert tuple(drawn[middle, RIGHT[0]]) == colour_of(2)
    assert drawn[middle, RIGHT[0] - 3].min() > 180  # a white one


def test_a_face_that_was_not_seen_has_corners_only(seen):
    drawn = Drawer(seen, (160, 120)).picture(0, picture(0))
    assert tuple(drawn[(LEFT[1] + LEFT[3]) // 2, LEFT[0]]) == (30, 30, 30)
    assert tuple(drawn[LEFT[3] - 4, LEFT[0]]) == colour_of(1)


def test_pictures_of_another_size_stand_in_the_middle_of_the_first_ones_size(seen):
    frame = Frame(np.full((120, 40, 3), 30, np.uint8), 0.04, 0.04, 1)
    drawn = Drawer(seen, (160, 120)).picture(1, frame)
    assert drawn.shape == (120, 160, 3)
    assert tuple(drawn[5, 5]) == inspection_drawing.DARK
    assert tuple(drawn[100, 80]) == (30, 30, 30)


def test_the_crop_is_what_a_network_sees_or_is_crossed_out(seen):
    frame = picture(1)
    frame.image[50:60, 115:125] = (250, 0, 0)  # the middle of the right face
    crop = Drawer(seen, (160, 120)).crop(frame, 32)
    assert tuple(crop[16, 16]) == (250, 0, 0)
    assert tuple(Drawer(seen, (160, 120)).crop(picture(7), 32)[16, 16]) != (30, 30, 30)


def test_the_strip_shows_score_chosen_face_cut_and_time(seen):
    strip = Strip(seen, 400)
    still, at = strip.still, strip.at(0.3)
    assert tuple(still[-8, 100]) == colour_of(2)  # the bar, in the first half
    assert tuple(still[-8, 300]) == inspection_drawing.DARK
    y = strip._y(np.array([2.0]))[0]
    assert tuple(still[y, 100]) == colour_of(2)
    assert (still[y, 250:390] != colour_of(2)).any(axis=1).all()
    assert len(np.flatnonzero((still[60 : 144 - BELOW : 4] == 190).all(axis=(0, 2)))) == 1
    assert (at[:, strip._x(np.array([0.3]))[0]] == 255).all()


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((288, 360), (800, 640)),
        ((2160, 3840), (1280, 720)),
        ((1, 1), (800, 800)),
        ((5000, 1), (800, 1280)),
        ((1, 5000), (1280, 200)),
    ],
)
def test_pictures_are_shown_at_a_size_that_can_be_read(shape, size):
    assert fitted(shape, 800, 1280) == size


def test_letters_of_any_script_are_drawn_and_what_cannot_be_is_named():
    assert drawable("今天\n  天气 ok? здравствуй") == ("今天 天气 ok? здравствуй", "")
    assert drawable("fine 😀😀 हा") == (f"fine {MISSING * 2} {MISSING * 2}", "😀हा")


def test_lines_break_at_spaces_and_between_chinese_letters():
    room = width("what a", 20) + 2
    assert wrapped("what a lovely day", 20, room, 9) == ["what a", "lovely", "day"]
    assert wrapped("今天天气真好", 20, width("今天天", 20) + 2, 9) == ["今天天", "气真好"]
    cut_short = wrapped("what a lovely day", 20, room, 1)
    assert len(cut_short) == 1
    assert cut_short[0].endswith(MORE)
    assert width(cut_short[0], 20) <= room
    endless = wrapped("x" * 99, 20, room, 2)
    assert len(endless[0]) > 3
    assert endless[1].endswith(MORE)


def test_an_opencv_without_fonts_is_named_with_the_mend(monkeypatch):
    import cv2

    monkeypatch.delattr(cv2, "FontFace")
    inspection_text._font.cache_clear()
    with pytest.raises(BadCall, match="needs OpenCV 5.*pip install 'opencv-python-headless>=5'"):
        width("x", 20)
    inspection_text._font.cache_clear()


def test_a_movie_has_every_picture_and_the_sound(call, talk, tmp_path):
    done = call(talk, "--text", "今天 hi")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == "wrote talk-inspect.mp4"
    with av.open(str(tmp_path / "talk-inspect.mp4")) as file:
        pictures = [f.to_ndarray(format="rgb24") for f in file.decode(video=0)]
    assert len(pictures) == 15
    assert pictures[0].shape[1] == 800
    near = np.abs(pictures[5][:800].astype(int) - colour_of(1)).max(axis=2) < 30
    assert near.sum() > 1000  # its box
    with av.open(str(tmp_path / "talk-inspect.mp4")) as file:
        sound = np.concatenate([f.to_ndarray()[0] for f in file.decode(audio=0)])
    assert 0.5 * 16_000 < len(sound) < 0.75 * 16_000
    assert np.sqrt(np.mean(sound[2000:8000] ** 2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.1)
    assert [path.name for path in tmp_path.iterdir()] == ["talk-inspect.mp4"]


def test_an_utterance_of_a_corpus_is_drawn_on_a_sheet_with_its_transcript(call, talk, tmp_path):
    utterance = Utterance("talk/0", str(talk), end=0.4, text="fine 😀")
    corpus = Corpus.from_utterances([utterance], name="c", family="sims", label_range=(-1, 1))
    corpus.write(tmp_path / "corpus.parquet")
    words = ["talk/0", "--corpus", tmp_path, "--speaker", "largest-face", "--out", "sheet.png"]
    done = call(*words)
    assert done.exit_code == 0, done.output
    assert "the font has no sign for '😀'" in done.output
    assert (tmp_path / "sheet.png").read_bytes()[:4] == b"\x89PNG"
    assert utterance_of("talk/0", tmp_path, "", None, None) == corpus["talk/0"]
    assert call("talk/1", "--corpus", tmp_path).exit_code == 2
    assert call(*words, "--start", "1").exit_code == 2


def test_says_how_far_it_is_and_what_is_to_be_known(clip_path):
    heard = Heard()
    look_at(Utterance("c", str(clip_path)), "mouth-motion", reporter=heard)
    assert heard.done["faces"] == 50
    assert heard.notes[0].startswith("faces: no face in any of 50 pictures")


def test_networks_run_on_the_device_that_was_asked_for(call, talk, monkeypatch):
    asked = []
    extract = TrackedFaces._extract

    def watched(self, clip, device):
        asked.append(device)
        return extract(self, clip, "cpu")

    monkeypatch.setattr(TrackedFaces, "_extract", watched)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    done = call(talk, "--device", "cuda")
    assert done.exit_code == 2
    assert "torch finds no usable GPU on this machine; use --device cpu" in done.output
    assert not asked
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    look_at(Utterance("talk", str(talk), end=0.2), "mouth-motion", device="cuda")
    assert asked == ["cuda"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["nowhere.mp4"], 2, "there is no media file 'nowhere.mp4'"),
        (["CLIP", "--out", "x.gif"], 2, "must end in .mp4 (a movie) or .png (a contact sheet)"),
        (["CLIP", "--out", "none/x.mp4"], 2, "there is no folder 'none'"),
        (["CLIP", "--out", "CLIP"], 2, "--out is the clip itself"),
        (["CLIP", "--speaker", "active-speaker"], 2, "needs the weights of a network"),
        (["CLIP", "--speaker", "largest-face", "--checkpoint", "CLIP"], 2, "has no weights"),
        (["CLIP", "--checkpoint", "CLIP"], 2, "error: "),
        (["CLIP", "--set", "faces.min_sise=20"], 2, "unknown key 'min_sise' in 'faces'"),
        (["CLIP", "--set", "vision.extract=face-geometry"], 2, "only settings of 'faces'"),
        (["CLIP", "--start", "9"], 1, "segment from 9 s to the end has no pictures"),
        (["WAV"], 1, "has no video stream"),
        (["MUTE"], 1, "a face can be chosen without sound: --speaker largest-face"),
    ],
)
def test_a_wrong_call_says_so_in_a_line_without_a_traceback(
    call, tmp_path, make_clip, talk, tone_wav, words, code, message
):
    face = data.astronaut()[:240, 100:340]
    mute = make_clip(tmp_path / "mute.mp4", pictures=[face]) if "MUTE" in words else None
    names = {"CLIP": talk, "WAV": tone_wav, "MUTE": mute}
    done = call(*[names.get(word, word) for word in words])
    assert done.exit_code == code, done.output
    assert message in done.output
    assert "Traceback" not in done.output
    assert not list(tmp_path.glob("*inspect*"))


def test_nothing_is_left_of_a_movie_that_could_not_be_finished(call, talk, tmp_path, monkeypatch):
    def broken(self, number):
        raise KeyboardInterrupt

    monkeypatch.setattr(Drawer, "said", broken)
    assert call(talk, "--speaker", "largest-face").exit_code == 130
    assert not list(tmp_path.iterdir())


def test_completes_files_and_the_utterances_of_a_corpus(tmp_path, toys):
    toys.corpus(["x"]).write(tmp_path / "corpus.parquet")
    for words, offered in (("inspect ta", "file"), (f"inspect --corpus {tmp_path} v", "v/000")):
        env = {
            "_AFFECTFLOW_COMPLETE": "bash_complete",
            "COMP_WORDS": f"affectflow {words}",
            "COMP_CWORD": str(len(words.split())),
        }
        done = CliRunner().invoke(cli.main, [], env=env, prog_name="affectflow")
        assert offered in done.output
