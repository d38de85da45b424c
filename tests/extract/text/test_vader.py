import numpy as np
import pytest

from affectflow.cache.errors import BadInput, EmptyTranscript
from affectflow.extract.clip import Clip
from affectflow.extract.registry import extractor


def valences(text):
    return extractor("vader")(text).values[:, 0]


def test_a_word_alone_has_its_lexicon_value():
    found = extractor("vader")("The book was good.").values
    np.testing.assert_allclose(found[:, 0], [0, 0, 0, 1.9])
    np.testing.assert_allclose(found[:, 1], [0, 0, 0, 1.9])


def test_negation_turns_the_sign_and_says_so():
    found = extractor("vader")("It is not good")
    np.testing.assert_allclose(found.values[3], [1.9 * -0.74, 1.9, 1], rtol=1e-6)
    np.testing.assert_array_equal(found.values[:3, 2], 0)


def test_a_booster_adds_its_increment_and_has_no_valence_itself():
    np.testing.assert_allclose(valences("very good"), [0, 1.9 + 0.293], rtol=1e-6)


def test_but_halves_what_stands_before_and_raises_what_follows():
    np.testing.assert_allclose(
        valences("the plot was good but the acting was terrible"),
        [0, 0, 0, 0.95, 0, 0, 0, 0, -2.1 * 1.5],
        rtol=1e-6,
    )


@pytest.mark.parametrize(
    "text",
    [
        "VADER is VERY SMART, uber handsome, and FRIGGIN FUNNY!!!",
        "The book was only kind of good.",
        "At least it isn't a horrible book.",
        "Today only kinda sux! But I'll get by, lol",
        "Make sure you :) or :D today!",
        "Catch utf-8 emoji such as 💘 and 💋 and 😁",
        "Not such a badass after all.",
        "no problem, never this good\tbut\ngood but good",
    ],
)
def test_the_valences_are_those_that_the_library_adds_up(text):
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()
    seen = []
    analyzer.score_valence = lambda sentiments, text: seen.extend(sentiments)
    analyzer.polarity_scores(text)
    np.testing.assert_array_equal(valences(text), np.array(seen, np.float32))
    scores = SentimentIntensityAnalyzer().polarity_scores(text)
    sentence = extractor("vader")(text)["sentence"]
    assert dict(zip(sentence.columns, sentence.values[0], strict=True)) == pytest.approx(scores)


def test_spans_point_at_the_words_without_their_punctuation():
    text = " (Really)  great,don't :) ok!"
    spans = extractor("vader")(text)["spans"].values
    assert [text[a:b] for a, b in spans] == ["Really", "great,don't", ":)", "ok!"]


def test_the_words_of_an_emoji_share_its_span():
    text = "so 💘!"
    found = extractor("vader")(text)
    assert [text[a:b] for a, b in found["spans"].values] == ["so", "💘", "💘", "💘"]


def test_words_have_no_times():
    assert np.isnan(extractor("vader")("well then").times).all()


def test_golden_values_of_version_1():
    found = extractor("vader")("I never liked it, but this is SO wonderful!")
    assert found.values.shape == (9, 3)
    assert extractor("vader").version == 1
    np.testing.assert_allclose(found.values[:, 0], [0, 0, -0.666, 0, 0, 0, 0, 0, 6.986], atol=1e-3)
    np.testing.assert_allclose(found["sentence"].values, [[0.098, 0.413, 0.489, 0.8629]], atol=1e-3)


@pytest.mark.parametrize("text", ["", "  \n", "... !?", "—"])
def test_a_transcript_without_a_word_is_said(text):
    with pytest.raises(EmptyTranscript, match="'u1' has no word in its transcript"):
        extractor("vader").extract(Clip(id="u1", text=text))


def test_an_emoticon_alone_is_a_word():
    assert valences(":)")[0] > 1


def test_numbers_are_words_without_valence():
    np.testing.assert_array_equal(valences("42"), [0])


def test_refuses_a_language_it_does_not_read():
    with pytest.raises(BadInput, match="'u1': vader reads English.*no Latin letter; use hf-text"):
        extractor("vader").extract(Clip(id="u1", text="我很高兴"))


def test_its_weights_are_the_two_lexicons():
    files = extractor("vader").weights()
    assert sorted(files) == ["emoji_utf8_lexicon", "vader_lexicon"]
    assert all(path.is_file() for path in files.values())
