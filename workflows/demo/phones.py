"""Letters to sounds, crudely: which vowels, stops and hisses a spelling stands for.

Formants are textbook averages of American English (Peterson and Barney, 1952, "Control methods
used in a study of the vowels", JASA 24, means over men and women, rounded).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Noise bands in Hz.
BANDS = {"hiss": (4500.0, 9500.0), "hush": (2000.0, 5500.0), "puff": (800.0, 7000.0),
         "breath": (700.0, 4500.0)}  # fmt: skip
VOWELS = {
    "ee": (300, 2500, 3100), "i": (420, 2200, 2800), "e": (560, 2000, 2700),
    "a": (720, 1650, 2500), "ah": (760, 1150, 2600), "o": (600, 950, 2550),
    "oo": (330, 950, 2400), "uh": (640, 1250, 2550),
}  # fmt: skip
#: Spelling -> vowel, longest first. Whatever is not here falls to its first letter.
VOWEL_SPELLINGS = {
    "eau": "oo", "igh": "ah", "ee": "ee", "ea": "ee", "ie": "ee", "ei": "e", "ey": "ee",
    "ai": "e", "ay": "e", "oo": "oo", "ou": "ah", "ow": "ah", "oi": "o", "oa": "o", "au": "o",
    "ue": "oo", "ui": "oo", "a": "a", "e": "e", "i": "i", "o": "o", "u": "uh", "y": "ee",
}  # fmt: skip
#: Consonant -> (seconds, voicing, noise, band).
CONSONANTS = {
    "s": (0.09, 0.0, 0.45, "hiss"), "z": (0.07, 0.3, 0.25, "hiss"), "x": (0.09, 0.0, 0.4, "hiss"),
    "sh": (0.09, 0.0, 0.5, "hush"), "ch": (0.08, 0.0, 0.5, "hush"), "j": (0.07, 0.3, 0.3, "hush"),
    "f": (0.08, 0.0, 0.22, "puff"), "th": (0.07, 0.1, 0.2, "puff"), "v": (0.06, 0.45, 0.1, "puff"),
    "h": (0.05, 0.1, 0.3, "breath"), "p": (0.025, 0.0, 0.6, "puff"), "t": (0.025, 0.0, 0.7, "hiss"),
    "k": (0.03, 0.0, 0.6, "hush"), "b": (0.02, 0.4, 0.2, "puff"), "d": (0.02, 0.4, 0.25, "hiss"),
    "g": (0.02, 0.4, 0.25, "hush"), "m": (0.07, 0.4, 0.0, ""), "n": (0.06, 0.45, 0.0, ""),
    "ng": (0.07, 0.4, 0.0, ""), "l": (0.06, 0.6, 0.0, ""), "r": (0.06, 0.6, 0.0, ""),
    "w": (0.06, 0.55, 0.0, ""), "y": (0.05, 0.55, 0.0, ""),
}  # fmt: skip
SAME = {"c": "k", "q": "k", "ck": "k", "ph": "f", "wh": "w"}
GLIDES = {"m": (280, 1100, 2200), "n": (280, 1500, 2500), "ng": (280, 1900, 2700),
          "l": (360, 1100, 2700), "r": (420, 1250, 1650), "w": (320, 750, 2300),
          "y": (300, 2300, 3000)}  # fmt: skip
STOPS = frozenset("ptkbdg")
CLOSURE = 0.045  # s of silence (or of a murmur) before a stop's burst
REST = (500.0, 1500.0, 2500.0)  # Hz, the neutral tube
PAUSE = 0.16  # s, at a comma
_TOKENS = re.compile(
    "|".join(sorted([*VOWEL_SPELLINGS, *CONSONANTS, *SAME], key=lambda s: (-len(s), s)))
)


@dataclass(frozen=True)
class Phone:
    """One sound: how long (s), how voiced (0 to 1), formants (Hz), and its noise if any."""

    seconds: float
    voicing: float
    formants: tuple[float, float, float] = REST
    noise: float = 0.0
    band: str = ""
    stressed: bool = False


def phones_of(text: str) -> list[Phone]:
    """Sounds of a text, a silence before and after.

    >>> [round(phone.voicing, 1) for phone in phones_of("bad")]
    [0.0, 0.1, 0.4, 1.0, 0.1, 0.4, 0.0]
    """
    phones = [Phone(0.2, 0.0)]
    for word, comma in re.findall(r"([a-z']+)(,?)", text.lower()):
        phones += _word(word.replace("'", ""))
        phones.append(Phone(PAUSE if comma else 0.015, 0.0 if comma else 0.2))
    return [*phones[:-1], Phone(0.2, 0.0)]


def _word(word: str) -> list[Phone]:
    if len(word) > 3 and word[-1] == "e" and word[-2] not in "aeiouy":
        word = word[:-1]  # a last e is silent
    phones: list[Phone] = []
    accented = len(word) < 4  # short words are mostly function words
    for token in _TOKENS.findall(re.sub(r"([b-df-hj-np-tv-z])\1", r"\1", word)):
        if token in VOWEL_SPELLINGS and not (token == "y" and not phones):
            stressed = not accented
            accented = True
            seconds = 0.17 if stressed else 0.10
            phones.append(Phone(seconds, 1.0, VOWELS[VOWEL_SPELLINGS[token]], stressed=stressed))
        else:
            phones += _consonant(SAME.get(token, token))
    return phones


def _consonant(sound: str) -> list[Phone]:
    seconds, voicing, noise, band = CONSONANTS[sound]
    burst = Phone(seconds, voicing, GLIDES.get(sound, REST), noise, band)
    if sound in STOPS:
        return [Phone(CLOSURE, 0.1 if voicing else 0.0), burst]
    return [burst]
