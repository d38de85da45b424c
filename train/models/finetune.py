"""One pretrained encoder, trained on what its own modality tells."""

from __future__ import annotations

from typing import Any, ClassVar

from ..seeds import Streams
from .base import Batch, Model, Output
from .blocks import Heads
from .encoders import InputEncoder


class FinetuneNet(Model):
    """An encoder's layers, the global embedding of what they make, a prediction block a task.

    The global embedding is the state of [CLS] for text, and the mean over the real rows for sound
    (HuBERT's steps of 20 ms) and sight (Video Swin's rows, a mean over space each). It is what is
    encoded as ``hidden``; the rows themselves as ``rows``.

    What lies below the cached layer is not trained: with ``layer: 0`` BERT's table of embeddings;
    HuBERT's convolutions over the samples, its projection and its positional convolution; of Video
    Swin nothing, for there layer 0 are the pictures. An utterance without this modality is scored
    by the biases alone.

    Source:
        "Boosting Modality Representation with Pre-trained Models and Multi-task Training for
        Multimodal Sentiment Analysis", sections 3.2 and 3.4, first stage; L1 (eq. 1), Adam, 1e-5
        for the encoder, 1e-4 for the rest. The paper says nothing of the prediction block's width,
        batch size, epochs and patience, nor of layers that stay as they are: those here are ours.
    """

    #: A pretrained encoder is large: what a step costs is arithmetic.
    stackable: ClassVar[bool] = False

    def build(self, settings: Any, streams: Streams) -> None:
        """The encoder's layers and the prediction blocks."""
        (spec,) = self.inputs
        self.encoder = InputEncoder(spec, self.pretrained[spec.name], settings.recompute, streams)
        self.heads = Heads(
            self.encoder.width, settings.units, settings.dropout, self.sizes, streams
        )

    def rate(self, parameter: str, lr: float) -> float:
        """The encoder's own for its layers."""
        encoder_lr: float = self.settings.encoder_lr
        return encoder_lr if parameter.startswith("encoder.") else lr

    def forward(self, batch: Batch) -> Output:
        """Scores (S, B, K), the global embedding (S, B, H), the rows (S, B, T, H)."""
        made = self.encoder(batch)
        scores, _ = self.heads(made.whole)
        return Output(
            scores, made.whole, rows=made.rows, rows_mask=made.mask, rows_stride=self.encoder.stride
        )
