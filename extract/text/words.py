"""What a word is: the one rule for features of words, so that their rows match."""

from __future__ import annotations

import re
import unicodedata

#: Han, kana and their extensions: scripts that put no space between words. Each character is one.
SPACELESS = re.compile(
    "[\u2e80-\u2fdf\u3005-\u3007\u3031-\u3035\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003ffff]"
)
_OPENING = ("Ps", "Pi")


def word_spans(text: str) -> list[tuple[int, int]]:
    """First and last (half open) character of each word of a transcript, in order.

    Words are what stands between white space. Characters of scripts written without spaces (Han,
    kana) are a word each. Punctuation belongs to the word that it touches, opening brackets and
    quotes to the one behind them; where it stands alone it is no word.

    >>> [("I'm fine, 谢谢（你）!"[a:b]) for a, b in word_spans("I'm fine, 谢谢（你）!")]
    ["I'm", 'fine,', '谢', '谢', '（你）!']
    """
    return [
        (piece.start() + start, piece.start() + end)
        for piece in re.finditer(r"\S+", text)
        for start, end in _inside(piece.group())
    ]


def _inside(piece: str) -> list[tuple[int, int]]:
    """Words of a piece of text without white space."""
    starts: list[int] = []
    opened: int | None = None  # an opening bracket that waits for its word
    alone = True  # the word before takes no further letters: there is none, or it is one character
    for i, character in enumerate(piece):
        spaceless = SPACELESS.match(character) is not None
        category = unicodedata.category(character)
        if not spaceless and (category[0] in "PM" or category == "Cf"):
            if category in _OPENING and opened is None:
                opened = i
            continue
        if alone or spaceless:
            starts.append(i if opened is None else opened)
        alone, opened = spaceless, None
    if not starts:
        return []
    return list(zip([0, *starts[1:]], [*starts[1:], len(piece)], strict=True))
