"""A store in a bucket of a server that speaks S3; ``AFFECTFLOW_TEST_S3=URL`` takes another one."""

import os

import numpy as np
import pytest

from affectflow.cache import checkpoints
from affectflow.cache.errors import StoreUnreachable
from affectflow.cache.layout import all_shards
from affectflow.cache.prune import Unwanted, prune
from affectflow.cache.records import ArraySpec
from affectflow.cache.store import FeatureStore
from affectflow.cache.verify import verify

s3fs = pytest.importorskip("s3fs", reason="needs the extra 's3'")
NODE, FIT = "ab" * 32, "cd" * 32
SPEC = {"values": ArraySpec((3,), "float32", ("a", "b", "c"), 0.04)}
ORIGIN = {"description": {"kind": "extract", "name": "energy"}}
pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries of the server and the client


@pytest.fixture(scope="module")
def server():
    """The address of a server: moto's, or a real one with keys in the environment."""
    if address := os.environ.get("AFFECTFLOW_TEST_S3"):
        yield address
        return
    moto = pytest.importorskip("moto.server", reason="needs moto[s3], flask, flask-cors")
    made = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    made.start()
    yield "http://{}:{}".format(*made.get_host_and_port())
    made.stop()


@pytest.fixture
def bucket(server, monkeypatch):
    """An empty bucket, in the environment that the library reads."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, os.environ.get(name, "testing-testing"))
    s3fs.S3FileSystem.clear_instance_cache()
    files = s3fs.S3FileSystem(use_listings_cache=False)
    name = f"affectflow-test-{os.getpid()}"
    files.mkdir(name)
    yield name
    files.rm(name, recursive=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("affectflow.cache.remote.PAUSES", (0.1,))


def test_what_one_machine_makes_another_one_reads_verifies_and_removes(
    bucket, make, same, monkeypatch, tmp_path
):
    url, items = f"s3://{bucket}/cache", {}
    store = FeatureStore(url)
    for seed in range(3):
        part = make(5, seed, rows=1000)
        store.add([store.write(NODE, part, spec=SPEC, origin=ORIGIN)])
        items |= part
    weights = {"w": np.arange(1000, dtype=np.float32)}
    checkpoints.publish(store.root, FIT, weights, {"description": {"kind": "fit"}})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    other = FeatureStore(url)
    assert other.has(NODE, list(items)).all()
    assert not any(path.exists() for path in all_shards(other.root))
    for key, features in items.items():
        same(other.read(NODE, key), features)
    mine = checkpoints.publish(other.root, FIT, {"w": np.zeros(2, np.float32)}, {})
    assert len(mine.weights()["w"]) == 1000
    assert verify(other.root).faults == ()
    prune(other.root, Unwanted(nodes=[NODE, FIT]))
    store.adopt()
    assert not store.has(NODE, list(items)).any()
    assert checkpoints.load(store.root, FIT) is None


def test_a_bucket_that_is_not_there_is_named(bucket):
    with pytest.raises(StoreUnreachable, match=f"there is no bucket '{bucket}-gone'. Make it"):
        FeatureStore(f"s3://{bucket}-gone/cache")


def test_a_server_that_does_not_answer_is_named(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(StoreUnreachable, match="127.0.0.1:9.*tried 2 times"):
        FeatureStore("s3://nowhere/cache")
