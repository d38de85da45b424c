"""A Hugging Face encoder: texts to tokens, tokens to hidden states in batches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...cache.errors import BadCall
from ...cache.records import Array
from ..hf_folder import files_mark, model_files
from ..hf_hub import reason
from ..loaded import LoadedModels
from ..packing import pack, pack_rows
from .text_network import count_ids, dense_limit, position_limit, text_network
from .tokens import Tokens, load_tokenizer, plain_tokens, tokenized

#: Padded tokens of a batch: enough to fill the machine, little enough to bound its memory.
TOKENS_A_BATCH = {"cpu": 2048, "cuda": 32768}
#: Families with plain attention and absolute positions: a mask keeps the texts of a row apart.
SHARE_ROWS = ("bert", "camembert", "electra", "ernie", "roberta", "xlm-roberta")
#: Largest difference that padding may make, relative to the largest value, to pad at all.
PADDING_TOLERANCE = 1e-5


#: Texts that are run together: those of a row stand one behind another.
Rows = Sequence[Sequence[Tokens]]


class Encoder:
    """A loaded model; see ``load_encoder``.

    Attributes:
        limit: tokens that the model reads at once, added ones included; None: any number.
        n_layers: layers above the embeddings.
        width: columns of its output.
        pads: whether texts of different lengths may share a batch. Models that convolve over
            tokens (ConvBERT) or pool them see the padding although it is masked; it is tried
            out when the model is loaded, and such models get batches of equal length.
        causal: whether a token's states follow from it and those before it alone, as in decoder
            language models; tried out as well.
        dense: tokens up to which all attend to all, where longer texts attend in blocks (BigBird);
            None: no text does. Their last block, which all attend to, moves where they are
            padded, so they get batches of equal length.
        first_position: number of a text's first position where texts may stand one behind
            another in a row, so that nothing is padded; None where they may not.
    """

    n_layers: int
    width: int
    pads: bool
    causal: bool
    first_position: int | None = None

    def __init__(self, tokenizer: Any, model: Any, device: str, precision: str) -> None:
        import torch

        self.tokenizer = tokenizer
        self.model = model
        self.device = device
        self.limit = position_limit(tokenizer, model)
        self.dense = dense_limit(model)
        self._try_out()  # in float32, where padding and rounding can be told apart
        model.to(getattr(torch, precision))

    def tokens(self, text: str) -> Tokens:
        """The whole text, however long, with the tokens that the tokenizer adds."""
        return tokenized(self.tokenizer, text)

    def states(
        self, texts: Sequence[Tokens], layers: tuple[int, ...] | None, concat: bool = False
    ) -> list[Array]:
        """Hidden states of each text.

        Args:
            texts: none longer than ``limit``.
            layers: numbers of the layers wanted, 0 for the embeddings, negative from the last;
                None: the model's final output, which is the last layer.
            concat: several layers side by side, not averaged.

        Returns:
            (n_tokens, D) float32 for each text, whatever stood beside it in its batch; with
            ``concat`` (n_tokens, L * D), the first layer's columns first.
        """
        budget = TOKENS_A_BATCH.get(self.device.split(":")[0], TOKENS_A_BATCH["cpu"])
        lengths = [len(text) for text in texts]
        if self.first_position is not None:
            batches = pack_rows(lengths, budget)
        else:
            batches = [[[i] for i in batch] for batch in self._packed(lengths, budget)]
        done: list[Array] = [np.empty(0)] * len(texts)
        for batch in batches:
            found = self._run([[texts[i] for i in row] for row in batch], layers, concat)
            for i, states in zip((i for row in batch for i in row), found, strict=True):
                done[i] = states
        return done

    def _packed(self, lengths: Sequence[int], budget: int) -> list[list[int]]:
        """Batches of texts that may be padded to the longest of them."""
        usual = [i for i, n in enumerate(lengths) if self.dense is None or n <= self.dense]
        blocks = [i for i, n in enumerate(lengths) if self.dense is not None and n > self.dense]
        return [
            [some[k] for k in batch]
            for some, waste in ((blocks, 0.0), (usual, 0.25 if self.pads else 0.0))
            for batch in pack([lengths[i] for i in some], budget, waste)
        ]

    def _run(
        self, rows: Rows, layers: tuple[int, ...] | None = None, concat: bool = False
    ) -> list[Array]:
        """Hidden states (n_tokens, D) float32 of each text of each row, in order."""
        import torch

        out = self._forward(rows, layers is not None)
        with torch.inference_mode():
            if layers is None:
                states = out.last_hidden_state.float()
            else:
                # The last layer is the model's output by definition, its final norm included.
                known = (*out.hidden_states[:-1], out.last_hidden_state)
                n = out.last_hidden_state.shape[1]  # the others may be filled up to whole blocks
                wanted = [known[layer][:, :n].float() for layer in layers]
                states = torch.cat(wanted, dim=-1) if concat else torch.stack(wanted).mean(dim=0)
        values: Array = states.cpu().numpy()  # (B, T, D)
        # Copies: a view would keep the whole batch alive.
        return [values[place].copy() for place in _places(rows)]

    def _forward(self, rows: Rows, all_layers: bool = False) -> Any:
        """Run the model on rows of texts, (B, T) tokens, each padded at its end.

        Texts that share a row are hidden from each other by the mask, and each counts its
        positions from its own beginning.
        """
        import torch

        shape = len(rows), max(sum(map(len, row)) for row in rows)
        ids = np.full(shape, self.tokenizer.pad_token_id or 0, np.int64)
        types = np.zeros(shape, np.int64)
        positions = np.zeros(shape, np.int64)
        owner = np.full(shape, -1)  # number of the text in its row; -1: padding
        texts = [text for row in rows for text in row]
        numbers = [number for row in rows for number in range(len(row))]
        for text, number, place in zip(texts, numbers, _places(rows), strict=True):
            ids[place], types[place], owner[place] = text.ids, text.types, number
            positions[place] = self._positions(text.ids)
        given = {"input_ids": ids}
        if len(texts) == len(rows):
            given["attention_mask"] = (owner >= 0).astype(np.int64)
        else:
            given["attention_mask"] = (owner[:, :, None] == owner[:, None, :])[:, None]
            given["position_ids"] = positions
        if "token_type_ids" in self.tokenizer.model_input_names:
            given["token_type_ids"] = types
        if self.dense is not None:  # transformers goes over to all to all, and never back
            sparse = shape[1] > self.dense
            self.model.set_attention_type("block_sparse" if sparse else "original_full")
        tensors = {name: torch.from_numpy(a).to(self.device) for name, a in given.items()}
        with torch.inference_mode():
            return self.model(**tensors, output_hidden_states=all_layers, return_dict=True)

    def _positions(self, ids: Array) -> Array:
        """Numbers of a text's positions, as the model itself would count them.

        RoBERTa and its kin pass over padding, also where a transcript spells it out.
        """
        if not self.first_position:
            return np.arange(len(ids))
        padding = self.first_position - 1
        real = ids != padding
        numbers: Array = np.cumsum(real) * real + padding
        return numbers

    def _try_out(self) -> None:
        """Find how this model may be run, on two texts of random tokens."""
        sizes = [min(size, self.limit or size) for size in (5, 12)]
        numbers = np.random.default_rng(0).integers(0, count_ids(self.model), sizes[1])
        padding = self.model.config.pad_token_id or 0
        numbers[numbers == padding] = 1 if padding == 0 else 0  # some families count around it
        short, long = (plain_tokens(numbers[:n]) for n in sizes)
        self.n_layers = len(self._forward([[short]], True).hidden_states) - 1
        (alone,) = self._run([[short]])
        self.width = alone.shape[1]
        (beyond,) = self._run([[long]])
        limit = PADDING_TOLERANCE * np.abs(alone).max()

        def same(found: Array) -> bool:
            return bool(np.abs(found - alone).max() <= limit)

        self.pads = same(self._run([[short], [long]])[0])
        self.causal = sizes[0] < sizes[1] and same(beyond[: sizes[0]])
        if self.model.config.model_type in SHARE_ROWS:
            for first in (0, padding + 1):
                self.first_position = first
                if same(self._run([[long, short]])[1]):
                    return
            self.first_position = None


def _places(rows: Rows) -> list[tuple[int, slice]]:
    """Row and columns of each text, in order."""
    places = []
    for i, row in enumerate(rows):
        ends = np.cumsum([len(text) for text in row])
        places += [(i, slice(e - len(text), e)) for e, text in zip(ends, row, strict=True)]
    return places


_LOADED: LoadedModels[Encoder] = LoadedModels()


def load_encoder(folder: Path, device: str, precision: str = "float32") -> Encoder:
    """The encoder of a folder, loaded once in each process while it is used.

    Raises:
        BadCall: it cannot be loaded, its weights are not whole, it reads no text, or its
            tokenizer gives no character spans.
    """
    key = (str(folder), files_mark(model_files(folder)), device, precision)
    return _LOADED.get(key, lambda: _load(folder, device, precision))


def _load(folder: Path, device: str, precision: str) -> tuple[Encoder, int]:
    model = text_network(folder)
    tokenizer = load_tokenizer(folder)
    n_ids = count_ids(model)
    if len(tokenizer) > n_ids:
        raise BadCall(
            f"the tokenizer in {folder} has {len(tokenizer)} tokens, the model only {n_ids}: "
            "they do not belong together"
        )
    try:
        encoder = Encoder(tokenizer, model.to(device), device, precision)
    except (TypeError, ValueError, AttributeError, RuntimeError, IndexError) as error:
        kind = model.config.model_type
        raise BadCall(
            f"the model in {folder} ({kind}) does not encode text alone: {reason(error)}"
        ) from error
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    return encoder, size
