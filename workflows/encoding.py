"""What a worker encodes: one checkpoint, applied to many utterances."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..cache.checkpoints import Checkpoint
from ..cache.errors import BadInput
from ..cache.records import MAIN, ArraySpec, Features, FeatureSpec
from ..cache.runs import Failure
from ..cache.store import FeatureStore
from ..train.registry import model_settings
from .batch import Made
from .fitting import InputRef, checkpoint_for, must_map, read_inputs
from .output import write_shards
from .spending import most_memory


@dataclass(frozen=True)
class EncodeTask:
    """One encode: a fitted checkpoint, and the utterances it is applied to.

    ``gives`` and ``dtype`` as in ``nodes.Encode``.
    """

    root: str
    node: str
    fingerprint: str
    fit: str
    origin: Mapping[str, Any]
    ids: tuple[str, ...]
    keys: tuple[bytes, ...]
    inputs: tuple[InputRef, ...]
    device: str = "cpu"
    allow_mixed: bool = False
    gives: str = "hidden"
    dtype: str = "float32"

    @property
    def name(self) -> str:
        """Name of its claim."""
        return f"{self.fingerprint[:16]}-{self.keys[0].hex()}-{len(self.keys)}"

    @property
    def wants_gpu(self) -> bool:
        """Whether it computes on a GPU."""
        return self.device.startswith("cuda")

    @property
    def n(self) -> int:
        """Features that are to be made."""
        return len(self.keys)


def make_encode(task: EncodeTask) -> Made:
    """Apply a checkpoint to cached features and publish what it makes of them."""
    store = FeatureStore(task.root)
    found = store.published(task.fingerprint, task.keys)
    if found:
        return Made((found,))
    checkpoint = checkpoint_for(task, task.fit)
    begin = time.perf_counter()
    widths = {known["name"]: known["width"] for known in checkpoint.meta["inputs"]}
    note = must_map(task, store)
    inputs = read_inputs(task, store, widths, mapped=bool(note))
    failures: list[Failure] = []
    made = _encoded(task, checkpoint, inputs, failures)
    shards = write_shards(
        store,
        task.fingerprint,
        made,
        lambda features: encode_spec(features, task.dtype),
        task.origin,
    )
    seconds = {task.node: time.perf_counter() - begin}
    notes = (note,) if note else ()
    return Made(tuple(shards), tuple(failures), seconds, notes, memory=most_memory())


def _encoded(
    task: EncodeTask, checkpoint: Checkpoint, inputs: Sequence[Any], failures: list[Failure]
) -> Iterator[tuple[bytes, Features]]:
    """Features by key as they come; those that could not be made join the failures."""
    from ..train.fit import encoded

    keys = dict(zip(task.ids, task.keys, strict=True))

    def failed(name: str, message: str) -> None:
        mark, key = task.fingerprint, keys.pop(name).hex()
        failures.append(Failure(name, task.node, mark, key, "BadInput", message))

    weights = checkpoint.weights()
    for name, made in encoded(weights, checkpoint.meta, inputs, task.device, task.gives):
        try:
            features = made.cast(encode_spec(made, task.dtype))
        except BadInput as error:
            failed(name, str(error))
        else:
            yield keys.pop(name), features
    message = f"none of {', '.join(ref.name for ref in task.inputs)} has a real row"
    if task.gives == "rows":
        model = model_settings(checkpoint.meta["model"], **checkpoint.meta["settings"])
        followed = model.rows_of({ref.name: ref.modality for ref in task.inputs})
        message = f"'{followed}' has no row of it, and those of the model follow them"
    for name in list(keys):
        failed(name, message)


def encode_spec(features: Features, dtype: str) -> FeatureSpec:
    """The arrays of an encode that gives such features."""
    return {MAIN: ArraySpec(features.values.shape[1:], dtype, features.columns)}
