from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from affectflow.cache.errors import BadCall, BadInput, EmptyTranscript, InputWarning
from affectflow.extract.clip import Clip
from affectflow.extract.registry import extractor
from affectflow.extract.text.tokens import MASK, load_tokenizer, tokenized
from affectflow.extract.text.transcript import as_text

SHARED = Path(__file__).parents[4] / "shared"


def masked(text, **settings):
    """The masked text with ``_`` for the mask, its valence, whether the word is in the lexicon."""
    found = extractor("mask-sentiment", **settings)(text)
    value, known = found.values[0]
    return as_text(found).replace(MASK, "_"), pytest.approx(float(value), abs=1e-6), bool(known)


@pytest.mark.parametrize(
    ("text", "wanted", "entry"),
    [
        ("The film was good.", "The film was _.", 1.9),
        ("It is not good!", "It is not _!", 1.9),  # the negation stays, and turns no sign
        ("No, never GREAT", "No, never _", 3.1),  # "no" has an entry, and is left alone
        ("I like it, but I hate him", "I like it, but I _ him", -2.7),  # the strongest
        ("good good bad", "good good _", -2.5),
        ("I love and love it", "I _ and love it", 3.2),  # of equals the first
        ("(horrible)", "(_)", -2.5),
        ("so cool :D", "so cool _", 2.3),
        ("well made 😂", "well made _", 2.8),
    ],
)
def test_the_strongest_word_is_masked_and_its_entry_is_the_label(text, wanted, entry):
    assert masked(text) == (wanted, entry * 3 / 4, True)


def test_the_range_is_that_of_the_labels_to_come():
    assert masked("a good film", scaled_to=1.0) == ("a _ film", 1.9 / 4, True)


def test_without_a_word_of_sentiment_one_is_drawn_by_content_and_seed_alone():
    texts = [f"the table of room{i} stands there" for i in range(200)]
    made = [
        extractor("mask-sentiment").extract(Clip(id=str(i), text=t)) for i, t in enumerate(texts)
    ]
    assert all(found.values.tolist() == [[0.0, 0.0]] for found in made)
    again = [extractor("mask-sentiment")(text) for text in reversed(texts)][::-1]
    assert [as_text(f) for f in made] == [as_text(f) for f in again]
    other = [extractor("mask-sentiment", seed=1)(text) for text in texts]
    assert (
        0.6 < np.mean([as_text(a) != as_text(b) for a, b in zip(made, other, strict=True)]) < 0.95
    )
    places = Counter(as_text(found).split().index(MASK) for found in made)
    assert sorted(places) == [0, 1, 2, 3, 4, 5]
    assert min(places.values()) > 15  # of 33


def test_a_negation_is_drawn_only_where_there_is_no_other_word():
    for seed in range(12):
        assert masked("never", seed=seed)[0] == "_"
        assert masked("never it", seed=seed)[0] == "never _"


def test_the_mask_stands_for_the_characters_of_its_word():
    found = extractor("mask-sentiment")("It is terrible.")
    (start, end) = found["spans"].values[0]
    assert "It is terrible."[start:end] == "terrible"
    assert as_text(found)[start] == MASK


def test_a_lexicon_of_another_language_is_given_by_path(tmp_path):
    path = tmp_path / "chinese.csv"
    path.write_text("高兴,0.8\n不,-0.9\n糟糕,-0.5\n", encoding="utf-8")
    settings = {"lexicon": str(path), "largest": 1.0, "scaled_to": 1.0}
    assert masked("我很高兴，不糟糕", **settings) == ("我很高兴，_糟糕", -0.9, True)
    kept = {**settings, "keep": ("不",)}
    assert masked("我很高兴，不糟糕", **kept) == ("我很_，不糟糕", 0.8, True)
    path.write_text("糟糕,-0.5\n", encoding="utf-8")
    assert masked("我很高兴，不糟糕", **settings)[1] == -0.5  # the file is read anew


def test_what_is_not_english_is_no_example_but_stays_a_text():
    reader = extractor("mask-sentiment", language="en")
    text = "Das ist ein super Film"
    with pytest.warns(InputWarning, match="'Das ist ein super Film' is not English"):
        found = reader(text)
    assert not found.mask.any()
    assert as_text(found) == text
    assert reader("this is what I love").mask.all()


def test_labels_of_a_corpus_that_the_lexicon_does_not_know_are_refused(tmp_path):
    reader = extractor("mask-sentiment")
    rows = np.array([reader(text).values[0] for text in ("我很高兴", "很好")] + [[np.nan, np.nan]])
    assert "VADER's English lexicon covers no word of 2 transcripts" in reader.unfit(rows)
    assert reader.unfit(np.array([[0.0, 0.0], [1.5, 1.0]])) == ""
    path = tmp_path / "w.txt"
    path.write_text("good 1\n")
    assert f"lexicon '{path}' covers no word" in extractor(
        "mask-sentiment", lexicon=path.name
    ).unfit(rows).replace(path.name, str(path))


def test_transcripts_that_are_all_of_another_language_are_not_blamed_on_the_lexicon():
    reader = extractor("mask-sentiment", language="en")
    with pytest.warns(InputWarning, match="not English"):
        made = [reader(text) for text in ("das ist sehr gut", "schade")]
    rows = np.array([np.where(one.mask, one.values[0], np.nan) for one in made])
    assert reader.unfit(rows).startswith("none of 2 transcripts is English, and 'language: en'")
    assert reader.unfit(rows[:0]) == "no utterance has a transcript of which it could mask a word"


@pytest.mark.parametrize("text", ["", "  ", "...", "-- !"])
def test_a_text_without_a_word_is_refused(text):
    with pytest.raises(EmptyTranscript, match="'u' has no word in its transcript"):
        extractor("mask-sentiment").extract(Clip(id="u", text=text))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scaled_to": 0}, "scaled_to must be greater than 0, not 0"),
        ({"largest": float("inf")}, "largest must be greater than 0"),
        ({"language": "de"}, "language must be 'any' or 'en', not 'de'"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(BadCall, match=message):
        extractor("mask-sentiment", **settings)


def test_golden():
    assert extractor("mask-sentiment").version == 1
    text = "the chairs of number 7 stand there"
    assert masked(text)[0] == "the chairs of _ 7 stand there"


@pytest.mark.parametrize(
    ("kind", "token"), [("bert", "[MASK]"), ("roberta", "<mask>"), ("deberta-v2", "[MASK]")]
)
def test_every_tokenizer_reads_its_own_mask_token_and_the_words_around_as_before(
    model_folder, kind, token
):
    tokenizer = load_tokenizer(model_folder(kind))
    text = "the film was terrible, but good!"
    hidden = as_text(extractor("mask-sentiment")(text))
    found = tokenized(tokenizer, hidden)
    at = np.flatnonzero(found.ids == tokenizer.mask_token_id)
    assert tokenizer.convert_ids_to_tokens(found.ids[at].tolist()) == [token]
    assert not found.special[at].any()  # it is of the text, not added to it
    spans = found.spans[~found.special]
    assert [hidden[a:b].strip() for a, b in spans if MASK in hidden[a:b]] == [MASK]
    kept = [hidden[a:b].strip() for a, b in spans if MASK not in hidden[a:b]]
    assert "".join(kept) == hidden.replace(MASK, "").replace(" ", "")
    whole = tokenized(tokenizer, text)
    beside = [n for n, (a, b) in zip(whole.ids, whole.spans, strict=True) if b <= 12 and b > a]
    assert found.ids[~found.special][: len(beside)].tolist() == beside


def test_a_tokenizer_without_a_mask_token_is_refused(model_folder):
    tokenizer = load_tokenizer(model_folder("gpt2"))
    with pytest.raises(BadInput, match=r"'the \*\*\*' has a masked word, and .* no mask token"):
        tokenized(tokenizer, f"the {MASK}")


@pytest.mark.skipif(not (SHARED / "tokenizers").exists(), reason="needs the shared tokenizers")
@pytest.mark.parametrize(
    ("kind", "text", "tokens"),
    [
        ("bert-base-uncased", "It's disappointingly bad!", "it ' s disappointing ##ly [MASK] !"),
        ("bert-base-chinese", "很高兴。", "很 [MASK] 。"),
    ],
)
def test_berts_own_vocabulary_reads_a_word_of_several_pieces_as_one_mask(
    tmp_path, kind, text, tokens
):
    path = tmp_path / "w.csv"
    path.write_text("bad,-2\n高兴,2\n", encoding="utf-8")
    tokenizer = load_tokenizer(SHARED / "tokenizers" / kind)
    hidden = as_text(extractor("mask-sentiment", lexicon=str(path))(text))
    found = tokenized(tokenizer, hidden)
    assert tokenizer.convert_ids_to_tokens(found.ids[1:-1].tolist()) == tokens.split()


@pytest.mark.parametrize("kind", ["bert", "roberta", "xlnet"])
def test_the_masked_token_is_marked_beside_the_states_of_its_text(model_folder, kind):
    text = "we love the song, so very much"
    hidden = extractor("mask-sentiment")(text)
    states = extractor("hf-text", model=str(model_folder(kind)), layer=0)(as_text(hidden))
    clip = Clip(id="u", features={"tokens": states, "masked": hidden})
    marks = extractor("masked-tokens").extract(clip)
    assert marks.values.shape == (len(states.values), 1)
    (row,) = np.flatnonzero(marks.values[:, 0])
    tokenizer = load_tokenizer(model_folder(kind))
    assert states["tokens"].values[row, 0] == tokenizer.mask_token_id


def test_a_mask_that_was_cut_off_or_never_read_is_said(model_folder):
    hidden = extractor("mask-sentiment")("the song was so very very very much love")
    for text, settings in (
        (as_text(hidden), {"long": "truncate", "max_length": 5}),
        ("the song was so very very very much love", {}),
    ):
        tokens = extractor("hf-tokens", model=str(model_folder("bert")), **settings)(text)
        clip = Clip(id="u", features={"tokens": tokens, "masked": hidden})
        with pytest.raises(BadInput, match="'u': 0 of .* tokens stand for the masked word"):
            extractor("masked-tokens").extract(clip)


def test_where_nothing_was_masked_nothing_is_marked(model_folder):
    reader = extractor("mask-sentiment", language="en")
    hidden = reader.extract(Clip(id="u", text="das ist gut"))
    tokens = extractor("hf-tokens", model=str(model_folder("bert")))(as_text(hidden))
    marks = extractor("masked-tokens").extract(
        Clip(id="u", features={"tokens": tokens, "masked": hidden})
    )
    assert not marks.values.any()
