import pytest

from affectflow.cache.errors import Damaged
from affectflow.cache.statistics import Statistic, describe, load, publish

NODE = "ab" * 32
KEYS = [b"a" * 16, b"b" * 16]


def described(factor=3.0, node=NODE, keys=KEYS):
    return describe("length", 1, {"rule": "fmlmsn", "factor": factor}, node, keys)


def test_reads_back_what_was_written(tmp_path):
    made = Statistic(described(), {"rows": 39, "mean": 20.5})
    assert load(tmp_path, described()) is None
    publish(tmp_path, made)
    assert load(tmp_path, described()) == made


def test_rule_node_and_features_make_the_fingerprint():
    def mark(**given):
        return Statistic(described(**given), {}).fingerprint

    assert mark(keys=KEYS[::-1]) == mark()
    others = [mark(factor=2.0), mark(node="cd" * 32), mark(keys=KEYS[:1]), mark(keys=KEYS + KEYS)]
    assert len({mark(), *others}) == 5


def test_the_first_one_stays(tmp_path):
    publish(tmp_path, Statistic(described(), {"rows": 1}))
    publish(tmp_path, Statistic(described(), {"rows": 2}))
    assert load(tmp_path, described()).values == {"rows": 1}


@pytest.mark.parametrize("content", [b"", b"{}", b'{"description": {}, "values": {}}'])
def test_a_damaged_record_is_named(tmp_path, content):
    publish(tmp_path, Statistic(described(), {"rows": 1}))
    (path,) = (tmp_path / "statistics").iterdir()
    path.write_bytes(content)
    with pytest.raises(Damaged, match="statistics/.*delete it, it is made anew"):
        load(tmp_path, described())
