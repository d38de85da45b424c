"""The baselines as they are usually written, to be timed beside ours: plain torch, padded files.

Every utterance is padded to the length of the corpus' files and counts in full; a ``Dataset`` hands
out one utterance at a time, a ``DataLoader`` collates them; LSTMs read all rows, the outer product
is laid out, a loop in Python goes over MFN's rows; ``torch.optim.Adam`` as it comes. Layers have
the widths of the models here. Used by ``baselines.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

MODALITIES = ("text", "audio", "vision")


class Utterances(Dataset):
    """Padded rows of each modality, and a label."""

    def __init__(self, rows: Mapping[str, np.ndarray]) -> None:
        self.rows = rows
        self.labels = np.random.default_rng(0).uniform(-1, 1, len(rows["text"]))

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        sample = {name: torch.from_numpy(values[i]) for name, values in self.rows.items()}
        return sample | {"label": torch.tensor(self.labels[i], dtype=torch.float32)}


class Means(nn.Module):
    """Dropout and three layers on the mean over all rows."""

    def __init__(self, width: int, units: int, dropout: float) -> None:
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.layers = nn.ModuleList(nn.Linear(n, units) for n in (width, units, units))

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(x.mean(dim=1))
        for layer in self.layers:
            x = torch.relu(layer(x))
        return x


class Text(nn.Module):
    """The last state of an LSTM over all rows, dropout, a layer."""

    def __init__(self, width: int, units: int, dropout: float) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, units, batch_first=True)
        self.drop = nn.Dropout(dropout)
        self.out = nn.Linear(units, units)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.drop(self.lstm(x)[1][0][0]))


class Late(nn.Module):
    """A network an input; what ``join`` makes of their outputs, with 1 appended, to a score."""

    def __init__(self, settings: Any, widths: Mapping[str, int]) -> None:
        super().__init__()
        self.units = [getattr(settings, f"{m}_units") for m in MODALITIES]
        dropouts = [getattr(settings, f"{m}_dropout") for m in MODALITIES]
        kinds = [Text if settings.reads(m) == "sequence" else Means for m in MODALITIES]
        self.networks = nn.ModuleList(
            kind(widths[m], units, p)
            for kind, m, units, p in zip(kinds, MODALITIES, self.units, dropouts, strict=True)
        )
        self.build(settings)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        made = [net(batch[m]) for net, m in zip(self.networks, MODALITIES, strict=True)]
        return self.join([torch.cat([x, x.new_ones(len(x), 1)], dim=1) for x in made]).squeeze(1)


class Tfn(Late):
    """The outer product, laid out, and three layers."""

    def build(self, settings: Any) -> None:
        text, audio, vision = (units + 1 for units in self.units)
        post = settings.post_units
        self.post = nn.Sequential(
            nn.Dropout(settings.post_dropout),
            nn.Linear(text * audio * vision, post),
            nn.ReLU(),
            nn.Linear(post, post),
            nn.ReLU(),
            nn.Linear(post, 1),
        )

    def join(self, made: list[Tensor]) -> Tensor:
        text, audio, vision = made
        two = torch.bmm(text.unsqueeze(2), audio.unsqueeze(1)).flatten(1)
        return self.post(torch.bmm(two.unsqueeze(2), vision.unsqueeze(1)).flatten(1))


class Lmf(Late):
    """The outer product by factors."""

    def build(self, settings: Any) -> None:
        self.factors = nn.ParameterList(
            nn.init.xavier_normal_(torch.empty(settings.rank, units + 1, 1)) for units in self.units
        )
        self.ranks = nn.Parameter(nn.init.xavier_normal_(torch.empty(1, settings.rank)))
        self.bias = nn.Parameter(torch.zeros(1, 1))

    def join(self, made: list[Tensor]) -> Tensor:
        product = torch.ones(1)
        for x, factor in zip(made, self.factors, strict=True):
            product = product * torch.matmul(x, factor)  # (rank, B, 1)
        return torch.matmul(self.ranks, product.permute(1, 0, 2)).squeeze(1) + self.bias


class LfDnn(Late):
    """All outputs side by side and three layers."""

    def build(self, settings: Any) -> None:
        post = settings.post_units
        self.post = nn.Sequential(
            nn.Dropout(settings.post_dropout),
            nn.Linear(sum(self.units) + 3, post),
            nn.ReLU(),
            nn.Linear(post, post),
            nn.ReLU(),
            nn.Linear(post, 1),
        )

    def join(self, made: list[Tensor]) -> Tensor:
        return self.post(torch.cat(made, dim=1))


class EfLstm(nn.Module):
    """All rows side by side through LSTM layers."""

    def __init__(self, settings: Any, widths: Mapping[str, int]) -> None:
        super().__init__()
        units = settings.units
        self.lstm = nn.LSTM(
            sum(widths.values()),
            units,
            num_layers=settings.layers,
            dropout=settings.dropout,
            batch_first=True,
        )
        self.post = nn.Sequential(
            nn.Dropout(settings.dropout), nn.Linear(units, units), nn.ReLU(), nn.Linear(units, 1)
        )

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        x = torch.cat([batch[m] for m in MODALITIES], dim=2)
        return self.post(self.lstm(x)[1][0][-1]).squeeze(1)


class Mfn(nn.Module):
    """LSTM cells, attention over two rows' memories, a gated memory, row by row."""

    def __init__(self, settings: Any, widths: Mapping[str, int]) -> None:
        super().__init__()
        units = [getattr(settings, f"{m}_units") for m in MODALITIES]
        self.cells = nn.ModuleList(
            nn.LSTMCell(widths[m], n) for m, n in zip(MODALITIES, units, strict=True)
        )
        self.memory = settings.memory_units
        window = 2 * sum(units)

        def two(n_in: int, hidden: int, n_out: int, dropout: float) -> nn.Module:
            return nn.Sequential(
                nn.Linear(n_in, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, n_out)
            )

        self.attention = two(window, settings.attention_units, window, settings.attention_dropout)
        self.proposal = two(window, settings.proposal_units, self.memory, settings.proposal_dropout)
        gate = (window + self.memory, settings.gate_units, self.memory)
        self.keep, self.write = (
            two(*gate, settings.keep_dropout),
            two(*gate, settings.write_dropout),
        )
        self.post = two(sum(units) + self.memory, settings.post_units, 1, settings.post_dropout)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        rows = [batch[m] for m in MODALITIES]
        size = len(rows[0])
        states = [
            (x.new_zeros(size, c.hidden_size),) * 2 for x, c in zip(rows, self.cells, strict=True)
        ]
        memory = rows[0].new_zeros(size, self.memory)
        for t in range(rows[0].shape[1]):
            before = [cell for _, cell in states]
            states = [cell(x[:, t], s) for cell, x, s in zip(self.cells, rows, states, strict=True)]
            window = torch.cat([*before, *[cell for _, cell in states]], dim=1)
            said = self.attention(window).softmax(dim=1) * window
            both = torch.cat([said, memory], dim=1)
            kept = torch.sigmoid(self.keep(both)) * memory
            memory = kept + torch.sigmoid(self.write(both)) * torch.tanh(self.proposal(said))
        return self.post(torch.cat([*[h for h, _ in states], memory], dim=1)).squeeze(1)


NETWORKS = {"tfn": Tfn, "lmf": Lmf, "lf-dnn": LfDnn, "ef-lstm": EfLstm, "mfn": Mfn}


def usual_epoch(
    settings: Any, rows: Mapping[str, np.ndarray], batch_size: int, lr: float
) -> Callable[[], None]:
    """One epoch over padded rows (n, T, D) of each modality."""
    torch.manual_seed(0)
    net = NETWORKS[settings.name](settings, {m: x.shape[2] for m, x in rows.items()}).train()
    adam = torch.optim.Adam(net.parameters(), lr=lr)
    loader = DataLoader(Utterances(rows), batch_size=batch_size, shuffle=True)
    loss_of = nn.L1Loss()

    def epoch() -> None:
        total = 0.0
        for batch in loader:
            adam.zero_grad()
            loss = loss_of(net(batch), batch["label"])
            loss.backward()
            adam.step()
            total += loss.item()

    return epoch
