"""MulT, multimodal transformer: each modality's rows look at those of each other one."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..seeds import Dropout, LayerNorm, Linear, Streams
from .attention import AttentionLayer, positions
from .base import Batch, Model, Output


class MultNet(Model):
    """Crossmodal attention for each ordered pair of modalities, attention within, last rows.

    Each input goes through a convolution over time to ``units`` columns. For each modality, its
    rows ask those of every other one, ``layers`` layers deep; what they find stands side by side
    and asks itself, ``self_layers`` deep. The last real row of each modality, side by side, goes
    through two layers with a bypass and a linear layer a task.

    Padding is never looked at and never read out; rows inside a sequence that are masked are not
    looked at either. A missing modality answers nothing and gives zeros.

    Source:
        Tsai et al. (2019), ACL, arXiv:1906.00295, for two or three modalities. Their published
        code has no masks for padding; it hides a row's future instead (``future_mask``: row i sees
        rows up to i plus the difference of the lengths) and reads out the last row, padded or not.
        Their convolutions shorten a sequence, ours keep its length. Defaults: those commonly used
        on CH-SIMS.
    """

    #: Dropout among the rows that attend and those attended to goes by how many there are in the
    #: longest utterance of a batch, of all seeds: a stack would not learn what one seed does.
    stackable: ClassVar[bool] = False

    def build(self, settings: Any, streams: Streams) -> None:
        """Convolutions, crossmodal and inner encoders, read-out."""
        units, n_others = settings.units, len(self.inputs) - 1
        self.future_mask = settings.future_mask
        self.entry = nn.ModuleList(
            Convolution(
                spec.width,
                units,
                getattr(settings, f"{spec.modality}_kernel"),
                settings.text_dropout if spec.modality == "text" else 0.0,
                streams,
            )
            for spec in self.inputs
        )
        self.across = nn.ModuleList(
            Encoder(units, settings.layers, self._dropout(answers.modality), settings, streams)
            for i in range(len(self.inputs))
            for answers in self._others(i)
        )
        dropout = self._dropout("text")  # whichever asks itself, as in the authors' code
        self.within = nn.ModuleList(
            Encoder(units * n_others, settings.self_layers, dropout, settings, streams)
            for _ in self.inputs
        )
        width = units * n_others * len(self.inputs)
        self.first = Linear(width, width, streams)
        self.second = Linear(width, width, streams)
        self.drop = Dropout(settings.output_dropout, streams)
        self.score = Linear(width, sum(self.sizes), streams)

    def _dropout(self, modality: str) -> float:
        """Of the weights of attention to a modality."""
        rate: float = getattr(self.settings, f"{modality}_attention_dropout")
        return rate

    def _others(self, i: int) -> list[Any]:
        return [spec for k, spec in enumerate(self.inputs) if k != i]

    def attends(self, path: str) -> str:
        """Which modality looks at which (``across.2.layers.0.attention``)."""
        part, number = path.split(".")[:2]
        pairs = [(a.name, b.name) for i, a in enumerate(self.inputs) for b in self._others(i)]
        within = [(spec.name, "what it found") for spec in self.inputs]
        asks, answers = (pairs if part == "across" else within)[int(number)]
        return f"{asks} looks at {answers}"

    def forward(self, batch: Batch) -> Output:
        """Scores (S, B, K) and the last hidden layer (S, B, H)."""
        rows, masks = [], []
        for spec, entry in zip(self.inputs, self.entry, strict=True):
            mask = batch.mask[spec.name]
            assert mask is not None
            rows.append(entry(batch.values[spec.name], mask))
            masks.append(mask)
        ends = []
        across = iter(self.across)
        for i, within in enumerate(self.within):
            found = [
                next(across)(rows[i], rows[k], self._seen(masks[i], masks[k]))
                for k in range(len(rows))
                if k != i
            ]
            own = within(torch.cat(found, dim=-1), None, self._seen(masks[i], masks[i]))
            ends.append(last_real(own, masks[i]))
        x = torch.cat(ends, dim=-1)
        hidden = x + self.second(self.drop(torch.relu(self.first(x))))
        return Output(self.score(hidden), hidden)

    def _seen(self, asks: Tensor, answers: Tensor) -> Tensor:
        """Who may look at whom, (S, B, 1 or T, U), of masks (S, B, T) and (S, B, U)."""
        seen = answers.unsqueeze(2)
        if not self.future_mask:
            return seen
        n_asks, n_answers = (length_of(mask)[..., None, None] for mask in (asks, answers))
        row = torch.arange(asks.shape[-1], device=asks.device)[:, None]
        column = torch.arange(answers.shape[-1], device=asks.device)
        return seen & (column <= row + (n_asks - n_answers).abs())


class Convolution(nn.Module):
    """A convolution over time that keeps the length; zeros stand for what lies outside."""

    def __init__(
        self, n_in: int, n_out: int, kernel: int, dropout: float, streams: Streams
    ) -> None:
        super().__init__()
        self.kernel = kernel
        self.drop = Dropout(dropout, streams)
        bound = 1 / math.sqrt(n_in * kernel)
        self.weight = nn.Parameter(streams.uniform((kernel * n_in, n_out), bound))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map rows (S, B, T, n_in), zeros where masked, to (S, B, T, n_out), zeros there too."""
        x = self.drop(x)
        if self.kernel > 1:
            before = (self.kernel - 1) // 2
            x = functional.pad(x, (0, 0, before, self.kernel - 1 - before))
            x = x.unfold(2, self.kernel, 1).transpose(-1, -2).flatten(3)  # (S, B, T, kernel * n_in)
        made = torch.bmm(x.flatten(1, 2), self.weight).view(*mask.shape, -1)
        return made * mask.unsqueeze(-1)


class Encoder(nn.Module):
    """Position encodings, attention layers, a last normalisation."""

    def __init__(
        self, width: int, layers: int, dropout: float, settings: Any, streams: Streams
    ) -> None:
        super().__init__()
        self.drop = Dropout(settings.embed_dropout, streams)
        self.layers = nn.ModuleList(
            AttentionLayer(
                width,
                settings.heads,
                dropout,
                settings.relu_dropout,
                settings.residual_dropout,
                streams,
            )
            for _ in range(layers)
        )
        self.last = LayerNorm(width, streams)

    def forward(self, x: Tensor, answers: Tensor | None, seen: Tensor) -> Tensor:
        """Map rows (S, B, T, D) that ask ``answers``, or themselves, to (S, B, T, D)."""
        x = self._placed(x)
        if answers is not None:
            answers = self._placed(answers)
        for layer in self.layers:
            x = layer(x, answers, seen)
        done: Tensor = self.last(x)
        return done

    def _placed(self, x: Tensor) -> Tensor:
        placed: Tensor = self.drop(x * math.sqrt(x.shape[-1]) + positions(x))
        return placed


def length_of(mask: Tensor) -> Tensor:
    """Rows up to the last real one, (S, B) of a mask (S, B, T)."""
    place = torch.arange(1, mask.shape[-1] + 1, device=mask.device)
    return (mask * place).amax(dim=-1)


def last_real(x: Tensor, mask: Tensor) -> Tensor:
    """The last real row (S, B, D) of (S, B, T, D); zeros where there is none."""
    length = length_of(mask)
    index = (length - 1).clamp(min=0)[..., None, None].expand(-1, -1, 1, x.shape[-1])
    return x.gather(2, index).squeeze(2) * (length > 0).unsqueeze(-1)
