"""A Hugging Face encoder: texts to tokens, tokens to hidden states in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...cache.errors import BadCall
from ...cache.records import Array
from ..hf_folder import model_files
from ..loaded import LoadedModels
from ..packing import pack

#: Padded tokens of a batch: enough to fill the machine, little enough to bound its memory.
TOKENS_A_BATCH = {"cpu": 2048, "cuda": 32768}
#: Names of the tables of learned positions.
POSITIONS = ("position_embeddings", "embed_positions", "wpe")
#: Largest difference that padding may make, relative to the largest value, to pad at all.
PADDING_TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False)
class Tokens:
    """One text as the model reads it.

    Args:
        ids: (n,) int64.
        types: (n,) int64 token types; zeros where the tokenizer gives none.
        special: (n,) bool, True on tokens that the tokenizer added.
        spans: (n, 2) int32 first and last (half open) character; 0, 0 for added tokens.
    """

    ids: Array
    types: Array
    special: Array
    spans: Array

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Any) -> Tokens:
        return Tokens(self.ids[rows], self.types[rows], self.special[rows], self.spans[rows])

    @property
    def added(self) -> tuple[int, int]:
        """How many tokens were added before and after those of the text."""
        inside = np.flatnonzero(~self.special)
        if not len(inside):
            return len(self), 0
        return int(inside[0]), len(self) - 1 - int(inside[-1])


class Encoder:
    """A loaded model; see ``load_encoder``.

    Attributes:
        limit: tokens that the model reads at once, added ones included; None: any number.
        pads: whether texts of different lengths may share a batch. Models that convolve over
            tokens (ConvBERT) or pool them see the padding although it is masked; it is tried
            out when the model is loaded, and such models get batches of equal length.
    """

    def __init__(self, tokenizer: Any, model: Any, device: str) -> None:
        self.tokenizer = tokenizer
        self.model = model
        self.device = device
        self.n_layers = int(model.config.num_hidden_layers)
        self.limit = _limit(tokenizer, model)
        self.pads = self._padding_is_harmless()

    def tokens(self, text: str) -> Tokens:
        """The whole text, however long, with the tokens that the tokenizer adds."""
        found = self.tokenizer(
            text,
            add_special_tokens=True,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            return_token_type_ids=True,
            truncation=False,
            verbose=False,  # a text that is too long is met by the caller
        )
        ids = np.array(found["input_ids"], np.int64)
        types = found.get("token_type_ids")
        return Tokens(
            ids,
            np.zeros(len(ids), np.int64) if types is None else np.array(types, np.int64),
            np.array(found["special_tokens_mask"], bool),
            np.array(found["offset_mapping"], np.int32).reshape(-1, 2),
        )

    def states(self, texts: Sequence[Tokens], layers: tuple[int, ...] | None) -> list[Array]:
        """Hidden states of each text.

        Args:
            texts: none longer than ``limit``.
            layers: numbers of the layers to average, 0 for the embeddings, negative from the
                last; None: the model's final output.

        Returns:
            (n_tokens, D) float32 for each text, whatever stood beside it in its batch.
        """
        budget = TOKENS_A_BATCH.get(self.device.split(":")[0], TOKENS_A_BATCH["cpu"])
        done: list[Array] = [np.empty(0)] * len(texts)
        batches = pack([len(text) for text in texts], budget, 0.25 if self.pads else 0.0)
        for batch in batches:
            states = self._run([texts[i] for i in batch], layers)
            for row, i in enumerate(batch):
                done[i] = states[row, : len(texts[i])]
        return done

    def _run(self, texts: Sequence[Tokens], layers: tuple[int, ...] | None) -> Array:
        """Hidden states (B, T, D) float32 of texts padded at their ends."""
        import torch

        length = max(map(len, texts))
        ids = np.full((len(texts), length), self.tokenizer.pad_token_id or 0, np.int64)
        types = np.zeros_like(ids)
        mask = np.zeros_like(ids)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = text.ids
            types[row, : len(text)] = text.types
            mask[row, : len(text)] = 1
        given = {"input_ids": ids, "attention_mask": mask}
        if "token_type_ids" in self.tokenizer.model_input_names:
            given["token_type_ids"] = types
        tensors = {name: torch.from_numpy(a).to(self.device) for name, a in given.items()}
        with torch.inference_mode():
            out = self.model(**tensors, output_hidden_states=layers is not None, return_dict=True)
            if layers is None:
                states = out.last_hidden_state
            else:
                states = torch.stack([out.hidden_states[layer] for layer in layers]).mean(dim=0)
        found: Array = states.float().cpu().numpy()
        return found

    def _padding_is_harmless(self) -> bool:
        """Whether a short text has the same states alone and padded beside a long one."""
        n_ids = self.model.get_input_embeddings().num_embeddings
        sizes = [min(size, self.limit or size) for size in (5, 12)]
        numbers = np.random.default_rng(0).integers(0, n_ids, sizes[1])
        texts = [
            Tokens(numbers[:n], np.zeros(n, np.int64), np.zeros(n, bool), np.zeros((n, 2)))
            for n in sizes
        ]
        alone = self._run(texts[:1], None)[0]
        padded = self._run(texts, None)[0, : sizes[0]]
        return bool(np.abs(alone - padded).max() <= PADDING_TOLERANCE * np.abs(alone).max())


_LOADED: LoadedModels[Encoder] = LoadedModels()


def load_encoder(folder: Path, device: str) -> Encoder:
    """The encoder of a folder in float32, loaded once in each process while it is used.

    Raises:
        BadCall: it cannot be loaded, its weights are not whole, or its tokenizer gives no
            character spans.
    """
    files = model_files(folder)
    marks = [(name, f.stat().st_size, f.stat().st_mtime_ns) for name, f in sorted(files.items())]
    return _LOADED.get((str(folder), tuple(marks), device), lambda: _load(folder, device))


def _load(folder: Path, device: str) -> tuple[Encoder, int]:
    import torch
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        model, report = AutoModel.from_pretrained(
            str(folder),
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise BadCall(f"the model in {folder} cannot be loaded: {reason}") from error
    finally:
        if bars:
            logging.enable_progress_bar()
    _check(folder, tokenizer, model, report)
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    model = model.eval().requires_grad_(False).to(device)
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    return Encoder(tokenizer, model, device), size


def _check(folder: Path, tokenizer: Any, model: Any, report: dict[str, Any]) -> None:
    # Poolers stand after the hidden states; checkpoints of masked language models lack them.
    missing = sorted(name for name in report["missing_keys"] if "pooler" not in name)
    if missing:
        raise BadCall(
            f"the weights in {folder} lack {len(missing)} of the model's tensors, '{missing[0]}' "
            "for one: they would be random numbers"
        )
    if not tokenizer.is_fast:
        raise BadCall(
            f"the tokenizer in {folder} does not say which characters its tokens stand for; "
            "save it with tokenizer.json"
        )
    n_ids = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > n_ids:
        raise BadCall(
            f"the tokenizer in {folder} has {len(tokenizer)} tokens, the model only {n_ids}: "
            "they do not belong together"
        )


def _limit(tokenizer: Any, model: Any) -> int | None:
    """Tokens the model reads at once: what the tokenizer says, and its table of positions."""
    import torch

    limits = []
    if tokenizer.model_max_length < 1 << 30:  # a huge number stands for "not said"
        limits.append(int(tokenizer.model_max_length))
    for name, module in model.named_modules():
        if name.endswith(POSITIONS) and isinstance(module, torch.nn.Embedding):
            # RoBERTa and its kin number positions from behind the padding's, BART from an offset.
            skipped = 0 if module.padding_idx is None else module.padding_idx + 1
            limits.append(module.num_embeddings - max(skipped, getattr(module, "offset", 0)))
    return min(limits, default=None)
