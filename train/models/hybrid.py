"""Hybrid-modal attention: what its two networks, on cached text and inside an encoder, share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..objectives import shifting_huber
from ..seeds import Dropout, Linear, Streams
from .aligned import aligned_rows
from .base import Batch, Model, Output
from .bimodal_adjustment import BimodalAdjustment
from .shifting_gate import ShiftingGate
from .time_reader import TimeReader


class HybridNet(Model):
    """Fusion in stages of word-aligned text (t), sound (a) and sight (v); T tokens or words.

    =========================================  =====================================
    F_a = RNN(A), F_v = RNN(V)                 eq. 1-2, ``TimeReader``
    F_t* = MSG-T(F_t; F_a, F_v)                eq. 4-8, ``ShiftingGate``
    M_t = layers above, on F_t*                ``upper``
    M_ta, M_tv = MBA(M_t, F_a), MBA(M_t, F_v)  eq. 9-17, ``BimodalAdjustment``
    M_a = MSG-A(F_a; M_tv, F_v)                eq. 4-8; with ``adjusted_by: own``, M_ta
    M_v = MSG-V(F_v; M_ta, F_a)                eq. 4-8; with ``adjusted_by: own``, M_tv
    FC of (M_t, M_a, M_v) where text is read   ``summed``
    loss += alpha, beta, gamma x Huber of h    eq. 19-20, ``objectives.shifting_huber``
    =========================================  =====================================

    A modality that is not among the inputs leaves out what belongs to it; so does a gate that a
    setting takes away: its rows go on as they are.

    Source:
        Lin and Hu (2024), "Dynamically Shifting Multimodal Representations via Hybrid-Modal
        Attention for Multimodal Sentiment Analysis", IEEE Transactions on Multimedia 26,
        doi:10.1109/TMM.2023.3303711. The paper does not say what follows its fully connected
        layer (here ReLU), nor mu, d, the kernels, alpha, beta, gamma and delta (by grid search
        there): the defaults are ours. A row that is masked (a special token, a word without a
        face) is read as zeros, as in the paper; the readers pass over padding, and give zeros
        where an utterance lacks their modality. The paper keeps the epoch of the least total loss
        on the validation split; ours, as for every model here, is that of the least MAE.
    """

    #: A batch's longest utterance, of all seeds, would change what is drawn for dropout.
    stackable: ClassVar[bool] = False

    def build(self, settings: Any, streams: Streams) -> None:
        """Readers, gates, the layers above, adjustments, the read-out."""
        specs = {spec.modality: spec for spec in self.inputs}
        self.readers = nn.ModuleDict()
        self.gates = nn.ModuleDict()
        self.adjust = nn.ModuleDict()
        self.widths: dict[str, int] = {}
        for name in [name for name in specs if name != "text"]:
            units = getattr(settings, f"{name}_units")
            reader = TimeReader(settings.rnn, specs[name].width, units, streams)
            self.readers[name], self.widths[name] = reader, reader.width
        if "text" in specs:
            self._gate("text", specs["text"].width, [*self.widths.values()], streams)
            self.widths = {"text": self.build_upper(settings, streams), **self.widths}
        for name in self.readers:
            others = [width for other, width in self.widths.items() if other != name]
            self._gate(name, self.widths[name], others, streams)
        wanted = {self._adjusted_by(name) for name in self.readers if name in self.gates}
        for name in [name for name in self.readers if name in wanted]:
            kernels = settings.text_kernel, getattr(settings, f"{name}_kernel")
            widths = self.widths["text"], self.widths[name]
            self.adjust[name] = BimodalAdjustment(
                *widths, settings.adjusted_units, kernels, streams
            )
        self.fuse = Linear(sum(self.widths.values()), settings.fused_units, streams)
        self.drop = Dropout(settings.post_dropout, streams)
        self.score = Linear(settings.fused_units, sum(self.sizes), streams)

    @abstractmethod
    def build_upper(self, settings: Any, streams: Streams) -> int:
        """Make the layers above MSG-T; how many columns they give."""

    @abstractmethod
    def upper(self, rows: Tensor, mask: Tensor) -> Tensor:
        """Text rows (S, B, T, D) and their mask, through the layers above MSG-T."""

    @abstractmethod
    def summed(self, rows: Tensor, real: Tensor) -> Tensor:
        """What stands for each utterance, (S, B, D), of all modalities' rows (S, B, T, D)."""

    def attends(self, path: str) -> str:
        """Of an adjustment (``adjust.audio``), what it goes by."""
        part, _, name = path.partition(".")
        return f"text looks at text, by {name} (MBA)" if part == "adjust" else "text looks at text"

    def forward(self, batch: Batch) -> Output:
        """Scores (S, B, K) and the fully connected layer before them (S, B, fused_units)."""
        names = [spec.modality for spec in self.inputs]
        aligned, masks, real = aligned_rows(batch, self.inputs)
        given, mask = (dict(zip(names, x, strict=True)) for x in (aligned, masks))
        read = {
            name: self._read(given[name], mask[name], real, reader)
            for name, reader in self.readers.items()
        }
        rows, shifts = dict(read), dict[str, Tensor]()
        if "text" in given:
            low = given["text"]
            if "text" in self.gates:
                low, shifts["text"] = self.gates["text"](low, [*read.values()])
            high = self.upper(low, mask["text"])
            rows["text"] = high.masked_fill(~mask["text"].unsqueeze(-1), 0.0)
        texts = {
            by: adjust(rows["text"], read[by], mask["text"]) for by, adjust in self.adjust.items()
        }
        for name in [name for name in read if name in self.gates]:
            beside = {**read, "text": texts.get(self._adjusted_by(name), rows.get("text"))}
            others = [beside[other] for other in self.widths if other != name]
            rows[name], shifts[name] = self.gates[name](read[name], others)
        whole = torch.cat([rows[name] for name in self.widths], dim=-1)
        hidden = torch.relu(self.fuse(self.summed(whole, real)))
        return Output(self.score(self.drop(hidden)), hidden, self._losses(shifts, real))

    @staticmethod
    def _read(rows: Tensor, mask: Tensor, real: Tensor, reader: nn.Module) -> Tensor:
        """States (S, B, T, width): masked rows are zeros and read as such, where any is real."""
        states: Tensor = reader(rows, real & mask.any(dim=-1, keepdim=True))
        return states * real.unsqueeze(-1)

    def _losses(self, shifts: Mapping[str, Tensor], real: Tensor) -> dict[str, Tensor]:
        """The Shifting HuberLoss of each modality, weighed."""
        weights = {name: getattr(self.settings, f"{name}_shift_weight") for name in shifts}
        return {
            f"{name}_shift": weights[name] * shifting_huber(shift, real, self.settings.delta)
            for name, shift in shifts.items()
            if weights[name]
        }

    def _gate(self, name: str, width: int, others: Sequence[int], streams: Streams) -> None:
        """Make the gate of a modality, if the settings want it and another one is there."""
        if others and getattr(self.settings, f"shift_{name}"):
            self.gates[name] = ShiftingGate(width, others, self.settings.largest_shift, streams)

    def _adjusted_by(self, name: str) -> str:
        """Modality that adjusts the text which a gate of sound or sight gets; empty: none."""
        if "text" not in self.widths or not self.settings.adjust:
            return ""
        others = [other for other in self.readers if other != name]
        return others[0] if others and self.settings.adjusted_by == "other" else name
