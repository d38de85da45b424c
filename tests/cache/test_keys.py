import dataclasses
import hashlib
from dataclasses import dataclass, field

import pytest

from affectflow.cache.errors import BadInput
from affectflow.cache.keys import (
    ADDED_LATER,
    KEY_BYTES,
    WHERE,
    canonical,
    feature_key,
    fingerprint,
    segment_digest,
    settings_of,
    text_digest,
)

NODE = "ab" * 32
MEDIA = hashlib.sha256(b"clip").digest()


@dataclass(frozen=True)
class Inner:
    width: int = 3


@dataclass(frozen=True)
class Settings:
    hop: float = 0.01
    sizes: tuple[int, ...] = (1, 2)
    inner: Inner = Inner()
    extra: str = field(default="old", metadata=ADDED_LATER)


def test_canonical_json_does_not_depend_on_the_order_of_keys():
    assert canonical({"b": 1, "a": [1, 2]}) == canonical({"a": [1, 2], "b": 1})
    assert canonical({"b": 1, "a": [1, 2]}) == b'{"a":[1,2],"b":1}'


def test_canonical_json_keeps_unicode_as_utf8():
    assert canonical("中文") == '"中文"'.encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object(), b"bytes"])
def test_canonical_json_refuses_what_json_cannot_say(value):
    with pytest.raises(BadInput, match="not expressible as canonical JSON"):
        canonical({"setting": value})


def test_a_setting_added_later_counts_only_when_it_differs():
    plain = {"hop": 0.01, "sizes": [1, 2], "inner": {"width": 3}}
    assert settings_of(Settings()) == plain
    assert settings_of(Settings(extra="new")) == {**plain, "extra": "new"}


def test_settings_of_mappings_and_nested_dataclasses_are_plain_json():
    @dataclass(frozen=True)
    class Outer:
        parts: dict = field(default_factory=lambda: {"a": Inner(5)})

    assert settings_of(Outer()) == {"parts": {"a": {"width": 5}}}


def test_every_setting_changes_the_fingerprint():
    base = fingerprint({"settings": settings_of(Settings())})
    for change in ({"hop": 0.02}, {"sizes": (1, 3)}, {"inner": Inner(4)}, {"extra": "new"}):
        changed = dataclasses.replace(Settings(), **change)
        assert fingerprint({"settings": settings_of(changed)}) != base


def test_fingerprints_never_change_between_versions_of_affectflow():
    # Written down once: a change here makes every cache in the world void.
    assert fingerprint({"kind": "extract", "name": "energy", "version": 1}) == (
        "d2f79080495fa4d9411de5eb88e9f3cacee2a1dbb704dc5ec59c61ce887bb496"
    )


def test_text_and_media_of_the_same_bytes_differ():
    assert text_digest("clip") != MEDIA
    assert text_digest("a") != text_digest("b")
    assert len(text_digest("")) == 32


def test_no_start_is_a_start_of_zero():
    assert segment_digest(MEDIA, None, None) == segment_digest(MEDIA, 0.0, None)
    assert segment_digest(MEDIA, 0, 2) == segment_digest(MEDIA, None, 2.0)


def test_every_bound_of_a_segment_counts():
    digests = {
        segment_digest(MEDIA, *span) for span in [(None, None), (1.0, None), (None, 1.0), (1, 2)]
    }
    assert len(digests) == 4


def test_a_key_has_16_bytes_and_depends_on_node_contents_and_their_order():
    a, b = text_digest("a"), text_digest("b")
    keys = {
        feature_key(NODE, [a, b]),
        feature_key(NODE, [b, a]),
        feature_key(NODE, [a]),
        feature_key("cd" * 32, [a]),
        feature_key(NODE, [a + b]),
        feature_key(NODE, []),
    }
    assert len(keys) == 6
    assert {len(key) for key in keys} == {KEY_BYTES}


def test_where_weights_lie_is_not_hashed_their_content_is():
    @dataclass(frozen=True)
    class Model:
        folder: str = field(default="a", metadata=WHERE)
        layer: int = 1

    assert settings_of(Model("/somewhere")) == {"layer": 1}
