import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from affectflow.extract.listing import SHOWN, about, arrays, default_spec, markdown, settings, table
from affectflow.extract.registry import EXTRACTORS, extractor, extractor_class

README = Path(__file__).parents[2] / "README.md"
START, END = "<!-- extractors: made by extract/listing.py -->\n", "<!-- end of extractors -->"


def row(name):
    return next(row for row in table() if row.name == name)


def test_every_extractor_is_listed_once_by_modality():
    rows = table()
    assert sorted(r.name for r in rows) == sorted(EXTRACTORS)
    modalities = [r.modality for r in rows]
    assert sorted(modalities, key=["text", "audio", "vision", "marks", "any"].index) == modalities


@pytest.mark.parametrize("name", EXTRACTORS)
def test_columns_and_rows_of_every_extractor_are_said(name):
    assert row(name).columns, f"'{name}': set the class attribute 'sizes'"
    assert row(name).rate, f"'{name}': set the class attribute 'rows'"
    assert not set("|\n") & set("".join((row(name).licence, row(name).paper)))


def test_the_list_loads_none_of_the_libraries_that_compute():
    code = (
        "import sys; from affectflow.extract.listing import table; table(); "
        "big = {'numba', 'torch', 'librosa', 'cv2', 'scipy', 'pandas', 'av', 'transformers'}; "
        "print(sorted(big & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_numbers_are_those_of_the_default_settings():
    assert (row("librosa-33").columns, row("librosa-33").rate) == ("33", "43.07 Hz")
    assert (row("egemaps").columns, row("egemaps").rate) == ("25", "100 Hz")
    assert (row("vader").columns, row("vader").rate) == ("3", "a word")


def test_sizes_in_words_hold_what_the_settings_make():
    low, high = map(int, row("opensmile").columns.split(" to "))
    assert extractor("opensmile", feature_set="IS09", level="lld").spec["values"].shape == (low,)
    largest = extractor("opensmile", feature_set="ComParE_2016", level="functionals")
    assert largest.spec["values"].shape == (high,)
    assert row("librosa").columns == f"as chosen; {extractor('librosa').spec['values'].shape[0]}"


def test_restricted_use_is_said():
    for name in ("egemaps", "opensmile"):
        assert "not commercial" in row(name).licence
    assert row("librosa-33").licence == ""


def test_what_cannot_be_made_without_settings_has_no_default_arrays():
    assert default_spec(extractor_class("hf-text")) is None
    assert default_spec(extractor_class("pool-words")) is None


def test_settings_that_must_be_given_are_told_from_those_that_may_be_none():
    told = dict(settings(extractor_class("hf-text")))
    assert (told["model"], told["max_length"]) == ("(needed)", None)


@pytest.mark.parametrize("name", EXTRACTORS)
def test_a_line_for_a_recipe_has_what_must_be_given(name):
    told = dict(about(extractor_class(name)))
    line = yaml.safe_load(told["recipe"].replace(" on:", " 'on':"))["name"]
    assert line.pop("extract") == name
    assert set(line.pop("on", {}).values()) <= {"NODE"}
    defaults = settings(extractor_class(name))
    assert line == {key: key.upper() for key, default in defaults if default == "(needed)"}


def test_what_is_read_is_told_where_it_does_not_follow_from_a_model():
    assert dict(about(extractor_class("mtcnn-face")))["reads"] == "pictures, 10 a second"
    assert dict(about(extractor_class("face-geometry")))["reads"] == "a node that fills 'faces'"
    assert "reads" not in dict(about(extractor_class("hf-speech")))


def test_how_word_aligned_features_are_wired_is_said():
    told = dict(about(extractor_class("pool-words")))
    assert told["reads"] == "a node that fills 'words', the features of any node"
    assert told["recipe"] == "name: {extract: pool-words, on: {words: NODE, any: NODE}}"
    told = dict(about(extractor_class("word-times")))
    assert told["reads"] == "sound at 16000 Hz, the transcript"
    assert told["fills"] == "'words'"
    assert dict(about(extractor_class("asr")))["fills"] == "'transcript' and 'words'"


def test_arrays_are_told_with_their_columns():
    found = arrays(default_spec(extractor_class("vader")))
    assert found[0][:3] == ("values", "float32", "3")
    assert [name for name, *_ in found] == ["values", "spans", "sentence"]


def test_of_very_many_columns_the_first_and_last_are_told():
    spec = extractor("opensmile", feature_set="ComParE_2016").spec
    names = arrays(spec)[0][3].split(", ")
    assert len(names) == SHOWN + 1
    assert names[0] == spec["values"].columns[0]
    assert names[SHOWN // 2] == f"... {6373 - SHOWN} more ..."
    assert names[-1] == spec["values"].columns[-1]


def test_the_readme_holds_the_table_of_the_registry():
    text = README.read_text(encoding="utf-8")
    between = text[text.index(START) + len(START) : text.index(END)]
    assert between == markdown(), (
        "put this between the marks in README.md: the output of "
        "python -c 'from affectflow.extract.listing import markdown; print(markdown(), end=\"\")'"
    )


def test_the_nodes_that_readme_shows_have_the_settings_they_name():
    shown = re.findall(r"`(\w+: \{extract: [^`]*\})`", README.read_text("utf-8"))
    assert len(shown) > 3
    for line in shown:
        ((_, node),) = yaml.safe_load(line).items()
        kind = extractor_class(node.pop("extract"))
        node.pop(True, None)  # what YAML 1.1 reads of "on"
        assert {*node} <= {field.name for field in dataclasses.fields(kind)}, line
