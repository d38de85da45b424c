import pytest

from affectflow.extract.text.words import word_spans


def words(text):
    return [text[start:end] for start, end in word_spans(text)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("So good, isn't it?", ["So", "good,", "isn't", "it?"]),
        ("  well-known\tand\nloved ", ["well-known", "and", "loved"]),
        ("wow 😀😀 !", ["wow", "😀😀"]),
        ("he said - nothing ...", ["he", "said", "nothing"]),
        ("我很好。", ["我", "很", "好。"]),
        ("我love你", ["我", "love", "你"]),
        ("他说：「好」", ["他", "说：", "「好」"]),
        ("我\u3000不", ["我", "不"]),
        ("私はコーヒー", ["私", "は", "コ", "ー", "ヒ", "ー"]),
        ("안녕 하세요", ["안녕", "하세요"]),
        ("5点半, ok?", ["5", "点", "半,", "ok?"]),
        ("f(x) (a)", ["f(x)", "(a)"]),
        ("e\u0301te\u0301", ["e\u0301te\u0301"]),
        ("", []),
        (" \n", []),
        ("...!?", []),
    ],
)
def test_splits_into_words(text, wanted):
    assert words(text) == wanted


def test_spans_are_in_order_and_hold_no_white_space():
    text = "（我 们） don't， know。很 「ok」"
    spans = word_spans(text)
    assert all(a < b for a, b in spans)
    assert all(b <= a for (_, b), (a, _) in zip(spans, spans[1:], strict=False))
    assert not any(c.isspace() for a, b in spans for c in text[a:b])
