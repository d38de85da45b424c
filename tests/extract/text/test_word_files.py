import numpy as np
import pytest

from affectflow.cache.errors import BadInput
from affectflow.extract.text.word_files import Word, read_words
from affectflow.extract.text.word_match import match
from affectflow.extract.text.words import word_spans

LONG = '''File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1.5
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 1.5
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 1.5
            text = "AH0"
    item [2]:
        class = "TextTier"
        name = "marks"
        xmin = 0
        xmax = 1.5
        points: size = 1
        points [1]:
            number = 0.5
            mark = "click 7"
    item [3]:
        class = "IntervalTier"
        name = "anna - words"
        xmin = 0
        xmax = 1.5
        intervals: size = 4
        intervals [1]:
            xmin = 0
            xmax = 0.25
            text = ""
        intervals [2]:
            xmin = 0.25
            xmax = 0.75
            text = "say ""hi"""
        intervals [3]:
            xmin = 0.75
            xmax = 1e0
            text = "sp"
        intervals [4]:
            xmin = 1
            xmax = 1.5
            text = "42 [times]"
'''
SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
1.5
<exists>
1
"IntervalTier"
"whatever"
0
1.5
2
0
0.5
"你好"
0.5
1.5
"sil"
"""


@pytest.fixture
def read(tmp_path):
    def read(name, content, **more):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_words(path, **more)

    return read


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
def test_reads_a_text_grid_in_long_form(read, encoding):
    data = LONG.encode(encoding)
    if encoding == "utf-16-be":
        data = b"\xfe\xff" + data
    wanted = [Word('say "hi"', 0.25, 0.75), Word("42 [times]", 1.0, 1.5)]
    assert read("u.TextGrid", data) == {"": wanted}


def test_reads_a_text_grid_in_short_form(read):
    assert read("u.textgrid", SHORT) == {"": [Word("你好", 0.0, 0.5)]}


def test_takes_the_tier_that_is_named(read):
    assert read("u.TextGrid", LONG, tier="phones") == {"": [Word("AH0", 0, 1.5)]}
    with pytest.raises(BadInput, match="no tier of intervals 'word' .there are: 'phones', 'anna"):
        read("u.TextGrid", LONG, tier="word")


def test_asks_which_tier_where_none_is_called_after_words(read):
    with pytest.raises(BadInput, match="Set tier to one of 'phones', 'anna - sounds'"):
        read("u.TextGrid", LONG.replace("words", "sounds"))


def test_reads_ctm(read):
    text = ";; made by hand\nv/1 A 0.10 0.25 so 0.9\nv/1 A 0.40 0.2 good\nv/2 1 0 1 <eps>\n"
    assert read("all.ctm", text) == {
        "v/1": [Word("so", 0.1, 0.35), Word("good", 0.4, pytest.approx(0.6))],
        "v/2": [],
    }


@pytest.mark.parametrize(("name", "mark"), [("u.csv", ","), ("u.tsv", "\t"), ("u.csv", "\t")])
def test_reads_a_table_of_words(read, name, mark):
    text = "Start,word,END\n0,so,0.5\n0.5,good,1\n".replace(",", mark)
    assert read(name, text) == {"": [Word("so", 0, 0.5), Word("good", 0.5, 1)]}


def test_reads_a_table_of_many_utterances(read):
    text = 'id,word,start,end\nv/1,so,0,1\nv/2,"no, no",0,1\n'
    assert read("all.csv", text) == {"v/1": [Word("so", 0, 1)], "v/2": [Word("no, no", 0, 1)]}


def test_reads_an_alignment_of_grid(read):
    text = "0 12250 sil\n12250 19250 set\n19250 27250 white\n"
    assert read("u.align", text) == {"": [Word("set", 0.49, 0.77), Word("white", 0.77, 1.09)]}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("u.TextGrid", "hello", "u.TextGrid: not a TextGrid"),
        ("u.TextGrid", SHORT[:-30], "cut off or damaged"),
        ("u.TextGrid", SHORT.replace('"IntervalTier"', '"Tier"'), "cut off or damaged"),
        ("u.TextGrid", LONG.encode("latin-1") + b"\xff\xfe", "can't decode"),
        ("u.ctm", "u 1 0.1 word\n", "line 1 has 4 fields"),
        ("u.ctm", "u 1 a 0.1 word\n", "line 1: 'a' is not a number"),
        ("u.csv", "word,start\na,1\n", "no column 'end' .its header: 'word,start'"),
        ("u.csv", "", "no column 'word' and no 'start' and no 'end'"),
        ("u.csv", "word,start,end\na,1\n", "line 2 has another number of fields"),
        ("u.csv", "word,start,end\na,1,x\n", "line 2: 'x' is not a number"),
        ("u.csv", "word,start,end\na,2,1\n", "word 'a' lasts from 2 to 1 s"),
        ("u.csv", "word,start,end\na,nan,1\n", "word 'a' lasts from nan to 1 s"),
        ("u.csv", "word,start,end\na,2,3\nb,1,2\n", "'b' starts at 1 s, before"),
        ("u.align", "0 5\n", "line 1 has 2 fields"),
    ],
)
def test_names_what_is_wrong_with_a_file(read, name, content, message):
    with pytest.raises(BadInput, match=message):
        read(name, content)


def times(words, text):
    given = [Word(word, start, end) for word, start, end in words]
    return match(given, text, word_spans(text)).round(6).tolist()


def test_equal_words_keep_their_times():
    found = times([("SO", 0.1, 0.4), ("cafe", 0.4, 1.0)], "So, Café!")
    assert found == [[0.1, 0.4], [0.4, 1.0]]


def test_a_word_of_several_characters_is_shared_out_evenly():
    found = times([("你好", 1.0, 2.0), ("吗", 2.0, 2.2)], "你好吗？")
    assert found == [[1, 1.5], [1.5, 2], [2, 2.2]]


def test_a_word_in_parts_lasts_from_the_first_to_the_last():
    found = times([("do", 0, 1), ("n't", 1, 2), ("go", 3, 4)], "don't go")
    assert found == [[0, 2], [3, 4]]


def test_a_word_without_letters_has_no_time():
    found = match([Word("so", 0, 1)], "😀 so", word_spans("😀 so"))
    assert np.isnan(found[0]).all()
    assert found[1].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("so wight", "so white", "the file has 'wight' where the transcript has 'white'"),
        ("so", "so good", "the file has no word for 'good' of the transcript"),
        ("so good day", "so good", "the file's word 'day' comes after the transcript's last"),
        ("a b", "b a", "the file has 'a' where the transcript has 'b'"),
    ],
)
def test_names_the_word_that_differs(file, text, message):
    with pytest.raises(BadInput, match=message):
        times([(word, i, i + 1) for i, word in enumerate(file.split())], text)
