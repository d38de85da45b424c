"""The contract of a model: a batch of S seeds in, scores by task and a hidden layer out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...cache.errors import BadCall
from ..dataset import InputSpec
from ..objectives import Objective
from ..rows import Padded, Rows
from ..seeds import Streams
from ..settings.base import ModelSettings


@dataclass(frozen=True, eq=False)
class Batch:
    """What a model reads of B utterances, for S seeds; each seed has utterances of its own.

    Args:
        values: input name to means (S, B, D) or rows (S, B, T, D); zeros where masked.
        mask: input name to bool (S, B) or (S, B, T), True on what is real; None where a mean is
            there for every utterance.
        means: (S, B, sum of D), the inputs that are read as means side by side, in their order;
            None where there are none.
        index: (S, B) which utterances of their split these are; None where nobody asks.
        domain: (S, B) int64, number of each one's corpus; None where the model does not ask
            (``ModelSettings.domains``), in a corpus of its own, and where nothing is learned.
        copied: (S, B) bool, True on utterances that are shown once more in this epoch; None where
            none is.
    """

    values: Mapping[str, Tensor]
    mask: Mapping[str, Tensor | None]
    means: Tensor | None
    index: Tensor | None = None
    domain: Tensor | None = None
    copied: Tensor | None = None

    def given(self, name: str) -> Tensor | Rows:
        """As ``values``, for layers that need no padding: rows may be told by where they lie."""
        return self.values.given[name] if isinstance(self.values, Padded) else self.values[name]


@dataclass(frozen=True, eq=False)
class Output:
    """What a model makes of a batch.

    Args:
        predictions: (S, B, K), the columns of each task side by side in their order.
        hidden: (S, B, H), what ``encode`` stores.
        losses: further losses by name, (S,) each, added to those of the tasks.
        watched: what the course of a fit is to show, (S, B) by name, NaN where an utterance has no
            such value; only what a network makes in evaluation mode is looked at. See ``Curve``.
        rows: (S, B, T, H), what ``encode`` stores of models with rows of their own: row i follows
            row i of the input that the settings name (``ModelSettings.rows_of``).
        rows_mask: (S, B, T) bool, which of them are real.
        rows_stride: rows of that input that one of them follows, the last one maybe fewer.
    """

    predictions: Tensor
    hidden: Tensor
    losses: Mapping[str, Tensor] = field(default_factory=dict)
    watched: Mapping[str, Tensor] = field(default_factory=dict)
    rows: Tensor | None = None
    rows_mask: Tensor | None = None
    rows_stride: int = 1


class Model(nn.Module, ABC):
    """Base of all networks; built from ``train.seeds`` layers, so that S seeds run at once.

    Buffers (S, ...) are what a model remembers of its training (``remember``): they lie in
    ``state_dict``, from which a training is resumed, and not in ``weights``, which are all that
    predicting needs.

    Class attributes:
        stackable: whether several seeds are trained in one stack; otherwise S is always 1 there.
        stack_more: how many times as many weights as usual (``fit.STACK``) a stack of it gains by.

    Args:
        settings: the model's.
        inputs: what it reads.
        tasks: what it predicts.
        streams: random numbers of its seeds.
        sizes: columns of scores that each task has (``Target.size``); none: one each.
        encoders: of the inputs that come with one; see ``Input.encoder``.
    """

    stackable: ClassVar[bool] = True
    stack_more: ClassVar[int] = 1

    def __init__(
        self,
        settings: Any,
        inputs: Sequence[InputSpec],
        tasks: Sequence[str],
        streams: Streams,
        sizes: Sequence[int] = (),
        encoders: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        assert isinstance(settings, ModelSettings)
        settings.check({spec.name: spec.modality for spec in inputs}, tasks)
        self.settings: Any = settings
        self.inputs = tuple(inputs)
        self.tasks = tuple(tasks)
        self.sizes = tuple(sizes) or (1,) * len(self.tasks)
        self.pretrained = dict(encoders or {})
        self.build(settings, streams)

    @abstractmethod
    def build(self, settings: Any, streams: Streams) -> None:
        """Make the layers; ``self.inputs``, ``tasks``, ``sizes``, ``pretrained`` are there."""

    @abstractmethod
    def forward(self, batch: Batch) -> Output:
        """Scores and hidden activations of a batch."""

    def insist_on_values(self, why: str) -> None:
        """See that every task is a value; ``why``: what the model does that needs it.

        Raises:
            BadCall: one is a class.
        """
        for task, size in zip(self.tasks, self.sizes, strict=True):
            if size > 1:
                raise BadCall(
                    f"model '{self.settings.name}' {why}, which must be values, but task "
                    f"'{task}' has {size} classes"
                )

    def attends(self, path: str) -> str:
        """What the attention layer at a path of ``named_modules`` looks at, for people."""
        return path

    def rate(self, parameter: str, lr: float) -> float:
        """Learning rate of a parameter, by its name, where that of the training is ``lr``."""
        return lr

    def remember(self, n: int) -> None:
        """Make buffers for what is remembered of the n utterances of the training split."""

    def weights(self) -> dict[str, Tensor]:
        """What the network predicts with: every parameter, by its name in ``state_dict``."""
        return {name: p.detach() for name, p in self.named_parameters()}

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Take over ``weights``, those of another network of the same settings."""
        self.load_state_dict({**self.state_dict(), **weights})

    def start_from(self, weights: Mapping[str, Tensor]) -> list[str]:
        """Take over weights of another fit, by name; all seeds start alike.

        Here, what has the name and the shape of a parameter. A model that calls parts otherwise
        than those it follows says so by a rule of its own.

        Args:
            weights: of one seed: as of ``weights()``, without the dimension of seeds.

        Returns:
            Names of the parameters that were taken.
        """
        own = dict(self.named_parameters())
        taken = [
            name for name, w in weights.items() if name in own and own[name][0].shape == w.shape
        ]
        with torch.no_grad():
            for name in taken:
                own[name].copy_(weights[name])
        return taken

    def learn(self, batch: Batch, objective: Objective) -> Tensor:
        """Add the gradients of a batch's losses to the parameters' ``grad``.

        A model whose gradients are easily written down may set them itself.

        Returns:
            (S,) loss of each seed.
        """
        out = self(batch)
        predictions = out.predictions.float()  # of mixed precision
        losses, slope = objective(predictions)
        extras = tuple(out.losses.values())
        # Seeds share nothing, so each gets the gradient of its own losses.
        torch.autograd.backward(
            (predictions, *extras),
            (slope, *[torch.full_like(extra, objective.share) for extra in extras]),
        )
        for extra in extras:
            losses += objective.share * extra.detach()
        return losses


def masked(embedding: Tensor, mask: Tensor | None) -> Tensor:
    """Zero the embeddings (S, B, H) of utterances without this modality: mask (S, B) or None."""
    return embedding if mask is None else embedding * mask.unsqueeze(-1)


def there(batch: Batch, spec: InputSpec) -> Tensor:
    """Which utterances have an input: bool (S, B)."""
    mask = batch.mask[spec.name]
    if mask is None:
        values = batch.values[spec.name]
        return values.new_ones(values.shape[:2], dtype=torch.bool)
    return mask.any(dim=-1) if mask.ndim == 3 else mask
