import numpy as np
import pytest

from affectflow.cache.errors import BadCall, EmptyTranscript
from affectflow.cache.keys import settings_of
from affectflow.extract.clip import Clip
from affectflow.extract.registry import extractor
from affectflow.extract.text.vector_file import VectorFile

GLOVE = """the 1 0 0
film 0 1 0
do 0.5 0.25 0
n't -1.5 0.75 1e-3
Love 9 9 9
love 1 2 3
well 2 0 0
made 0 2 0
. . . 7 7 7
好 4 5 6
, 0.1 0.1 0.1
"""


@pytest.fixture
def glove(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text(GLOVE, "utf-8")
    return path


def vectors(path, **settings):
    return extractor("word-vectors", path=str(path), **settings)


def test_a_row_a_word_with_its_characters(glove):
    found = vectors(glove)("The film, love")
    np.testing.assert_array_equal(found.values, [[1, 0, 0], [0, 1, 0], [1, 2, 3]])
    np.testing.assert_array_equal(found["spans"].values, [[0, 3], [4, 9], [10, 14]])
    assert found.values.dtype == np.float32


def test_a_word_that_is_not_there_is_masked(glove):
    found = vectors(glove)("the unheard film")
    np.testing.assert_array_equal(found.mask, [True, False, True])
    np.testing.assert_array_equal(found.values[1], 0)


@pytest.mark.parametrize(
    ("case", "wanted"),
    [("either", [9, 1, 1]), ("lower", [1, 1, 1]), ("exact", [9, 1, None])],
)
def test_upper_and_lower_case(glove, case, wanted):
    found = vectors(glove, case=case)("Love love LOVE")
    assert [v if m else None for v, m in zip(found.values[:, 0], found.mask, strict=True)] == wanted


def test_contractions_and_hyphens_are_the_mean_of_their_parts(glove):
    found = vectors(glove)("don't don’t well-made well-known")
    mean = np.float32([-0.5, 0.5, 5e-4])
    np.testing.assert_allclose(found.values[:2], [mean, mean], rtol=1e-6)
    np.testing.assert_array_equal(found.values[2], [1, 1, 0])
    assert found.mask.tolist() == [True, True, True, False]


def test_chinese_is_read_by_character(glove):
    found = vectors(glove)("好film好，")
    np.testing.assert_array_equal(found.values[[0, 2]], [[4, 5, 6]] * 2)


def test_spaces_inside_a_word_of_the_file(glove):
    file = VectorFile(glove)
    np.testing.assert_array_equal(file.get(". . ."), [7, 7, 7])
    assert file.get(".") is None
    assert len(file) == 11


@pytest.mark.parametrize("end", ["\n", " \n", "\r\n", ""])
def test_reads_word2vec_and_fasttext_text_with_a_header(tmp_path, end):
    path = tmp_path / "v.vec"
    path.write_bytes(f"2 3{end or chr(10)}</s> 0 0 1{end or chr(10)}love 1 -2.5 3e1{end}".encode())
    assert vectors(path).spec["values"].shape == (3,)
    np.testing.assert_allclose(vectors(path)("love").values, [[1, -2.5, 30]])


def test_the_first_of_a_word_that_stands_twice_counts(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text("love 1 1\nfilm 5 5\nlove 2 2\n")
    np.testing.assert_array_equal(vectors(path)("love").values, [[1, 1]])


def test_where_the_file_lies_does_not_count_but_what_it_holds(glove):
    assert set(settings_of(vectors(glove))) == {"case"}
    assert vectors(glove).weights() == {"vectors": glove}


def test_a_file_that_changed_is_read_again(glove):
    vectors(glove)("love")
    glove.write_text("love 8 8 8\n")
    np.testing.assert_array_equal(vectors(glove)("love").values, [[8, 8, 8]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("love 1 2 3\nfilm 1 2\n", r"v.txt' line 2: a word and 3 numbers were expected, got 3 f"),
        ("2 3\nlove 1 2 3\n\n", "line 3: a word and 3 numbers were expected, got 1 fields"),
        ("3 3\nlove 1 2 3\nfilm 1 2 3\n", "promises 3 words in its first line and has 2: it is n"),
        ("the 1 2 3\nlove 1 x 3\n", "v.txt' line 2: not all of its 3 values are finite numbers"),
        ("1 3\nlove 1 nan 3\n", "no text file of word vectors"),
        ("word,1,2\n", "no text file of word vectors: each line must be a word and its numbers"),
        ("\x1f\x8b\x00\x01", "Unpack a compressed file; save a binary one as text"),
        ("", "no text file of word vectors"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path, content, message):
    path = tmp_path / "v.txt"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(BadCall, match=message):
        vectors(path)("love")


def test_a_file_that_is_not_there_is_said(tmp_path):
    encode = vectors(tmp_path / "none.txt")
    with pytest.raises(BadCall, match=r"none\.txt' cannot be read: no such file"):
        encode("love")


def test_an_empty_transcript_is_said(glove):
    with pytest.raises(EmptyTranscript, match="'u' has no word in its transcript '...'"):
        vectors(glove).extract(Clip(id="u", text="..."))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": ""}, "path must be that of a text file"),
        ({"case": "upper"}, "case must be 'either' or 'lower' or 'exact', not 'upper'"),
    ],
)
def test_refuses_settings_out_of_range(settings, message):
    with pytest.raises(BadCall, match=message):
        extractor("word-vectors", **{"path": "v.txt", **settings})


def test_memory_is_16_bytes_a_word(tmp_path):
    import tracemalloc

    path = tmp_path / "v.txt"
    line = " ".join(["0.123456"] * 300)
    path.write_text("".join(f"w{i} {line}\n" for i in range(5000)))  # 13 MB
    tracemalloc.start()
    file = VectorFile(path)
    np.testing.assert_allclose(file.get("w4321"), 0.123456)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
