"""Runs on a bucket whose server breaks off, refuses and fails at random points.

A proxy on the loopback address stands before the server. Of each connection it draws a fate: none,
a 500, a 503, a 403, or being cut after some bytes of what was sent or answered. In each round one
machine writes features and a model and another one reads them, with such faults; then the same
without. Told: rounds that ended in a clear error, and those that lost, tore or changed anything.

    AWS_ENDPOINT_URL=http://HOST:PORT python benchmarks/faulty_bucket.py s3://BUCKET [--rounds 20]
"""

from __future__ import annotations

import argparse
import os
import random
import socket
import tempfile
import threading
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from affectflow.cache import checkpoints, mirror, remote
from affectflow.cache.errors import AffectflowError
from affectflow.cache.records import ArraySpec, Features, frame_times
from affectflow.cache.store import FeatureStore
from affectflow.cache.verify import verify

NODE, FIT = "ab" * 32, "cd" * 32
SPEC = {"values": ArraySpec((64,), "float32", hop=0.02)}
ORIGIN = {"description": {"name": "benchmark"}}
REFUSALS = {
    "500": b"HTTP/1.1 500 Internal Server Error",
    "503": b"HTTP/1.1 503 Slow Down",
    "403": b"HTTP/1.1 403 Forbidden",
}
FATES = (*REFUSALS, "cut", "cut", "cut")


class Proxy:
    """Passes connections on to a server, some of which go wrong.

    Args:
        server: host and port of it.
        share: of the connections that go wrong.
        rng: decides.
    """

    def __init__(self, server: tuple[str, int], share: float, rng: random.Random) -> None:
        self.server, self.share, self.rng, self.met = server, share, rng, 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listening.accept()
            fate = self.rng.choice(FATES) if self.rng.random() < self.share else ""
            cut = self.rng.randrange(1, 300_000) if fate == "cut" else None
            self.met += bool(fate)
            threading.Thread(target=self._serve, args=(client, fate, cut), daemon=True).start()

    def _serve(self, client: socket.socket, fate: str, cut: int | None) -> None:
        if fate in REFUSALS:
            client.recv(1 << 16)
            client.sendall(REFUSALS[fate] + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            client.close()
            return
        server = socket.create_connection(self.server)
        left = [cut]
        for pair in ((client, server), (server, client)):
            threading.Thread(target=_pass, args=(*pair, left), daemon=True).start()


def _pass(source: socket.socket, target: socket.socket, left: list[int | None]) -> None:
    """Pass bytes on until the end, or until so many have gone in both directions."""
    try:
        while block := source.recv(1 << 14):
            if left[0] is not None:
                left[0] -= len(block)
                if left[0] < 0:
                    break
            target.sendall(block)
    except OSError:
        pass  # the other direction was cut
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue  # it is closed already


def features(seed: int) -> dict[bytes, Features]:
    rng = np.random.default_rng(seed)
    return {
        rng.bytes(16): Features(
            rng.normal(size=(300, 64)).astype("f4"), frame_times(300, 0.02, 0.02)
        )
        for _ in range(4)
    }


def work(url: str, home: Path, parts: list[dict[bytes, Features]]) -> list[str]:
    """Write on one machine, read on another; what is wrong with what came."""
    mirror.forget_folders()
    os.environ["XDG_CACHE_HOME"] = str(home / "here")
    store = FeatureStore(url)
    for part in parts:
        store.add([store.write(NODE, part, spec=SPEC, origin=ORIGIN)])
    checkpoints.publish(store.root, FIT, {"w": np.arange(9.0)}, {"description": {}})
    os.environ["XDG_CACHE_HOME"] = str(home / "there")
    other = FeatureStore(url)
    wrong = [
        key.hex()
        for part in parts
        for key, made in part.items()
        if other.read(NODE, key).values.tobytes() != made.values.tobytes()
    ]
    found = checkpoints.load(other.root, FIT)
    return wrong if found and found.weights()["w"].sum() == 36 else [*wrong, "model"]


def through(address: str) -> None:
    """Have all that follows ask this server."""
    import s3fs

    os.environ["AWS_ENDPOINT_URL"] = address
    s3fs.S3FileSystem.clear_instance_cache()
    mirror.forget_folders()
    mirror._remote.cache_clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bucket")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--share", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    remote.PAUSES = (0.1, 0.3)
    address = os.environ["AWS_ENDPOINT_URL"]
    place = urlsplit(address)
    rng = random.Random(asked.seed)
    proxy = Proxy((place.hostname or "", place.port or 80), asked.share, rng)
    told, bad, unclear = 0, 0, 0
    for i in range(asked.rounds):
        url, parts = f"{asked.bucket}/faulty-{os.getpid()}-{i}", [features(i), features(i + 1000)]
        with tempfile.TemporaryDirectory() as home:
            through(f"http://127.0.0.1:{proxy.port}")
            try:
                bad += bool(work(url, Path(home), parts))
            except AffectflowError as error:
                told += 1
                print(f"round {i}: {error}", flush=True)
            except Exception as error:
                unclear += 1
                print(f"round {i}: UNCLEAR {error!r}", flush=True)
            through(address)
            bad += bool(work(url, Path(home), parts) or verify(FeatureStore(url).root).faults)
    print(f"figure faulty_bucket_rounds = {asked.rounds} rounds")
    print(f"figure faulty_bucket_faults = {proxy.met} connections")
    print(f"figure faulty_bucket_clear_errors = {told} rounds")
    print(f"figure faulty_bucket_unclear_errors = {unclear} rounds")
    print(f"figure faulty_bucket_gone_wrong = {bad} rounds")
    raise SystemExit(1 if bad or unclear else 0)


if __name__ == "__main__":
    main()
