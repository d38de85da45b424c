"""MAG inside BERT, XLNet and their kin: shift the tokens of one layer, train the layers above."""

from __future__ import annotations

from typing import Any, ClassVar

from ..seeds import Dropout, Linear, Streams
from .adaptation import AdaptationGate
from .aligned import aligned_rows, rows_at, summary_place, with_first
from .base import Batch, Model, Output
from .copies import Copies


class MagEncoderNet(Model):
    """The adaptation gate on cached states of layer k, the layers above k, a linear score.

    The text is an ``hf-text`` node's with ``level: token`` and ``layer: k`` (0: the embeddings,
    where the paper puts the gate in BERT; 1 in XLNet), so that what lies below k is run once and
    stays as it is. The layers above start from that very model's weights, which the node's
    fingerprint holds: other weights are another text, and so another fit. They are all trained,
    at ``encoder_lr``, and saved with the fit; dropout inside them is that of the model's
    configuration, and ``precision`` holds in them too (not in DeBERTa v1, which stays in float32).
    Sound and sight stand beside the tokens (``pool-tokens``).

    The score is read from the last state of [CLS], the first token, in BERT, RoBERTa, ELECTRA,
    DeBERTa and their kin, and of <cls>, the last one, in XLNet; other families are refused when
    the recipe is read. Tokens of padding are not looked at. Text is not normalised by the training
    split and never cut (``length`` is ``longest``); cut it by ``max_length`` of ``hf-text``. An
    utterance without text is one empty token, which nothing can shift: all of them score alike.

    Source:
        Rahman et al. (2020), "Integrating Multimodal Information in Large Pretrained
        Transformers", ACL, arXiv:1908.05787; see ``AdaptationGate``. They train the embeddings
        too, and take the score from BERT's pretrained pooler (a dense layer and tanh above [CLS]),
        in XLNet from a new one. Defaults: those commonly used on CH-SIMS, where all is trained at
        one rate.
    """

    #: A pretrained encoder is large: what a step costs is arithmetic.
    stackable: ClassVar[bool] = False

    def build(self, settings: Any, streams: Streams) -> None:
        """The gate, the encoder's layers, the read-out."""
        self.text = [spec.modality for spec in self.inputs].index("text")
        widths = [spec.width for spec in self.inputs]
        width = widths.pop(self.text)
        self.gate = AdaptationGate(
            width, widths, settings.largest_shift, settings.shift_dropout, streams
        )
        encoder = self.pretrained[self.inputs[self.text].name]
        self.encoder = Copies(encoder, streams)
        self.from_end = encoder.summary == "last"
        self.drop = Dropout(settings.post_dropout, streams)
        self.score = Linear(width, sum(self.sizes), streams)

    def rate(self, parameter: str, lr: float) -> float:
        """The encoder's own for its layers."""
        encoder_lr: float = self.settings.encoder_lr
        return encoder_lr if parameter.startswith("encoder.") else lr

    def forward(self, batch: Batch) -> Output:
        """Scores (S, B, K), the state that they are read from (S, B, D), all states as rows."""
        rows, masks, _ = aligned_rows(batch, self.inputs)
        text, mask = rows.pop(self.text), masks.pop(self.text)
        states = self.encoder(self.gate(text, rows, masks), with_first(mask))
        hidden = rows_at(states, summary_place(mask, self.from_end))
        return Output(self.score(self.drop(hidden)), hidden, rows=states, rows_mask=mask)
