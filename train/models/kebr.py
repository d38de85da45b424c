"""KEBR: sound and sight injected into text (TCMF), held in balance by their cosines (MCC)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..seeds import Dropout, LayerNorm, Linear, Streams
from ..settings.base import MARKS
from .aligned import aligned_rows, rows_at, summary_place, with_first
from .base import Batch, Model, Output
from .copies import Copies

#: Cosines are brought this far from 1 and -1, where the slope of the angle is infinite.
CLOSEST = 1e-7
#: The modalities that are injected, in the order of eq. 7.
INJECTED = ("audio", "vision")


class KebrNet(Model):
    """Text-based cross-modal fusion on cached features, a cosine constraint, a linear score.

    X_0 of each modality are its rows, brought to the text's d columns by a matrix where they have
    others; both the fusion and the constraint take these. The matrix has no bias: rows are
    normalised, so that a cosine tells of this utterance and not of a direction that all share.
    ``layers`` layers (``Tcmf``) make X_K of the text's X_0, of which the score is read: in
    fine-tuning by one linear layer from the first position, in pre-training (an input marks the
    masked token) by two with a ReLU from that token. The loss is that of the task (L1) plus the
    constraint, in both. Both phases name their layers alike but for the heads, so that a
    fine-tuning may start from a pre-training. An utterance without text is one empty token.

    A text without a masked token scores 0; where it was cut before it (``long: truncate``), it has
    no label either (``prepare.truth_for``) and counts in no loss and no error.

    After each epoch its course tells the mean cosine of X_K with each modality's X_0, with or
    without the constraint: the figure of the modalities' imbalance.

    Source:
        "KEBR: Knowledge Enhanced Self-Supervised Balanced Representation for Multimodal Sentiment
        Analysis", ACM Multimedia 2024, eq. 2-17. The number of layers and s stand in an appendix
        that was not published with it: 3 and 1 are ours; so are dropout, the feed-forward network's
        4 d hidden columns with a ReLU, and one projection for all layers where eq. 4-5 map d_a
        columns to d in each. Ablation C3 ("only removing the text-based part") is read as eq. 7
        without the text's own term. Their epochs are 200; ours end early by validation.
    """

    def build(self, settings: Any, streams: Streams) -> None:
        """Entries, fusion layers, the head of this phase."""
        by_modality = {spec.modality: spec for spec in self.inputs}
        self.text, self.marks = by_modality["text"], by_modality.get(MARKS)
        self.others = [by_modality[name] for name in INJECTED]
        width = self.text.width
        encoder = self.pretrained.get(self.text.name)
        self.encoder = None if encoder is None else Copies(encoder, streams)
        self.from_end = encoder is not None and encoder.summary == "last"
        self.entry = nn.ModuleDict(
            {
                spec.modality: nn.Identity()
                if spec.width == width
                else Product(spec.width, width, streams)
                for spec in self.others
            }
        )
        self.fusion = nn.ModuleList(Tcmf(width, settings, streams) for _ in range(settings.layers))
        self.drop = Dropout(settings.dropout, streams)
        if self.marks is None:
            self.score = Linear(width, sum(self.sizes), streams)
        else:
            self.guess = nn.ModuleList(
                [Linear(width, width, streams), Linear(width, sum(self.sizes), streams)]
            )

    def rate(self, parameter: str, lr: float) -> float:
        """The encoder's own for its layers."""
        return self.settings.encoder_lr if parameter.startswith("encoder.") else lr

    def forward(self, batch: Batch) -> Output:
        """Scores (S, B, K), the state they are read from (S, B, D), the constraint, the cosines."""
        text, mask, place, there = self._text(batch)
        rows = {"text": text}
        masks: dict[str, Tensor] = {"text": mask}
        for spec in self.others:
            own = batch.mask[spec.name]
            assert own is not None
            rows[spec.modality] = self.entry[spec.modality](batch.values[spec.name])
            masks[spec.modality] = own
        x = text
        for layer in self.fusion:
            x = layer(x, *[(rows[name], masks[name]) for name in INJECTED])
        hidden = rows_at(x, place)  # (S, B, D)
        cosines = self._cosines(x, rows, masks)
        return Output(
            self._scores(hidden) * there.unsqueeze(-1),
            hidden,
            self._constraint(cosines) if self.training and self.settings.mcc_weight else {},
            {} if self.training else {f"cosine/{name}": c for name, c in cosines.items()},
        )

    def _text(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The text's X_0 (S, B, T, D) and mask (S, B, T); where its score is read, and if at all.

        The latter are (S, B): number of the row, and bool.
        """
        specs = [self.text] if self.marks is None else [self.text, self.marks]
        rows, masks, _ = aligned_rows(batch, specs)
        x, mask = rows[0], masks[0]
        place = summary_place(mask, self.from_end)
        mask = with_first(mask)
        if self.encoder is not None:
            x = self.encoder(x, mask)
        if self.marks is not None:
            marked = rows[1].squeeze(-1) > 0
            return x, mask, marked.int().argmax(dim=-1), marked.any(dim=-1)
        return x, mask, place, torch.ones_like(place, dtype=torch.bool)

    def _scores(self, hidden: Tensor) -> Tensor:
        """Eq. 15 in pre-training, the output layer of section 3.5 else."""
        if self.marks is None:
            return self.score(self.drop(hidden))  # type: ignore[no-any-return]
        first, second = self.guess
        return second(self.drop(torch.relu(first(hidden))))  # type: ignore[no-any-return]

    def _cosines(
        self, fused: Tensor, rows: Mapping[str, Tensor], masks: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Eq. 9: of the fused text with each modality, means over rows; (S, B), NaN without one."""
        mean = row_mean(fused, masks["text"])
        found = {}
        for name in ("text", *INJECTED):
            cosine = functional.cosine_similarity(mean, row_mean(rows[name], masks[name]), dim=-1)
            found[name] = cosine.masked_fill(~masks[name].any(dim=-1), math.nan)
        return found

    def _constraint(self, cosines: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Eq. 10: the mean over those utterances of a batch that have both modalities, (S,)."""
        audio, vision = (cosines[name] for name in INJECTED)
        real = torch.isfinite(audio) & torch.isfinite(vision)  # (S, B)
        audio, vision = (torch.where(real, cosine, 0.0) for cosine in (audio, vision))
        values = cosine_constraint(audio, vision, self.settings.scale, self.settings.penalty)
        mean = (values * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)
        return {"mcc": self.settings.mcc_weight * mean}


class KebrEncoderNet(KebrNet):
    """KEBR above cached states of layer k of a text encoder, whose layers above are trained.

    See ``MagEncoderNet`` for what that means: they start from the very model's weights, learn at
    ``encoder_lr``, and are saved with the fit; text is never cut or normalised.
    """

    #: A pretrained encoder is large: what a step costs is arithmetic.
    stackable: ClassVar[bool] = False


class Tcmf(nn.Module):
    """One layer of the fusion, eq. 2: X_k of X_(k-1) and of the other modalities' X_0.

    Its maps to query, key and value have no bias, as in eq. 3-5, and one head.
    """

    def __init__(self, width: int, settings: Any, streams: Streams) -> None:
        super().__init__()
        self.text_based: bool = settings.text_based
        self.before = LayerNorm(width, streams)
        self.query = Product(width, width, streams)
        self.inject = nn.ModuleList(CrossModal(width, streams) for _ in INJECTED)
        self.between = LayerNorm(width, streams)
        self.first = Linear(width, settings.widening * width, streams)
        self.second = Linear(settings.widening * width, width, streams)
        self.drop = Dropout(settings.dropout, streams)

    def forward(self, x: Tensor, *others: tuple[Tensor, Tensor]) -> Tensor:
        """Map text (S, B, T, D) to the same, others being rows (S, B, U, D) and masks (S, B, U)."""
        normal = self.before(x)
        query = self.query(normal)  # eq. 3
        found = [
            inject(query, rows, mask)
            for inject, (rows, mask) in zip(self.inject, others, strict=True)
        ]
        joined = sum(found[1:], found[0])  # eq. 7
        if self.text_based:
            joined = joined + normal
        inner = torch.relu(self.first(self.between(joined)))
        done: Tensor = self.second(self.drop(inner)) + joined  # eq. 8
        return done


class CrossModal(nn.Module):
    """Text asks the rows of another modality: eq. 4-6."""

    def __init__(self, width: int, streams: Streams) -> None:
        super().__init__()
        self.normal = LayerNorm(width, streams)
        self.key = Product(width, width, streams)
        self.value = Product(width, width, streams)

    def forward(self, query: Tensor, rows: Tensor, mask: Tensor) -> Tensor:
        """What queries (S, B, T, D) find in rows (S, B, U, D); zeros where none is real."""
        rows = self.normal(rows)
        key, value = self.key(rows), self.value(rows)
        seen = mask.any(dim=-1)[..., None, None]  # (S, B, 1, 1)
        open_ = (mask.unsqueeze(2) | ~seen).flatten(0, 1)  # all, where there is none: no NaN
        found = functional.scaled_dot_product_attention(
            query.flatten(0, 1), key.flatten(0, 1), value.flatten(0, 1), open_
        )
        return found.view_as(query) * seen


class Product(nn.Module):
    """Rows times a matrix, without a bias."""

    def __init__(self, n_in: int, n_out: int, streams: Streams) -> None:
        super().__init__()
        self.weight = nn.Parameter(streams.uniform((n_in, n_out), 1 / math.sqrt(n_in)))

    def forward(self, x: Tensor) -> Tensor:
        """Map (S, B, T, n_in) to (S, B, T, n_out)."""
        return torch.bmm(x.flatten(1, 2), self.weight).view(*x.shape[:-1], -1)


def row_mean(rows: Tensor, mask: Tensor) -> Tensor:
    """Mean over the real rows, (S, B, D) of (S, B, T, D) and (S, B, T); zeros without any."""
    weights = mask.unsqueeze(-1)
    total: Tensor = (rows.float() * weights).sum(dim=2)  # of mixed precision
    return total / weights.sum(dim=2).clamp(min=1)


def cosine_constraint(audio: Tensor, vision: Tensor, scale: float, penalty: float) -> Tensor:
    """The multimodal cosine constraint of each sample, of any shape.

    With angles theta of the cosines, ``y = cos((theta_v + theta_a) / 2) exp(theta_a - theta_v)``
    (eq. 12) and ``f = s |cos(pi (y + g))|`` (eq. 11): of equal angles it is 0 at a cosine of
    1/2 - g, and largest at -g and 1 - g. Where a cosine is negative it is ``s + f`` (Fig. 3).

    Args:
        audio: cosines of the fused text with the sound.
        vision: and with the sight.
        scale: s.
        penalty: g.

    Source:
        KEBR (2024). Where they write arccos of an angle, the angle is meant. Both angles, they say,
        must agree for f to vanish; it does on a whole curve, wherever y + g is an odd multiple of
        1/2, and a step towards that curve mostly brings the angles nearer to each other.
    """
    theta_a, theta_v = (
        torch.arccos(cosine.clamp(CLOSEST - 1, 1 - CLOSEST)) for cosine in (audio, vision)
    )
    y = torch.cos((theta_v + theta_a) / 2) * torch.exp(theta_a - theta_v)
    f: Tensor = scale * torch.cos(math.pi * (y + penalty)).abs()
    return f + scale * ((audio < 0) | (vision < 0))
