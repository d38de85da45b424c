"""Transcripts for corpora without text: what is said, when, and how sure the recogniser is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from ...cache.errors import BadCall
from ...cache.keys import WHERE
from ...cache.records import Array, ArraySpec, Features, FeatureSpec
from ..audio.samples import samples_of
from ..base import TRANSCRIPT, Extractor, Needs
from ..clip import Clip
from ..hf_companions import Companion
from ..hf_folder import model_config, model_folder, model_weights
from ..hf_model import PRECISIONS
from . import ctc_model, whisper
from .ctc import greedy
from .listening import SHORTEST, Listener
from .recognised import Piece, recognised
from .transcript import TEXT, TEXT_SPEC

RATE = 16_000  # Hz
TASKS = ("transcribe", "translate")
HEADS = ("own", "upper")
#: Windows that Whisper hears side by side.
WINDOWS = {"cpu": 4, "cuda": 32}


@dataclass(frozen=True)
class Asr(Extractor):
    """Transcript of a clip's speech by Whisper or a CTC model, with a row a word.

    ``values`` (n_words, 1): ``confidence`` in [0, 1], the mean probability of the word's tokens;
    the row's times are those of the word. ``spans`` (n_words, 2): its characters in the
    transcript, half open; ``text``: the transcript. Words are those of ``hf-text`` at its level
    ``word``. It fills the role ``transcript`` of any extractor that reads text, and ``words``.

    Where nobody speaks the transcript is empty, with no row: then extractors that read it fail for
    this utterance, as for any empty transcript. Sound that is zero throughout is not listened to.

    *Whisper* writes the likeliest token at each step, without the temperatures and the
    conditioning on earlier text that its paper adds for long recordings; it may make up text for
    noise. Sound beyond 30 s is heard in windows: each begins where the last whole sentence of the
    one before ended (at the 30 s if there was none), and the last one's text is kept as it is.
    Word times come from where the decoder looks, in steps of 20 ms. A CTC model's text is the
    likeliest character of each frame, in windows as those of ``word-times``.

    Args:
        model: folder of a saved Whisper or CTC model, or its name on the Hugging Face hub.
        revision: branch, tag or commit on the hub, resolved to its commit.
        language: what is spoken, as Whisper's code (``en``, ``zh``); empty: what Whisper takes
            the first window for, or a model's only language.
        task: ``transcribe``, or ``translate`` into English.
        heads: attentions that word times come from: ``own``: those that the model's
            generation_config names; ``upper``: all in the upper half of the decoder, for models
            that name none (less exact).
        no_speech: a window is passed over where the probability that nobody speaks is above this
            and the mean log-probability of its tokens below -1; 1: none is.
        precision: what the network computes in: ``float32``, ``bfloat16``, ``float16``.

    Source:
        Radford et al. (2022), "Robust Speech Recognition via Large-Scale Weak Supervision",
        arXiv:2212.04356, sections 2.3 and 3.8 (windows, no-speech rule); word times as in the
        authors' later code: attention normalised over tokens, median of 7 places, dynamic time
        warping.
    """

    name: ClassVar[str] = "asr"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "text"
    provides: ClassVar[tuple[str, ...]] = (TRANSCRIPT, "words")
    libraries: ClassVar[tuple[str, ...]] = ("transformers", "tokenizers", "torch")
    paper: ClassVar[str] = "Radford et al. (2022)"
    sizes: ClassVar[str] = "1"
    rows: ClassVar[str] = "a word"
    batched: ClassVar[bool] = True
    peak_memory: ClassVar[int] = 3 << 30

    model: str = field(metadata=WHERE)
    revision: str = field(default="main", metadata=WHERE)
    language: str = ""
    task: str = "transcribe"
    heads: str = "own"
    no_speech: float = 0.6
    precision: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.model or not isinstance(self.model, str):
            raise BadCall("asr: model must be a folder or a name on the hub")
        for name, known in (("task", TASKS), ("heads", HEADS), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise BadCall(
                    f"asr: {name} must be {' or '.join(map(repr, known))}, "
                    f"not {getattr(self, name)!r}"
                )
        if not 0 <= self.no_speech <= 1:
            raise BadCall(f"asr: no_speech must lie in [0, 1], not {self.no_speech}")

    @property
    def needs(self) -> Needs:
        return Needs(audio=RATE)

    @property
    def spec(self) -> FeatureSpec:
        return {
            "values": ArraySpec((1,), "float32", ("confidence",)),
            "spans": ArraySpec((2,), "int32", ("start", "end")),
            TEXT: TEXT_SPEC,
        }

    @property
    def _is_whisper(self) -> bool:
        return model_config(self.model, self.revision).get("model_type") == "whisper"

    @property
    def _beside(self) -> tuple[Companion, ...]:
        return whisper.BESIDE if self._is_whisper else ctc_model.BESIDE

    def weights(self) -> Mapping[str, Path | str]:
        return model_weights(self.model, self.revision, self._beside)

    def extract(self, clip: Clip) -> Features:
        """Map sound to a row a word.

        Raises:
            BadInput: there is less sound than 25 ms.
            BadCall: the model cannot be loaded, does not know the language, or names no attention
                that follows time.
        """
        (found,) = self.many([clip])
        if isinstance(found, Exception):
            raise found
        return found

    def many(self, clips: Sequence[Clip], device: str = "cpu") -> Iterator[Features | Exception]:
        """Features of many clips; Whisper hears windows of several side by side."""
        folder = model_folder(self.model, self.revision, self._beside)
        if not self._is_whisper:
            if self.language or self.task != "transcribe":
                raise BadCall(
                    f"asr: '{self.model}' is a CTC model, which has no settings language and task"
                )
            yield from self._by_ctc(clips, ctc_model.load_ctc(folder, device, self.precision))
            return
        listener = Listener(
            whisper.load_whisper(folder, device, self.precision),
            self.model,
            language=self.language.lower(),
            task=self.task,
            upper=self.heads == "upper",
            no_speech=self.no_speech,
        )
        size = WINDOWS.get(device.split(":")[0], WINDOWS["cpu"])
        for at in range(0, len(clips), size):
            sounds = [_sound(clip) for clip in clips[at : at + size]]
            heard = iter(listener.listen([s for s in sounds if not isinstance(s, Exception)]))
            for sound in sounds:
                yield sound if isinstance(sound, Exception) else recognised(next(heard))

    def _by_ctc(
        self, clips: Sequence[Clip], model: ctc_model.CtcModel
    ) -> Iterator[Features | Exception]:
        for clip in clips:
            try:
                sound = samples_of(clip, self.name, RATE, max(SHORTEST, model.shortest))
                yield recognised(_read(sound, model) if sound.any() else [])
            except Exception as error:  # recorded by the caller with its utterance
                yield error


def _read(sound: Array, model: ctc_model.CtcModel) -> list[Piece]:
    """What a CTC model reads in a sound, character by character."""
    heard = model.emissions(sound)
    tokens, path = greedy(heard.log_probs, model.blank)
    times = heard.times(path.starts, path.ends)
    return [
        Piece(text, float(start), float(end), float(score))
        for text, (start, end), score in zip(
            model.texts(tokens.tolist()), times, path.scores, strict=True
        )
    ]


def _sound(clip: Clip) -> Array | Exception:
    try:
        return samples_of(clip, Asr.name, RATE, SHORTEST)
    except Exception as error:  # recorded by the caller with its utterance
        return error
