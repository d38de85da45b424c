from pathlib import Path

import numpy as np
import pytest

from affectflow.cache.errors import BadCall, BadInput, EmptyTranscript
from affectflow.extract.clip import Clip, Waveform
from affectflow.extract.registry import extractor
from affectflow.extract.text import word_times
from affectflow.extract.text.ctc_model import Emissions, load_ctc
from affectflow.extract.text.words import word_spans

SHARED = Path(__file__).parents[4] / "shared"
LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]
HOP = 0.02


class Clips(Clip):
    """A clip whose sound is made here."""

    def audio(self, rate):
        samples = np.random.default_rng(0).standard_normal(2 * rate).astype(np.float32)
        return Waveform(0.1 * samples, rate)


def clip(text):
    return Clips(id="u", media="u.wav", text=text)


@pytest.fixture
def times_of(ctc_folder):
    return extractor("word-times", model=str(ctc_folder()))


@pytest.fixture
def hears(ctc_folder, monkeypatch):
    """Let the model hear what is imposed: (letter, n_frames) one after another."""

    def impose(runs, peak=0.95):
        path = [LETTERS.index(letter) for letter, n in runs for _ in range(n)]
        probs = np.full((len(path), len(LETTERS)), (1 - peak) / (len(LETTERS) - 1))
        probs[np.arange(len(path)), path] = peak
        centres = HOP / 2 + HOP * np.arange(len(path))

        class Hearing:
            tokenizer = load_ctc(ctc_folder(), "cpu").tokenizer
            blank = 0
            shortest = 1

            def emissions(self, samples, columns):
                return Emissions(np.log(probs)[:, columns], centres, HOP)

        monkeypatch.setattr(word_times, "load_ctc", lambda *_: Hearing())

    return impose


def test_words_last_from_their_first_to_their_last_character(times_of, hears):
    hears([("<pad>", 5), ("I", 2), ("<pad>", 1), ("|", 2), ("A", 1), ("<pad>", 3), ("M", 2),
           ("|", 4), ("B", 1), ("E", 1), ("<pad>", 1), ("E", 2), ("<pad>", 6)])  # fmt: skip
    found = times_of.extract(clip("I am bee"))
    wanted = np.array([[5, 7], [10, 16], [20, 25]]) * HOP
    np.testing.assert_allclose(found.times, wanted)
    np.testing.assert_allclose(found.values, 0.95, rtol=1e-6)
    np.testing.assert_array_equal(found["spans"].values, [[0, 1], [2, 4], [5, 8]])


def test_times_of_many_words_are_within_a_frame_of_what_was_imposed(times_of, hears):
    random = np.random.default_rng(4)
    names = ["".join(random.choice([*"ETAONIHSRDLU"], random.integers(1, 8))) for _ in range(60)]
    runs, wanted = [], []
    at = 0

    def add(letter, n):
        nonlocal at
        runs.append((letter, int(n)))
        at += int(n)

    for name in names:
        add("<pad>", random.integers(0, 9))
        start = at
        for letter in name:
            add(letter, random.integers(1, 3))
            end = at
            add("<pad>", random.integers(1, 4))
        wanted.append((start * HOP, end * HOP))
        add("|", random.integers(1, 4))
    hears(runs, peak=0.6)
    found = times_of.extract(clip(" ".join(names).lower()))
    assert np.abs(found.times - np.array(wanted)).max() <= HOP


def test_rows_are_the_words_whatever_the_model_knows(times_of):
    text = "Well, 42 cafés - don't 😀 stop!"
    found = times_of.extract(clip(text))
    words = [text[a:b] for a, b in found["spans"].values]
    assert words == ["Well,", "42", "cafés", "don't", "😀", "stop!"]
    assert found.mask.tolist() == [True, False, True, True, False, True]
    assert np.isnan(found.times[~found.mask]).all()
    assert (np.diff(found.times[found.mask].ravel()) >= -1e-9).all()
    np.testing.assert_array_equal(found["spans"].values, word_spans(text))


@pytest.mark.parametrize(
    ("text", "letters", "owners"),
    [
        ("I am", "I|AM", [0, -1, 1, 1]),
        ("ﬁne Ünit", "FINE|UNIT", [0, 0, 0, 0, -1, 1, 1, 1, 1]),
        ("a 5 b", "A|B", [0, -1, 2]),
        ("5 a", "A", [1]),
        ("good，好 day", "GOOD|DAY", [0] * 4 + [-1] + [2] * 3),
        ("don't", "DON'T", [0] * 5),
    ],
)
def test_spells_a_transcript(ctc_folder, text, letters, owners):
    tokenizer = load_ctc(ctc_folder(), "cpu").tokenizer
    found = word_times.spell(text, word_spans(text), tokenizer, 0)
    assert "".join(LETTERS[token] for token in found.tokens) == letters
    assert list(found.words) == owners


def test_a_tokenizer_of_sub_words_is_read_as_a_whole(model_folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_folder("bert"))
    text = "Good, xyz 😀"
    found = word_times.spell(text, word_spans(text), tokenizer, 0)
    pieces = tokenizer.convert_ids_to_tokens(list(found.tokens))
    assert pieces == ["g", "##o", "##o", "##d", ",", "x", "##y", "##z"] or pieces[0] == "good"
    assert set(found.words) == {0, 1}


def test_phonemes_are_refused():
    class Wav2Vec2PhonemeCTCTokenizer:
        is_fast = False

    with pytest.raises(BadCall, match="writes phonemes"):
        word_times.spell("a", [(0, 1)], Wav2Vec2PhonemeCTCTokenizer(), 0)


def test_no_word_in_the_transcript_is_refused(times_of):
    with pytest.raises(EmptyTranscript, match="'u' has no word in its transcript ' ... '"):
        times_of.extract(clip(" ... "))


def test_no_word_that_can_be_aligned_is_refused(times_of):
    with pytest.raises(BadInput, match="'u': no word of .* '我很好 42' has a character"):
        times_of.extract(clip("我很好 42"))


def test_a_transcript_longer_than_the_sound_is_refused(times_of):
    with pytest.raises(BadInput, match="'u': .* tokens need at least .* frames, the sound has 99"):
        times_of.extract(clip("so much " * 40))


def test_bad_settings_are_refused():
    with pytest.raises(BadCall, match="model must be a folder"):
        extractor("word-times", model="")
    with pytest.raises(BadCall, match="precision must be 'float32' or"):
        extractor("word-times", model="m", precision="int8")


def test_bfloat16_is_near(times_of, ctc_folder):
    fast = extractor("word-times", model=str(ctc_folder()), precision="bfloat16")
    text = "we all love this"
    wanted, found = times_of.extract(clip(text)), fast.extract(clip(text))
    np.testing.assert_allclose(found.values, wanted.values, rtol=3e-2)


def test_one_clip_that_cannot_be_used_does_not_stop_the_others(times_of):
    found = list(times_of.many([clip("so"), clip(""), clip("good")]))
    assert [type(one).__name__ for one in found] == ["Features", "EmptyTranscript", "Features"]


@pytest.mark.skipif(not SHARED.exists(), reason="needs the clips that lie beside the project")
def test_a_real_clip(times_of):
    media = SHARED / "clips" / "Raw" / "grid" / "swwp2s.mpg"
    found = times_of(media, text="set white with p two soon")
    assert len(found) == 6
    assert found.mask.all()
    assert 0 <= found.times.min() < found.times.max() <= 3.05
