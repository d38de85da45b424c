"""LR-ASD: the question of TalkNet, answered by a network of 0.84 million parameters.

Shapes: B clips, T pictures at 25 Hz, 4T frames of sound at 100 Hz, C channels.

The attributes bear the names of the authors' checkpoints, so that these load strictly.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from .talknet import GREY_MEAN, GREY_STD
from .tensor_file import load_fitting

#: Variance that all batch norms add.
NORM_EPS = 1e-3
#: Channels of each block: in, between its two convolutions of space, out.
CHANNELS = ((1, 16, 32), (32, 32, 64), (64, 64, 128))


class LrAsd(nn.Module):
    """Score of each picture: the logit that its face speaks the sound.

    Source:
        Liao et al. (2025), "LR-ASD: Lightweight and Robust Network for Active Speaker
        Detection", International Journal of Computer Vision 133.
    """

    #: Pictures to either side that ``pictures`` sees of each.
    reach: ClassVar[int] = 9

    def __init__(self) -> None:
        super().__init__()
        self.model = _Trunk()
        self.lossAV = _Head()
        self.lossV = _Head()  # used in training only, but part of the checkpoint

    def forward(self, mfcc: Tensor, faces: Tensor) -> Tensor:
        """Map MFCC (B, 4T, 13) and grey faces (B, T, 112, 112) in 0..255 to logits (B, T)."""
        return self.scores(mfcc, self.pictures(faces))

    def pictures(self, faces: Tensor) -> Tensor:
        """Map grey faces (B, T, 112, 112) in 0..255 to features of pictures (B, T, 128)."""
        grey = ((faces / 255 - GREY_MEAN) / GREY_STD).to(self.lossAV.FC.weight.dtype)
        sight: Tensor = self.model.visualEncoder(grey.unsqueeze(1))
        return sight

    def scores(self, mfcc: Tensor, pictures: Tensor) -> Tensor:
        """Map MFCC (B, 4T, 13) and features of pictures (B, T, 128) to logits (B, T)."""
        image = mfcc.to(pictures.dtype).transpose(1, 2).unsqueeze(1)  # (B, 1, 13, 4T)
        sound = self.model.audioEncoder(image)  # (B, T, 128)
        both = self.model.fusion(torch.cat([sound, pictures], dim=2))  # (B, T, 256)
        logits: Tensor = self.lossAV.FC(self.model.detector(both))
        return logits[..., 1]


class _Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.FC = nn.Linear(128, 2)


class _Trunk(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.visualEncoder = _PictureNet()
        self.audioEncoder = _SoundNet()
        self.fusion = _Gate(256)
        self.detector = _Detector()


class _PictureBlock(nn.Module):
    """Two convolutions over space, then two over time."""

    def __init__(self, before: int, middle: int, after: int, stride: int) -> None:
        super().__init__()
        self.s_1 = nn.Conv3d(before, middle, (1, 5, 5), (1, stride, stride), (0, 2, 2), bias=False)
        self.s_norm_1 = nn.BatchNorm3d(middle, eps=NORM_EPS)
        self.s_2 = nn.Conv3d(middle, after, (1, 3, 3), padding=(0, 1, 1), bias=False)
        self.s_norm_2 = nn.BatchNorm3d(after, eps=NORM_EPS)
        self.t_1 = nn.Conv3d(after, after, (5, 1, 1), padding=(2, 0, 0), bias=False)
        self.t_norm_1 = nn.BatchNorm3d(after, eps=NORM_EPS)
        self.t_2 = nn.Conv3d(after, after, (3, 1, 1), padding=(1, 0, 0), bias=False)
        self.t_norm_2 = nn.BatchNorm3d(after, eps=NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.s_norm_1(self.s_1(x)))
        x = functional.relu(self.s_norm_2(self.s_2(x)))
        x = functional.relu(self.t_norm_1(self.t_1(x)))
        return functional.relu(self.t_norm_2(self.t_2(x)))


class _PictureNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block1, self.block2, self.block3 = (
            _PictureBlock(*channels, stride)
            for channels, stride in zip(CHANNELS, (2, 1, 1), strict=True)
        )
        self.pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))

    def forward(self, grey: Tensor) -> Tensor:
        """Map (B, 1, T, 112, 112) to (B, T, 128)."""
        maps = self.block3(self.pool(self.block2(self.pool(self.block1(grey)))))
        sight: Tensor = maps.amax(dim=(3, 4)).transpose(1, 2)
        return sight


class _SoundBlock(nn.Module):
    """Two convolutions over cepstra, then two over time."""

    def __init__(self, before: int, middle: int, after: int) -> None:
        super().__init__()
        self.m_1 = nn.Conv2d(before, middle, (5, 1), padding=(2, 0), bias=False)
        self.m_norm_1 = nn.BatchNorm2d(middle, eps=NORM_EPS)
        self.m_2 = nn.Conv2d(middle, after, (3, 1), padding=(1, 0), bias=False)
        self.m_norm_2 = nn.BatchNorm2d(after, eps=NORM_EPS)
        self.t_1 = nn.Conv2d(after, after, (1, 5), padding=(0, 2), bias=False)
        self.t_norm_1 = nn.BatchNorm2d(after, eps=NORM_EPS)
        self.t_2 = nn.Conv2d(after, after, (1, 3), padding=(0, 1), bias=False)
        self.t_norm_2 = nn.BatchNorm2d(after, eps=NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.m_norm_1(self.m_1(x)))
        x = functional.relu(self.m_norm_2(self.m_2(x)))
        x = functional.relu(self.t_norm_1(self.t_1(x)))
        return functional.relu(self.t_norm_2(self.t_2(x)))


class _SoundNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block1, self.block2, self.block3 = (_SoundBlock(*channels) for channels in CHANNELS)
        self.pool = nn.MaxPool2d((1, 3), (1, 2), (0, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, 1, 13, 4T) to (B, T, 128)."""
        maps = self.block3(self.pool(self.block2(self.pool(self.block1(image)))))
        sound: Tensor = maps.mean(dim=2).transpose(1, 2)
        return sound


class _Gate(nn.Module):
    """Weigh each channel of each picture by all of its channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention = nn.Conv1d(width, width, 1, bias=False)
        self.bn = nn.BatchNorm1d(width, eps=NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, width) to the same."""
        weights = torch.sigmoid(self.bn(self.attention(x.transpose(1, 2)))).transpose(1, 2)
        return x * weights


class _Detector(nn.Module):
    """One recurrence forwards and one backwards in time."""

    def __init__(self) -> None:
        super().__init__()
        self.gru_forward = nn.GRU(256, 64, batch_first=True)
        self.gru_backward = nn.GRU(256, 64, batch_first=True)
        self.drop = nn.Dropout(0.5)
        self.attention = _Gate(128)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, T, 256) to (B, T, 128)."""
        ahead, _ = self.gru_forward(x)
        back, _ = self.gru_backward(x.flip(1))
        both = torch.cat([self.drop(ahead), self.drop(back.flip(1))], dim=2)
        gated: Tensor = self.attention(both)
        return gated


def load_lr_asd(path: str | Path) -> LrAsd:
    """LR-ASD with the weights of one of the authors' checkpoints, ready to score.

    Args:
        path: file such as ``finetuning_TalkSet.model``.

    Raises:
        BadCall: there is no such file, or it is not a checkpoint of LR-ASD.
    """
    network = LrAsd()
    load_fitting(network, path, "LR-ASD")
    return network.eval().requires_grad_(False)
