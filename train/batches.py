"""One split as tensors, and its batches by index: no per-sample Python in an epoch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from .dataset import Array
from .domains import Domains
from .models.base import Batch
from .objectives import label_weights
from .reading import MappedReading, Reading
from .rows import Padded, Rows

#: Utterances of a batch that is not trained on, and bytes of its longest input at most.
IN_ORDER, IN_ORDER_BYTES = 256, 256 << 20


class Means:
    """The inputs that are read as means, side by side, so that one call gathers them all.

    Args:
        readings: input name to its means.
        device: where the tensors lie.
    """

    def __init__(self, readings: Mapping[str, Reading], device: str) -> None:
        self.widths = [reading.values.shape[1] for reading in readings.values()]
        values = np.concatenate([reading.values for reading in readings.values()], axis=1)
        self.values = torch.from_numpy(values).to(device)  # (n, sum of D)
        self.present = {
            name: None if r.mask.all() else torch.from_numpy(r.mask).to(device)  # (n,)
            for name, r in readings.items()
        }

    def take(self, index: Tensor) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor | None]]:
        """Of utterances ``index`` (S, B): (S, B, sum of D), and values and masks by name."""
        chosen = index.reshape(-1)
        means = self.values.index_select(0, chosen).view(*index.shape, -1)
        parts = zip(self.present, means.split_with_sizes(self.widths, -1), strict=True)
        masks = {
            name: None if present is None else present[chosen].view(index.shape)
            for name, present in self.present.items()
        }
        return means, dict(parts), masks


@dataclass(frozen=True, eq=False)
class Sequences:
    """An input read as rows, ragged; the last row is the padding.

    Args:
        rows: (n_rows + 1, D), the last one zeros.
        real: (n_rows + 1,) bool, the last one False.
        starts: (n,) first row of each utterance.
        lengths: (n,) rows of each.
    """

    rows: Tensor
    real: Tensor
    starts: Tensor
    lengths: Tensor

    @property
    def largest(self) -> int:
        """Bytes of the longest utterance."""
        longest = int(self.lengths.max()) if len(self.lengths) else 0
        return longest * self.rows.shape[1] * self.rows.element_size()

    def take(self, index: Tensor) -> tuple[Rows, Tensor]:
        """Rows and mask (S, B, T) of utterances ``index``, T the longest of them."""
        lengths = self.lengths[index]  # (S, B)
        longest = max(1, int(lengths.max()))
        step = torch.arange(longest, device=index.device)
        place = self.starts[index].unsqueeze(-1) + step  # (S, B, T)
        place = torch.where(step < lengths.unsqueeze(-1), place, len(self.rows) - 1)
        return Rows(self.rows, place), self.real[place]


@dataclass(frozen=True, eq=False)
class MappedSequences:
    """An input read as rows that lie on the disk: the same batches as those of ``Sequences``.

    Each utterance is copied, and made float32 and normalised while it is in the processor's cache,
    so that an epoch costs little more than one from memory (``benchmarks/train_mapped.py``).
    """

    reading: MappedReading
    device: str

    @property
    def largest(self) -> int:
        """Bytes of the longest utterance."""
        return int(self.reading.lengths.max(initial=0)) * self.reading.given.width * 4

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Rows (S, B, T, D) and mask (S, B, T) of utterances ``index`` (S, B), T the longest."""
        chosen = index.reshape(-1).tolist()
        longest = max(1, int(self.reading.lengths[chosen].max()))
        values = np.zeros((len(chosen), longest, self.reading.given.width), np.float32)
        mask = np.zeros((len(chosen), longest), bool)
        for number in chosen:
            self.reading.announce(number)
        for i, number in enumerate(chosen):
            self.reading.fill(number, values[i], mask[i])
        return (
            torch.from_numpy(values).to(self.device).view(*index.shape, *values.shape[1:]),
            torch.from_numpy(mask).to(self.device).view(*index.shape, longest),
        )


class Part:
    """What the loop may see of one split: inputs, truth, and which truth is known.

    Args:
        readings: input name to what is read of it, for the split's utterances only.
        truth: (n, K) float64, NaN where there is no label.
        device: where the tensors lie.
        importance: (n, K), how much each label counts in the loss; None: all alike.
        domains: of the utterances, where the model asks.

    Attributes:
        n: utterances.
        shown: how many an epoch shows, those that it shows again counted again.
    """

    def __init__(
        self,
        readings: Mapping[str, Reading | MappedReading],
        truth: Array,
        device: str,
        importance: Array | None = None,
        domains: Domains | None = None,
    ) -> None:
        self.n = self.shown = len(truth)
        self.domain = torch.from_numpy(domains.number).to(device) if domains else None  # (n,)
        self.places: Tensor | None = None  # (shown,) which utterance stands at each
        if domains and len(domains.again):
            places = np.concatenate([np.arange(self.n), domains.again])
            self.places, self.shown = torch.from_numpy(places).to(device), len(places)
        known = np.isfinite(truth)
        self.known = torch.from_numpy(known).to(device)  # (n, K)
        self.truth = torch.from_numpy(np.where(known, truth, 0.0).astype(np.float32)).to(device)
        counts = known if importance is None else known * importance
        self.counts = torch.from_numpy(counts.astype(np.float32)).to(device)  # (n, K), 0: unknown
        self.device = device
        means: dict[str, Reading] = {}
        self.sequences: dict[str, Sequences | MappedSequences] = {}
        for name, reading in readings.items():
            if isinstance(reading, MappedReading):
                self.sequences[name] = MappedSequences(reading, device)
            elif reading.offsets is None:
                means[name] = reading
            else:
                self.sequences[name] = _sequences(reading, reading.offsets, device)
        self.means = Means(means, device) if means else None

    def batch(self, index: Tensor) -> Batch:
        """The utterances ``index`` (S, B), any of them for each seed."""
        values, masks, means = self._inputs(index)
        domain = None if self.domain is None else self.domain[index]
        return Batch(values, masks, means, index, domain)

    def _inputs(self, index: Tensor) -> tuple[Padded, dict[str, Tensor | None], Tensor | None]:
        """Values and masks by name, and all means side by side."""
        means, parts, masks = self.means.take(index) if self.means else (None, {}, {})
        values: dict[str, Tensor | Rows] = dict(parts)
        for name, rows in self.sequences.items():
            values[name], masks[name] = rows.take(index)
        return Padded(values), masks, means

    def every_epoch(self, n_seeds: int) -> Iterable[Batch]:
        """What ``in_order`` gives, any number of times: kept, unless there is a mapped input."""
        if any(isinstance(rows, MappedSequences) for rows in self.sequences.values()):
            return _InOrder(self, n_seeds)
        return list(self.in_order(n_seeds))

    def in_order(self, n_seeds: int, size: int = IN_ORDER) -> Iterator[Batch]:
        """All utterances in order, the same ones for every seed (one copy in memory).

        Batches have ``size`` utterances, and fewer where their rows are many.
        """
        largest = max([rows.largest for rows in self.sequences.values()], default=1)
        size = max(1, min(size, IN_ORDER_BYTES // max(1, largest)))
        for start in range(0, self.n, size):
            index = torch.arange(start, min(start + size, self.n), device=self.device)
            values, masks, means = self._inputs(index.unsqueeze(0))

            def many(tensor: Tensor | None) -> Tensor | None:
                return None if tensor is None else tensor.expand(n_seeds, *tensor.shape[1:])

            same = {name: many(mask) for name, mask in masks.items()}
            yield Batch(values.expand(n_seeds), same, many(means))

    def steps(
        self, order: Tensor, size: int, task_weights: Tensor, together: int = 1
    ) -> Iterator[tuple[Batch, Tensor, Tensor]]:
        """One epoch: batches, truth and label weights (S, B, K) in an order (S, shown) a seed.

        The weights of ``together`` batches in a row are those of one large batch.
        """
        order = order.to(self.device)
        index = order if self.places is None else self.places[order]
        weights = self._weights(index, size * together, task_weights)
        parts = (order, index, self.truth[index], weights)
        for place, own, truth, weights in zip(*(t.split(size, dim=1) for t in parts), strict=True):
            batch = self.batch(own)
            if self.places is not None:
                batch = replace(batch, copied=place >= self.n)
            yield batch, truth, weights

    def _weights(self, order: Tensor, size: int, task_weights: Tensor) -> Tensor:
        """Label weights (S, n, K) of several steps of ``size``, each step for itself."""
        known = self.counts[order]
        whole = known.shape[1] // size * size
        steps = known[:, :whole].reshape(len(known), -1, size, known.shape[2])
        done = label_weights(steps, task_weights).view(len(known), whole, known.shape[2])
        if whole == known.shape[1]:
            return done
        return torch.cat([done, label_weights(known[:, whole:], task_weights)], dim=1)


@dataclass(frozen=True, eq=False)
class _InOrder:
    """A part's batches in order, made anew whenever they are asked for."""

    part: Part
    n_seeds: int

    def __iter__(self) -> Iterator[Batch]:
        return self.part.in_order(self.n_seeds)


def _sequences(reading: Reading, offsets: Array, device: str) -> Sequences:
    padding = np.zeros((1, reading.values.shape[1]), np.float32)
    return Sequences(
        torch.from_numpy(np.concatenate([reading.values, padding])).to(device),
        torch.from_numpy(np.append(reading.mask, False)).to(device),
        torch.from_numpy(offsets[:-1].copy()).to(device),
        torch.from_numpy(np.diff(offsets)).to(device),
    )
