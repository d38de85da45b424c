import math

import pytest

from affectflow.cache.errors import BadCall, BadInput, CacheError, Damaged
from affectflow.cache.runs import (
    Failure,
    Warned,
    read_failures,
    read_records,
    read_warnings,
    run_names,
    write_failures,
    write_record,
    write_warnings,
)

NODE = "ab" * 32


def failure(message="no face", key="01" * 16, transient=False):
    return Failure("video/0001", "faces", NODE, key, "NoFace", message, "Traceback ...", transient)


def test_records_come_back_as_they_were_by_prefix(tmp_path):
    write_record(tmp_path, "run 1", "scores-fusion", {"corr": math.nan, "acc": [1, "é"]})
    write_record(tmp_path, "run 1", "summary", {})
    found = read_records(tmp_path, "run 1", "scores-")
    assert list(found) == ["scores-fusion"]
    assert math.isnan(found["scores-fusion"]["corr"])
    assert found["scores-fusion"]["acc"] == [1, "é"]
    assert list(read_records(tmp_path, "run 1")) == ["scores-fusion", "summary"]
    assert read_records(tmp_path, "none") == {}


def test_names_of_any_kind_stay_inside_their_run(tmp_path):
    for name in ("../../etc", "a/b", "..", ".hidden", "早"):
        path = write_record(tmp_path, "../run", name, {"name": name})
        assert path.parent.parent == tmp_path / "runs"
    assert set(read_records(tmp_path, "../run")) == {"../../etc", "a/b", "..", ".hidden", "早"}
    assert run_names(tmp_path) == ["../run"]


def test_a_record_is_never_changed(tmp_path):
    write_record(tmp_path, "run", "scores", {"acc": 1})
    write_record(tmp_path, "run", "scores", {"acc": 1})
    with pytest.raises(CacheError, match="written already.*never changed"):
        write_record(tmp_path, "run", "scores", {"acc": 2})
    assert read_records(tmp_path, "run")["scores"] == {"acc": 1}


def test_what_json_cannot_say_is_refused(tmp_path):
    with pytest.raises(BadInput, match="'scores' cannot be written as JSON"):
        write_record(tmp_path, "run", "scores", {"model": object()})
    with pytest.raises(BadCall, match="need a name"):
        write_record(tmp_path, "", "scores", {})


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_a_broken_record_is_named(tmp_path, text):
    path = write_record(tmp_path, "run", "scores", {})
    path.write_text(text)
    with pytest.raises(Damaged, match=r"scores\.json is damaged .* delete it"):
        read_records(tmp_path, "run")


def test_failures_come_back_by_node_and_key(tmp_path):
    other = failure(key="02" * 16, transient=True)
    write_failures(tmp_path, "run", [failure(), other])
    found = read_failures(tmp_path)
    assert found == {(NODE, b"\1" * 16): failure(), (NODE, b"\2" * 16): other}


def test_the_latest_failure_of_a_key_counts_whatever_its_run_is_called(tmp_path):
    write_failures(tmp_path, "z", [failure("first")])
    write_failures(tmp_path, "a", [failure("second")])
    [found] = read_failures(tmp_path).values()
    assert found.message == "second"


def test_no_failures_make_no_record(tmp_path):
    assert write_failures(tmp_path, "run", []) is None
    assert read_failures(tmp_path) == {}


def test_a_failure_record_without_its_fields_is_named(tmp_path):
    path = write_failures(tmp_path, "run", [failure()])
    path.write_text('{"failures": [{"utterance": "x"}]}')
    with pytest.raises(Damaged, match="is damaged"):
        read_failures(tmp_path)


def test_warnings_come_back_by_key_and_only_those_of_the_node(tmp_path):
    one = [Warned("v/1", "faces", "a" * 64, "00" * 16, text) for text in ("dark", "blurred")]
    two = [Warned("v/2", "faces", "b" * 64, "00" * 16, "dark")]
    write_warnings(tmp_path, "run", "a" * 64, one)
    write_warnings(tmp_path, "run", "b" * 64, two)
    assert read_warnings(tmp_path, "a" * 64) == {bytes(16): one}
    assert read_warnings(tmp_path, "c" * 64) == {}


def test_the_latest_warnings_of_a_key_take_the_place_of_earlier_ones(tmp_path):
    for text in ("dark", "blurred"):
        warned = Warned("v/1", "faces", "a" * 64, "00" * 16, text)
        write_warnings(tmp_path, f"run-{text}", "a" * 64, [warned])
    assert read_warnings(tmp_path, "a" * 64) == {bytes(16): [warned]}


def test_no_warnings_make_no_record(tmp_path):
    assert write_warnings(tmp_path, "run", "a" * 64, []) is None
    assert not (tmp_path / "runs").exists()
