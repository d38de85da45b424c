import numpy as np
import pytest

from affectflow.cache.errors import EmptyTranscript
from affectflow.extract.clip import Clip
from affectflow.extract.registry import extractor
from affectflow.extract.text.hf_encoder import Tokens
from affectflow.extract.text.levels import word_rows

TEXT = "So very good 😀, isn't it?"


def tokens_at(*spans, special=()):
    n = len(spans)
    added = np.isin(np.arange(n), special)
    return Tokens(np.arange(n), np.zeros(n, int), added, np.array(spans, np.int32).reshape(-1, 2))


def rows(text, *spans, special=()):
    """Word rows where token i has the value 2**i, so that a mean says which tokens are in it."""
    values = 2.0 ** np.arange(len(spans))[:, None]
    return word_rows(text, tokens_at(*spans, special=special), values.astype(np.float32))


def test_a_word_is_the_mean_of_its_tokens_and_added_ones_are_left_out():
    found = rows("ab cd", (0, 0), (0, 1), (1, 2), (3, 5), (0, 0), special=(0, 4))
    np.testing.assert_array_equal(found.values[:, 0], [(2 + 4) / 2, 8])
    np.testing.assert_array_equal(found["spans"].values, [[0, 2], [3, 5]])


def test_a_token_with_the_space_before_it_counts_for_its_word_alone():
    np.testing.assert_array_equal(rows("ab cd", (0, 2), (2, 5)).values[:, 0], [1, 2])


def test_a_token_over_several_chinese_characters_counts_for_each():
    np.testing.assert_array_equal(rows("很高兴!", (0, 1), (1, 3), (3, 4)).values[:, 0], [1, 2, 3])


def test_several_tokens_of_one_character_are_averaged():
    np.testing.assert_array_equal(rows("😀 a", (0, 1), (0, 1), (2, 3)).values[:, 0], [1.5, 4])


def test_a_word_without_a_token_is_masked():
    found = rows("a b", (2, 3))
    np.testing.assert_array_equal(found.mask, [False, True])
    np.testing.assert_array_equal(found.values[:, 0], [0, 1])
    assert rows("a b").mask.tolist() == [False, False]


def test_punctuation_on_its_own_is_no_word():
    np.testing.assert_array_equal(rows("a - b", (0, 1), (2, 3), (4, 5)).values[:, 0], [1, 4])
    with pytest.raises(EmptyTranscript, match=r"no word in the transcript '\.\.\.'"):
        rows("...", (0, 1), (1, 2), (2, 3))


@pytest.fixture
def hf_text(model_folder):
    return lambda kind="bert", **settings: extractor(
        "hf-text", model=str(model_folder(kind)), **settings
    )


@pytest.mark.parametrize("kind", ["bert", "roberta", "gpt2"])
def test_words_follow_from_the_tokens(hf_text, kind):
    tokens = hf_text(kind, dtype="float32")(TEXT)
    words = hf_text(kind, level="word", dtype="float32")(TEXT)
    spans = words["spans"].values
    assert [TEXT[a:b] for a, b in spans] == ["So", "very", "good", "😀,", "isn't", "it?"]
    real = tokens["tokens"].values[:, 1] == 0
    at = tokens["spans"].values
    for row, (start, end) in enumerate(spans):
        inside = real & (at[:, 1] > start) & (at[:, 0] < end)
        wanted = tokens.values[inside].mean(axis=0)
        np.testing.assert_allclose(words.values[row], wanted, atol=1e-6)
    assert set(words.arrays()) == {"values", "spans"}


def test_the_mean_is_over_all_tokens_or_over_those_of_the_text(hf_text):
    tokens = hf_text(dtype="float32")(TEXT)
    for special in (True, False):
        found = hf_text(level="mean", special=special, dtype="float32")(TEXT)
        kept = tokens.values if special else tokens.values[1:-1]
        np.testing.assert_allclose(found.values[0], kept.mean(axis=0), atol=1e-6)
        np.testing.assert_array_equal(found["spans"].values, [[0, len(TEXT)]])


def test_a_transcript_of_punctuation_has_tokens_but_no_words(hf_text):
    assert len(hf_text()("?!...")) == 7
    (found,) = hf_text(level="word").many([Clip(id="u7", text="?!...")])
    assert isinstance(found, EmptyTranscript)
    assert "'u7'" in str(found)


def test_levels_are_the_same_in_windows(hf_text):
    text = " ".join(["the film was so very good we all love it"] * 10)
    words = hf_text(level="word", long="window", dtype="float32")(text)
    tokens = hf_text(special=False, long="window", dtype="float32")(text)
    np.testing.assert_allclose(words.values, tokens.values, atol=1e-6)
