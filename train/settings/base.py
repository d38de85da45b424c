"""What all models' settings share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from ...cache.errors import BadCall, unknown
from ..training import Training, number

#: Letter of a modality in task names (``TA`` is the task of text and audio together).
LETTERS = {"text": "T", "audio": "A", "vision": "V"}
#: Modality of what a fit has encoded of several inputs.
FUSED = "fused"
#: Modality of what a fit predicts, as features: never normalised, for probabilities stay such.
SOFT = "soft"
#: Modality of rows that mark some of another input's; never normalised either.
MARKS = "marks"
MODALITIES = (*LETTERS, FUSED, SOFT, MARKS)


@dataclass(frozen=True)
class ModelSettings:
    """Base of all settings; the fields of a subclass are all that can change the network.

    Class attributes:
        name: registry name.
        version: raise it when the same settings give another network.
        training: settings of ``Training`` that the source uses, where ours differ.
        aligned: whether row i of every input must be the same word or moment.
        unlabelled: whether it learns from utterances of the training split that have no label of
            any of its tasks; others are not shown them.
        follows: metrics of the task that chooses the epoch, whose course on the validation split
            is kept and drawn, those of them that the corpus' family has; see ``train.watching``.
        positive: settings that must be greater than 0.
        encoder: modalities whose inputs come with the layers above those whose states they hold
            (``Input.encoder``), which the model trains; their rows are neither normalised nor cut.
        every_encoder: whether all inputs of these modalities do; else at least one does, and
            others are read as they are.
        starts_encoders: whether, where it starts from another fit, the pretrained layers that it
            trains do too; both must then be of one base model.
        domains: whether it is told which of several corpora an utterance is of (``Batch.domain``).
        chosen_by_all: whether its epoch is chosen by the errors of all tasks, added up, and not by
            that of one alone (``training.primary_task``).
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    training: ClassVar[Mapping[str, Any]] = {}
    aligned: ClassVar[bool] = False
    unlabelled: ClassVar[bool] = False
    follows: ClassVar[tuple[str, ...]] = ()
    positive: ClassVar[tuple[str, ...]] = ()
    encoder: ClassVar[tuple[str, ...]] = ()
    every_encoder: ClassVar[bool] = True
    starts_encoders: ClassVar[bool] = True
    domains: ClassVar[bool] = False
    chosen_by_all: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            where = f"setting '{field.name}' of '{self.name}'"
            if field.type == "int" and (type(value) is not int or value < 1):
                raise BadCall(f"{where} must be a whole number of at least 1, not {value!r}")
            if field.type == "bool" and type(value) is not bool:
                raise BadCall(f"{where} must be true or false, not {value!r}")
            if field.type == "float":  # 1 and 1.0 are the same setting: the same fingerprint
                object.__setattr__(self, field.name, number(where, value))
            if field.name.endswith("dropout") and not 0 <= value < 1:
                raise BadCall(f"{where} must lie in [0, 1), not {value!r}")
            if field.name.endswith("weight") and not value >= 0:
                raise BadCall(f"{where} must be at least 0, not {value!r}")
            if field.name in self.positive and not value > 0:
                raise BadCall(f"{where} must be greater than 0, not {value!r}")

    def divides(self, part: str, whole: str) -> None:
        """Insist that one setting is a multiple of another.

        Raises:
            BadCall: it is not.
        """
        if getattr(self, whole) % getattr(self, part):
            raise BadCall(
                f"setting '{whole}' of '{self.name}' must be a multiple of '{part}' "
                f"({getattr(self, part)}), not {getattr(self, whole)}"
            )

    def reads(self, modality: str) -> str:
        """How inputs of a modality are read: ``mean`` over the real rows, or ``sequence``."""
        return "mean"

    def rows_of(self, inputs: Mapping[str, str]) -> str:
        """The input, of name to modality, whose rows the model's own rows (``Output.rows``) follow.

        They are in that order, so that they have its times, and as many, or one for several of
        them (``Output.rows_stride``). Empty: the model has none.
        """
        return ""

    def shown_again(self, domain: Sequence[int]) -> list[int]:
        """Utterances of the training split that an epoch shows once more, by their numbers.

        Args:
            domain: number of each utterance's corpus.
        """
        return []

    def check(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """See that the model can work on these inputs (name to modality) and tasks.

        Raises:
            BadCall: it cannot; the message says what it needs and what it got.
        """
        for name, modality in inputs.items():
            if modality not in MODALITIES:
                raise unknown(f"modality of input '{name}'", modality, MODALITIES)
        if not inputs:
            raise BadCall(f"model '{self.name}' needs at least one input, got none")
        if not tasks:
            raise BadCall(f"model '{self.name}' needs at least one task, got none")
        if len(set(tasks)) < len(tasks):
            raise BadCall(f"model '{self.name}': a task is named twice in {list(tasks)}")

    def check_training(self, training: Training) -> None:
        """See that the model can be trained like this.

        Raises:
            BadCall: it cannot.
        """
        if self.encoder and training.length != "longest":
            raise BadCall(
                f"model '{self.name}' reads every row of its inputs, for what sums a text up may "
                f"be its last token: 'length' must be 'longest', not {training.length!r}. Set "
                "'max_length' and 'long: truncate' of hf-text for shorter texts"
            )

    def check_encoders(self, trained: Sequence[str], inputs: Iterable[str]) -> None:
        """See that there are layers to be trained.

        Args:
            trained: the inputs that come with some.
            inputs: names of all.

        Raises:
            BadCall: none does, and the model is there to train them.
        """
        if self.encoder and not trained:
            raise BadCall(
                f"model '{self.name}' trains the layers above those whose states are cached, and "
                f"none of {', '.join(inputs)} has any above it. Give at least one a 'layer' (0: "
                "all layers are trained)"
            )

    def distinct(self, inputs: Mapping[str, str], least: int, most: int) -> None:
        """Insist on ``least`` to ``most`` inputs, each of another one of text, audio, vision."""
        got = ", ".join(f"{name} ({modality})" for name, modality in inputs.items())
        kinds = set(inputs.values())
        if not least <= len(inputs) <= most or len(kinds) < len(inputs) or kinds - {*LETTERS}:
            many = str(least) if least == most else f"{least} to {most}"
            raise BadCall(
                f"model '{self.name}' needs {many} inputs, each of another modality out of "
                f"text, audio, vision; got {got}"
            )

    def unimodal_first(self, inputs: Mapping[str, str], tasks: Sequence[str]) -> None:
        """Insist on tasks out of T, A, V of these inputs first, and one that is none of them last.

        Every input is of another modality: see ``distinct``.
        """
        own = [LETTERS[modality] for modality in inputs.values()]
        if set(tasks[:-1]) - set(own) or tasks[-1] in own:
            whole = "".join(own) if len(own) < len(LETTERS) else "M"
            raise BadCall(
                f"model '{self.name}' on {', '.join(inputs)} predicts tasks "
                f"[{', '.join([*own, whole])}]: unimodal ones first, that of all inputs last; "
                f"got [{', '.join(tasks)}]"
            )
