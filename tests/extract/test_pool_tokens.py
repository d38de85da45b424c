import numpy as np
import pytest

from affectflow.cache.errors import BadInput
from affectflow.cache.records import ArraySpec, Features, frame_times, no_times
from affectflow.extract.clip import Clip
from affectflow.extract.pool_words import pool
from affectflow.extract.registry import extractor
from affectflow.extract.text.words import word_spans

TEXT = "so unhappy , now"  # the comma stands alone: no word
TIMES = [(0.0, 0.2), (0.2, 0.5), (0.5, 0.9)]
# [CLS] so un ##happy , now [SEP]
TOKENS = [(0, 0), (0, 2), (3, 5), (5, 10), (11, 12), (13, 16), (0, 0)]


def spanned(spans, times, mask=None):
    spans = Features(np.array(spans, np.int32), np.array(times, float).reshape(-1, 2))
    return Features(np.ones((len(spans), 1)), spans.times, mask=mask, more={"spans": spans})


def clip_of(text=TEXT, times=TIMES, tokens=TOKENS, mask=None, n=9):
    frames = np.arange(n, dtype=np.float32)[:, None]
    given = {
        "words": spanned(word_spans(text), times, mask),
        "tokens": spanned(tokens, no_times(len(tokens))),
        "any": Features(frames, frame_times(n, 0.1), ("k",)),
    }
    return Clip(id="u", text=text, features=given)


def test_every_token_of_a_word_takes_its_row():
    clip = clip_of()
    found = extractor("pool-tokens")(clip)
    words = pool(clip.features["words"], clip.features["any"])
    assert found.mask.tolist() == [False, True, True, True, False, True, False]
    assert found.values[:, 0].tolist() == [0, 0.5, 3, 3, 0, 6.5, 0]
    assert words.values[:, 0].tolist() == [0.5, 3, 6.5]
    np.testing.assert_array_equal(found.times[[1, 2, 3, 5]], words.times[[0, 1, 1, 2]])
    assert np.isnan(found.times[[0, 4, 6]]).all()


def test_a_token_of_several_words_lasts_from_the_first_to_the_last():
    clip = clip_of("我很好", TIMES, [(0, 2), (2, 3)])
    assert extractor("pool-tokens")(clip).values[:, 0].tolist() == [2, 6.5]


def test_tokens_of_a_word_without_time_are_masked():
    times = [TIMES[0], (np.nan, np.nan), TIMES[2]]
    found = extractor("pool-tokens")(clip_of(times=times, mask=[True, False, True]))
    assert found.mask.tolist() == [False, True, False, False, False, True, False]


def test_makes_what_the_pooled_feature_promises():
    pooling = extractor("pool-tokens")
    spec = {"values": ArraySpec((1,), "float32", ("k",), hop=0.1)}
    assert pooling.spec_on({"any": spec}) == {"values": ArraySpec((1,), "float32", ("k",))}
    assert pooling.modality_on({"any": "audio", "words": "text", "tokens": "text"}) == "audio"


def test_words_of_another_transcript_are_refused():
    clip = clip_of()
    clip.text = "so unhappy now"
    said = "'u': the 3 words are not those of the transcript 'so unhappy now'; .* 'transcript'"
    with pytest.raises(BadInput, match=said):
        extractor("pool-tokens")(clip)


def test_tokens_of_another_transcript_are_refused():
    said = "'u': the tokens go up to character 20, the transcript .* has 16: .* another one"
    with pytest.raises(BadInput, match=said):
        extractor("pool-tokens")(clip_of(tokens=[*TOKENS, (18, 20)]))


def test_no_token_with_a_real_row_is_refused():
    with pytest.raises(BadInput, match="'u': none of 1 tokens has a real row of the feature"):
        extractor("pool-tokens")(clip_of(tokens=[(0, 0)]))


def test_rows_a_token_alone_fill_the_role(tmp_path):
    made = extractor("hf-tokens", model=str(tmp_path))
    assert made.fills("tokens")
    assert not extractor("vader").fills("tokens")
