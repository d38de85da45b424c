import pytest

from affectflow.cache.errors import BadCall
from affectflow.extract.text.english import is_english
from affectflow.extract.text.lexicon import negates, read_lexicon, units, vader_words


@pytest.fixture
def lexicon_of(tmp_path):
    """``lexicon_of(text, largest)``: the lexicon of a file with this text."""

    def make(text, largest=4.0):
        path = tmp_path / "words.txt"
        path.write_text(text, encoding="utf-8")
        return read_lexicon(path, largest)

    return make


def found(lexicon, text):
    return [(text[one.start : one.end], one.score) for one in lexicon.find(text)]


@pytest.mark.parametrize("mark", ["\t", ",", " "])
def test_a_file_has_a_word_and_its_score_a_line_and_may_have_a_head(lexicon_of, mark):
    lines = [mark.join(("word", "score")), mark.join(("good", "1.5")), "", mark.join(("bad", "-2"))]
    lexicon = lexicon_of("\n".join(lines))
    assert found(lexicon, "Good or BAD, goodness!") == [("Good", 1.5), ("BAD", -2.0)]


def test_what_follows_the_score_is_passed_over_as_in_vaders_own_file(lexicon_of):
    assert lexicon_of("good\t1.9\t0.9\t[2, 1, 1]\n").scores == {"good": 1.9}


def test_chinese_words_need_no_spaces_and_the_longest_entry_counts(lexicon_of):
    lexicon = lexicon_of("高兴,2\n不高兴,-2\n高,1\n")
    assert found(lexicon, "我很高兴，他不高兴。高") == [
        ("高兴", 2.0),
        ("不高兴", -2.0),
        ("高", 1.0),
    ]


def test_phrases_are_found_across_any_space_and_words_only_whole(lexicon_of):
    lexicon = lexicon_of("fed up,-2\nlike,1\ncan't,-1\n")
    assert found(lexicon, "Fed  up. I can\u2019t unlike it") == [("Fed  up", -2.0), ("can’t", -1.0)]


def test_an_entry_that_stands_twice_counts_as_it_first_does_and_zeros_do_not(lexicon_of):
    assert lexicon_of("a,1\nA,2\nb,0\n").scores == {"a": 1.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("good,1\nbad\n", "line 2: a word and its score in \\[-4, 4\\] were expected, got 'bad'"),
        ("good,1\nbad,-5\n", "line 2: .*'bad,-5'. Scores of another range: set 'largest'"),
        ("good,1\nbad,nan\n", "line 2"),
        ("good,0\n", "has no word with a score other than 0"),
        ("", "has no word"),
    ],
)
def test_what_is_no_lexicon_is_refused_by_its_line(lexicon_of, text, message):
    with pytest.raises(BadCall, match=message):
        lexicon_of(text)


def test_a_lexicon_that_is_not_there_or_no_text_is_named(tmp_path):
    with pytest.raises(BadCall, match=r"lexicon '.*none.txt' cannot be read: No such file"):
        read_lexicon(tmp_path / "none.txt", 4.0)
    (tmp_path / "latin.txt").write_bytes(b"\xe9l\xe9gant,2\n")
    with pytest.raises(BadCall, match="is not UTF-8 text"):
        read_lexicon(tmp_path / "latin.txt", 4.0)


def test_units_are_words_without_the_punctuation_around_them():
    text = "(Well-made), isn't it? 很好！"
    assert [text[a:b] for a, b in units(text)] == ["Well-made", "isn't", "it", "很", "好"]


def test_vaders_words_are_its_lexicons_without_negations():
    text = "No, it was not GOOD :) at all"
    words = [(text[one.start : one.end], one.score) for one in vader_words(text)]
    assert words == [("GOOD", 1.9), (":)", 2.0)]
    assert [w for w in ("never", "NOT", "isn\u2019t", "No", "nice") if not negates(w)] == ["nice"]


@pytest.mark.parametrize(
    ("text", "english"),
    [
        ("Well, I mean, it's what they wanted to do in the first place", True),
        ("and the actors were great", True),
        ("Ich finde, das ist ein sehr guter Film, und er hat mir gefallen", False),
        ("C'est un film que j'ai vu trois fois, et je l'aime toujours", False),
        ("Me gusta mucho la película porque los actores son muy buenos", False),
        ("I was w domu, bo nie mam czasu na ten film ani na nic", False),
        ("我觉得这个电影很好看", False),
        ("", False),
    ],
)
def test_english_is_told_by_its_commonest_words(text, english):
    assert is_english(text) is english
