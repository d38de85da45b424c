import numpy as np
import pytest

from affectflow.extract.text.listening import Listener
from affectflow.extract.text.recognised import Piece, pieces_of, recognised
from affectflow.extract.text.transcript import as_text
from affectflow.extract.text.whisper import Heard, Whisper, load_whisper

RATE = 16_000


class Script:
    """A Whisper that says what stands in a script, window by window."""

    window = 30 * RATE
    languages = {"en": 1, "zh": 2}  # noqa: RUF012
    heads = upper_heads = [(0, 0)]  # noqa: RUF012

    def __init__(self, *said, advance=20.0, no_speech=0.0, log_prob=-0.5):
        self.said = iter(said)
        self.rest = (advance, no_speech, log_prob)
        self.asked = []

    def encode(self, sounds):
        return len(sounds)

    def language_of(self, encoded):
        return ["zh", "en"][:encoded]

    def hear(self, encoded, sounds, languages, task, heads, final):
        self.asked.append((len(sounds[0]) / RATE, list(languages), list(final)))
        return [Heard((Piece(next(self.said), 1.0, 2.0, 0.5),), *self.rest) for _ in sounds]


def sound(seconds):
    return np.ones(round(seconds * RATE), np.float32)


def test_windows_begin_where_the_last_sentence_ended():
    model = Script(" one", " two", " three")
    (pieces,) = Listener(model, "m", language="en").listen([sound(65)])
    assert [piece.start for piece in pieces] == [1.0, 21.0, 41.0]
    assert [(length, final) for length, _, final in model.asked] == [
        (30.0, [False]), (30.0, [False]), (25.0, [True]),
    ]  # fmt: skip


def test_the_language_is_that_of_the_first_window():
    model = Script(*["x"] * 5, advance=30.0)
    Listener(model, "m").listen([sound(50), sound(70)])
    assert [languages for _, languages, _ in model.asked] == [["zh", "en"], ["zh", "en"], ["en"]]


def test_windows_are_parted_by_a_space_where_the_script_has_any():
    for said, wanted in ((("one.", "two"), "one. two"), (("你好", "吗"), "你好吗")):
        (pieces,) = Listener(Script(*said), "m").listen([sound(40)])
        assert as_text(recognised(pieces)) == wanted


def test_an_unlikely_text_where_nobody_speaks_is_dropped():
    model = Script("a", "b", no_speech=0.7, log_prob=-1.2)
    assert Listener(model, "m").listen([sound(40)]) == [[]]
    model = Script("a", "b", no_speech=0.7, log_prob=-0.9)
    assert len(Listener(model, "m").listen([sound(40)])[0]) == 2


def test_silence_is_not_listened_to():
    model = Script("a")
    found = Listener(model, "m").listen([np.zeros(RATE, np.float32), sound(1)])
    assert [len(pieces) for pieces in found] == [0, 1]


@pytest.fixture
def understood(whisper_folder):
    model = load_whisper(whisper_folder, "cpu")
    first = model._first_stamp

    def run(*tokens):
        numbers = [round(t / 0.02) + first if isinstance(t, float) else t for t in tokens]
        kept, advance = Whisper._understood(model, numbers)
        return len(kept), advance

    return run


def test_a_text_is_understood_up_to_its_last_seam(understood):
    assert understood(0.0, 5, 6, 4.0, 4.0, 7, 9.5, 9.5, 8) == (7, pytest.approx(9.5))


def test_a_text_that_ends_with_an_end_is_whole(understood):
    assert understood(0.0, 5, 4.0, 4.0, 7, 9.5) == (6, 30.0)


def test_a_text_without_a_seam_is_whole(understood):
    assert understood(0.0, 5, 6) == (3, 30.0)
    assert understood() == (0, 30.0)


def test_a_seam_at_the_start_does_not_stand_still(understood):
    assert understood(0.0, 0.0, 5) == (3, 30.0)


def test_words_take_the_times_and_the_mean_of_their_pieces():
    found = recognised(
        [
            Piece(" So", 0.0, 0.2, 0.9), Piece(" go", 0.3, 0.4, 0.6), Piece("od", 0.4, 0.7, 0.3),
            Piece("!", 0.7, 0.9, 0.3), Piece(" 😀", 1.0, 1.2, 0.5, 3), Piece(" ", 1.3, 1.5, 0.1),
        ]
    )  # fmt: skip
    assert as_text(found) == "So good! 😀"
    np.testing.assert_allclose(found.values[:, 0], [0.9, 0.4, 0.5], rtol=1e-6)
    np.testing.assert_allclose(found.times, [[0, 0.2], [0.3, 0.9], [1.0, 1.2]])


def test_tokens_that_share_a_character_stay_together():
    text = " so 你😀!"
    tokens = [bytes([byte]) for byte in text.encode()]
    starts = np.arange(len(tokens) + 1) / 10
    pieces = pieces_of(tokens, np.full(len(tokens), 0.5), starts)
    assert [piece.text for piece in pieces] == [*" so ", "你", "😀", "!"]
    assert [piece.n for piece in pieces] == [1, 1, 1, 1, 3, 4, 1]
    assert (pieces[4].start, pieces[4].end) == (0.4, 0.7)


def test_bytes_that_are_no_text_are_marked():
    pieces = pieces_of([b" a", b"\xe4\xbd"], np.array([0.5, 0.2]), np.arange(3.0))
    assert [piece.text for piece in pieces] == [" a", "\ufffd"]
