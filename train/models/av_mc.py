"""AV-MC: the sound or sight of two utterances is mixed, and so must be what is predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from ..objectives import ELEMENTWISE, Objective
from ..seeds import Dropout, Linear, Streams
from ..settings.base import LETTERS
from .base import Batch, Model, Output, masked, there
from .blocks import Predictor
from .recurrent import DeepBiLstm


class AvMcNet(Model):
    """Embed each modality, a predictor on each, one more on their first hidden layers.

    In training, each utterance gets a mate in its batch, another for sound and for sight. Its audio
    embedding is mixed with the mate's, l : 1 - l with l uniform in (0, 1) for each seed and step,
    and it is scored once more with that: the audio predictor is to find the mix of both labels
    and so is the fused one, which hears the utterance's own text. The same for vision. Where one of
    the two has no label of that modality, the mix of both predictions takes the labels' place, so
    utterances without labels take part. A mix counts as much as its task, by ``mix_weight``.

    A missing modality is an embedding of zeros; it is mixed with none.

    Source:
        Liu et al. (2022), "Make Acoustic and Visual Cues Matter: CH-SIMS v2.0 Dataset and AV-Mixup
        Consistent Module", ICMI, arXiv:2209.02604, and the published code: mixed labels are its
        supervised model's, mixed predictions its semi-supervised one's, which gives labels to no
        mix and the fused task none. There a mix learns from both labels in turn, here from their
        mix; unlabelled batches come between labelled ones, here all are shuffled together; the
        fused predictor has no nonlinearity inside and a sigmoid around the labels' range after.
        Text is the mean of cached rows, theirs a frozen BERT's [CLS]. Defaults: its
        semi-supervised model's on CH-SIMS v2.
    """

    #: Its LSTMs are torch's kernel, seed by seed, over as many rows as the longest utterance of all
    #: seeds has: five seeds took 1.3 times as long in one stack (``benchmarks/baselines.py``).
    stackable: ClassVar[bool] = False

    def build(self, settings: Any, streams: Streams) -> None:
        """Subnets, the unimodal predictors, the fused one."""
        self.insist_on_values("mixes labels")
        self.streams, self.mix_weight = streams, settings.mix_weight
        self.subnets, self.alone = nn.ModuleList(), nn.ModuleList()
        dropout = settings.post_dropout
        for spec in self.inputs:
            if spec.modality == "text":
                width = settings.text_units
                self.subnets.append(Linear(spec.width, width, streams))
            else:
                hidden = getattr(settings, f"{spec.modality}_hidden")
                width = 4 * hidden
                drop = getattr(settings, f"{spec.modality}_dropout")
                self.subnets.append(RowsSubnet(spec.width, hidden, drop, streams))
            units = getattr(settings, f"{spec.modality}_post_units")
            self.alone.append(Predictor(width, units, dropout, streams))
        fused = sum(getattr(settings, f"{s.modality}_post_units") for s in self.inputs)
        self.fused = Predictor(fused, settings.post_units, dropout, streams)
        letters = [LETTERS[spec.modality] for spec in self.inputs]
        self.columns = [letters.index(task) for task in self.tasks[:-1]]

    def forward(self, batch: Batch) -> Output:
        """Scores (S, B, K) in the order of the tasks, and the fused predictor's hidden layer."""
        scores, hidden = self._read(self._embed(batch))
        return Output(scores, hidden)

    def learn(self, batch: Batch, objective: Objective) -> Tensor:
        """As in ``Model``, with the losses of the mixed sound and the mixed sight."""
        embedded = self._embed(batch)
        scores = self._read(embedded)[0].float()  # of mixed precision
        losses, slope = objective(scores)
        extra = torch.zeros_like(losses)
        if self.mix_weight:
            for i, spec in enumerate(self.inputs):
                if spec.modality != "text":
                    real = there(batch, spec)
                    extra = extra + self.mix_weight * self._mixed(
                        i, embedded, scores, real, objective
                    )
        given = [(scores, slope)]
        if extra.requires_grad:
            given.append((extra, torch.ones_like(extra)))
        torch.autograd.backward([tensor for tensor, _ in given], [grad for _, grad in given])
        return losses + extra.detach()

    def _embed(self, batch: Batch) -> list[Tensor]:
        """The embedding (S, B, width) of each input, zeros where it is missing."""
        found = []
        for spec, subnet in zip(self.inputs, self.subnets, strict=True):
            x, mask = batch.values[spec.name], batch.mask[spec.name]
            found.append(
                masked(subnet(x) if spec.reads == "mean" else subnet(x, mask), there(batch, spec))
            )
        return found

    def _read(self, embedded: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Scores (S, B, K) and the fused predictor's second hidden layer (S, B, post_units)."""
        scores, firsts = [], []
        for head, x in zip(cast(Sequence[Predictor], self.alone), embedded, strict=True):
            first = torch.relu(head.first(head.drop(x)))
            firsts.append(first)
            scores.append(head.score(torch.relu(head.second(first))))
        fused, hidden = self.fused(torch.cat(firsts, dim=-1))
        return torch.cat([*(scores[i] for i in self.columns), fused], dim=-1), hidden

    def _mixed(
        self,
        i: int,
        embedded: Sequence[Tensor],
        scores: Tensor,
        real: Tensor,
        objective: Objective,
    ) -> Tensor:
        """The loss (S,) of input i mixed with the mates'; ``real`` (S, B): who has it."""
        mates, share = self._mates(real)
        truth, known = objective.truth, objective.weights > 0
        mixed = list(embedded)
        mixed[i] = mix(embedded[i], mates, share)
        found = self._read(mixed)[0].float()
        both = known & take(known, mates)
        wanted = torch.where(both, mix(truth, mates, share), mix(scores, mates, share))
        own = self.columns.index(i)
        counted = torch.zeros_like(both)
        counted[..., own] = real
        counted[..., -1] = real & both[..., -1]
        part = counted / counted.sum(dim=1, keepdim=True).clamp(min=1)
        error = ELEMENTWISE[objective.kind][0](found - wanted)
        weight = objective.weights.sum(dim=1, keepdim=True)  # that of each task
        return (error * part * weight).sum(dim=(1, 2))

    def _mates(self, real: Tensor) -> tuple[Tensor, Tensor]:
        """A mate (S, B) for each utterance that has the modality; shares (S, 1, 1) of its own."""
        mates, shares = [], []
        for own, generator in zip(real, self.streams.noise, strict=True):
            mate = torch.arange(len(own), device=own.device)
            place = mate[own]
            order = torch.randperm(len(place), generator=generator, device=own.device)
            mate[place] = place[order]
            mates.append(mate)
            shares.append(torch.rand(1, 1, generator=generator, device=own.device))
        return torch.stack(mates), torch.stack(shares)


class RowsSubnet(nn.Module):
    """A linear layer on each row, dropout, two BiLSTMs."""

    def __init__(self, n_in: int, hidden: int, dropout: float, streams: Streams) -> None:
        super().__init__()
        self.enter = Linear(n_in, hidden, streams)
        self.drop = Dropout(dropout, streams)
        self.lstms = DeepBiLstm(hidden, hidden, streams)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map rows (S, B, T, n_in) and mask (S, B, T) to (S, B, 4 hidden)."""
        done: Tensor = self.lstms(self.drop(self.enter(x)), mask)
        return done


def take(x: Tensor, mates: Tensor) -> Tensor:
    """Each utterance's mate's (S, B, D), by its place (S, B) in the batch."""
    return x.gather(1, mates.unsqueeze(-1).expand_as(x))


def mix(x: Tensor, mates: Tensor, share: Tensor) -> Tensor:
    """Each utterance's own (S, B, D) and its mate's, in the share (S, 1, 1) to the rest."""
    return share * x + (1 - share) * take(x, mates)
