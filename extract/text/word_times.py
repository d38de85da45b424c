"""When each word of a given transcript is spoken, by CTC forced alignment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from ...cache.errors import BadCall, BadInput, EmptyTranscript
from ...cache.keys import WHERE
from ...cache.records import Array, ArraySpec, Features, FeatureSpec, no_times
from ..audio.samples import samples_of
from ..base import Extractor, Needs
from ..clip import Clip
from ..hf_folder import model_folder, model_weights
from ..hf_model import PRECISIONS
from .ctc import Alignment, align
from .ctc_characters import Spelling, spell
from .ctc_model import BESIDE, RATE, CtcModel, Emissions, load_ctc
from .words import word_spans

SPANS = ArraySpec((2,), "int32", ("start", "end"))


@dataclass(frozen=True)
class WordTimes(Extractor):
    """Times of the words of a transcript, by forced alignment with a CTC speech recogniser.

    ``values`` (n_words, 1): ``score`` in [0, 1], the mean posterior of the word's characters over
    the frames that they take; the row's times are those of the word. ``spans`` (n_words, 2): its
    characters in the transcript, half open. Words are those of ``hf-text`` at its level ``word``.

    A word lasts from the first frame of its first character to the last frame of its last one
    (20 ms each for wav2vec 2.0 and its kin). Recognisers emit a character in a frame or two
    near its middle, so words come out a little short. Characters that the model does not know are
    skipped; a word of nothing else (digits, an emoji) is a masked row without times. One
    utterance is heard at a time; above 30 s in windows of 26 s with 2 s more at either side,
    which memory does not grow with, while the search for the path takes time with the product of
    sound and transcript: about 0.04 of real time at half an hour.

    Args:
        model: folder of a saved CTC model (wav2vec 2.0, HuBERT, WavLM ... for CTC), or its name
            on the Hugging Face hub.
        revision: branch, tag or commit on the hub, resolved to its commit.
        precision: what the network computes in: ``float32``, ``bfloat16``, ``float16``.

    Source:
        Graves et al. (2006), "Connectionist Temporal Classification", ICML; Kuerzinger et al.
        (2020), "CTC-Segmentation of Large Corpora for German End-to-end Speech Recognition".
    """

    name: ClassVar[str] = "word-times"
    version: ClassVar[int] = 1
    modality: ClassVar[str] = "text"
    rows: ClassVar[str] = "a word"
    sizes: ClassVar[str] = "1"
    provides: ClassVar[str] = "words"
    libraries: ClassVar[tuple[str, ...]] = ("transformers", "tokenizers", "torch")
    paper: ClassVar[str] = "Graves et al. (2006)"
    peak_memory: ClassVar[int] = 3 << 30

    model: str = field(metadata=WHERE)
    revision: str = field(default="main", metadata=WHERE)
    precision: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.model or not isinstance(self.model, str):
            raise BadCall("word-times: model must be a folder or a name on the hub")
        if self.precision not in PRECISIONS:
            raise BadCall(
                f"word-times: precision must be {' or '.join(map(repr, PRECISIONS))}, "
                f"not {self.precision!r}"
            )

    @property
    def needs(self) -> Needs:
        return Needs(audio=RATE, text=True)

    @property
    def spec(self) -> FeatureSpec:
        return {"values": ArraySpec((1,), "float32", ("score",)), "spans": SPANS}

    def weights(self) -> Mapping[str, Path | str]:
        return model_weights(self.model, self.revision, BESIDE)

    def extract(self, clip: Clip) -> Features:
        """Map sound and transcript to a row a word.

        Raises:
            EmptyTranscript: the transcript has no word.
            BadInput: none of its words has a character that the model knows; the sound is too
                short for it, or shorter than a frame.
            BadCall: the model cannot be loaded.
        """
        (found,) = self.many([clip])
        if isinstance(found, Exception):
            raise found
        return found

    def many(self, clips: Sequence[Clip], device: str = "cpu") -> Iterator[Features | Exception]:
        """Features of many clips, one at a time; see ``extract``."""
        model = load_ctc(model_folder(self.model, self.revision, BESIDE), device, self.precision)
        for clip in clips:
            try:
                yield self._align(clip, model)
            except Exception as error:  # recorded by the caller with its utterance
                yield error

    def _align(self, clip: Clip, model: CtcModel) -> Features:
        spans = word_spans(clip.text)
        if not spans:
            raise EmptyTranscript(f"'{clip.id}' has no word in its transcript {clip.text[:60]!r}")
        spelling = spell(clip.text, spans, model.tokenizer, model.blank)
        if not spelling.tokens:
            raise BadInput(
                f"'{clip.id}': no word of the transcript {clip.text[:60]!r} has a character that "
                f"'{self.model}' knows; use a model of its language"
            )
        sound = samples_of(clip, self.name, RATE, model.shortest)
        columns = sorted({model.blank, *spelling.tokens})
        place = {column: i for i, column in enumerate(columns)}
        try:
            heard = model.emissions(sound, columns)
            tokens = [place[token] for token in spelling.tokens]
            path = align(heard.log_probs, tokens, place[model.blank])
        except BadInput as error:
            raise type(error)(f"'{clip.id}': {error}") from error
        return word_rows(spans, spelling, path, heard)


def word_rows(
    spans: Sequence[tuple[int, int]], spelling: Spelling, path: Alignment, heard: Emissions
) -> Features:
    """Times and scores of words from those of their tokens; a word without tokens is masked."""
    n = len(spans)
    owner = np.array(spelling.words)
    inside = owner >= 0
    owner = owner[inside]
    token_times = heard.times(path.starts, path.ends)[inside]  # (n_tokens, 2)
    lengths = (path.ends - path.starts)[inside]
    counts = np.bincount(owner, lengths, n)
    sums = np.bincount(owner, path.scores[inside] * lengths, n)
    mask = counts > 0
    scores = np.divide(sums, counts, out=np.zeros(n), where=mask)
    times: Array = no_times(n)
    words = np.flatnonzero(mask)
    times[words, 0] = token_times[np.searchsorted(owner, words, "left"), 0]
    times[words, 1] = token_times[np.searchsorted(owner, words, "right") - 1, 1]
    return Features(
        scores[:, None].astype(np.float32),
        times,
        ("score",),
        mask,
        {"spans": Features(np.array(spans, np.int32), times, SPANS.columns)},
    )
