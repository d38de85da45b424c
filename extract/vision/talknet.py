"""TalkNet: does the face that is seen speak the sound that is heard?

Shapes: B clips, T pictures at 25 Hz, 4T frames of sound at 100 Hz, C channels.

The attributes bear the names of the authors' checkpoints, so that these load strictly.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from .tensor_file import load_fitting

#: Mean and standard deviation of the grey of mouths, over 255.
GREY_MEAN, GREY_STD = 0.4161, 0.1688
#: Variance that the batch norms of the pictures' part add; elsewhere it is torch's 1e-5.
PICTURE_EPS = 1e-3


class TalkNet(nn.Module):
    """Score of each picture: the logit that its face speaks the sound.

    Ours differs in one thing: the authors lay the pictures of all clips of a batch on one axis of
    time, so that the first convolution mixes clips at their borders; here each clip stays alone,
    as in their inference, where B = 1.

    Source:
        Tao et al. (2021), "Is Someone Speaking? Exploring Long-term Temporal Features for
        Audio-visual Active Speaker Detection", ACM Multimedia, arXiv:2107.06592.
    """

    #: Pictures to either side that ``pictures`` sees of each.
    reach: ClassVar[int] = 2

    def __init__(self) -> None:
        super().__init__()
        self.model = _Trunk()
        self.lossAV = _Head(256)
        self.lossA = _Head(128)  # used in training only, but part of the checkpoint
        self.lossV = _Head(128)

    def forward(self, mfcc: Tensor, faces: Tensor) -> Tensor:
        """Map MFCC (B, 4T, 13) and grey faces (B, T, 112, 112) in 0..255 to logits (B, T)."""
        return self.scores(mfcc, self.pictures(faces))

    def pictures(self, faces: Tensor) -> Tensor:
        """Map grey faces (B, T, 112, 112) in 0..255 to features of pictures (B, T, 512)."""
        grey = ((faces / 255 - GREY_MEAN) / GREY_STD).to(self.lossAV.FC.weight.dtype)
        frontend: Tensor = self.model.visualFrontend(grey.unsqueeze(1))
        return frontend

    def scores(self, mfcc: Tensor, pictures: Tensor) -> Tensor:
        """Map MFCC (B, 4T, 13) and features of pictures (B, T, 512) to logits (B, T)."""
        sound = self.model.audioEncoder(mfcc.to(pictures.dtype))  # (B, T, 128)
        sight = self.model.visualConv1D(self.model.visualTCN(pictures.transpose(1, 2)))
        sight = sight.transpose(1, 2)  # (B, T, 128)
        heard = self.model.crossA2V(sound, sight)
        seen = self.model.crossV2A(sight, sound)
        both = torch.cat([heard, seen], dim=2)  # (B, T, 256)
        logits: Tensor = self.lossAV.FC(self.model.selfAV(both, both))
        return logits[..., 1]


class _Head(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.FC = nn.Linear(width, 2)


class _Trunk(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.visualFrontend = _PictureNet()
        self.visualTCN = _Chain([_TimeBlock() for _ in range(5)])
        self.visualConv1D = _Chain(
            [
                nn.Conv1d(512, 256, 5, padding=2),
                nn.BatchNorm1d(256),
                nn.ReLU(),
                nn.Conv1d(256, 128, 1),
            ]
        )
        self.audioEncoder = _SoundNet()
        self.crossA2V = _Attention(128)
        self.crossV2A = _Attention(128)
        self.selfAV = _Attention(256)


class _Chain(nn.Module):
    def __init__(self, parts: list[nn.Module]) -> None:
        super().__init__()
        self.net = nn.Sequential(*parts)

    def forward(self, x: Tensor) -> Tensor:
        chained: Tensor = self.net(x)
        return chained


class _PictureNet(nn.Module):
    """A convolution over five pictures, then a residual net on each."""

    def __init__(self) -> None:
        super().__init__()
        self.frontend3D = nn.Sequential(
            nn.Conv3d(1, 64, (5, 7, 7), (1, 2, 2), (2, 3, 3), bias=False),
            nn.BatchNorm3d(64, eps=PICTURE_EPS),
            nn.ReLU(),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        )
        self.resnet = nn.Sequential()
        for number, (before, after) in enumerate(
            ((64, 64), (64, 128), (128, 256), (256, 512)), start=1
        ):
            self.resnet.add_module(f"layer{number}", _PictureLayer(before, after))

    def forward(self, grey: Tensor) -> Tensor:
        """Map (B, 1, T, 112, 112) to (B, T, 512)."""
        stem = self.frontend3D(grey).transpose(1, 2)  # (B, T, 64, 28, 28)
        maps = self.resnet(stem.flatten(0, 1))  # (B T, 512, 4, 4)
        features: Tensor = maps.mean(dim=(2, 3)).unflatten(0, stem.shape[:2])
        return features


class _PictureLayer(nn.Module):
    """Two residual units; what is added to the second has not passed its batch norm."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.stride = 1 if before == after else 2
        self.conv1a = nn.Conv2d(before, after, 3, self.stride, 1, bias=False)
        self.bn1a = nn.BatchNorm2d(after, eps=PICTURE_EPS)
        self.conv2a = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        # Layer 1 has the tensor too, and does not use it.
        self.downsample = nn.Conv2d(before, after, 1, self.stride, bias=False)
        self.outbna = nn.BatchNorm2d(after, eps=PICTURE_EPS)
        self.conv1b = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn1b = nn.BatchNorm2d(after, eps=PICTURE_EPS)
        self.conv2b = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.outbnb = nn.BatchNorm2d(after, eps=PICTURE_EPS)

    def forward(self, x: Tensor) -> Tensor:
        same = x if self.stride == 1 else self.downsample(x)
        middle = self.conv2a(functional.relu(self.bn1a(self.conv1a(x)))) + same
        unit = functional.relu(self.bn1b(self.conv1b(functional.relu(self.outbna(middle)))))
        return functional.relu(self.outbnb(self.conv2b(unit) + middle))


class _TimeBlock(nn.Module):
    """A residual block over time; its norm is over the whole clip, so lengths matter."""

    def __init__(self, width: int = 512) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.ReLU(),
            nn.BatchNorm1d(width),
            nn.Conv1d(width, width, 3, padding=1, groups=width, bias=False),
            nn.PReLU(),
            _ClipNorm(width),
            nn.Conv1d(width, width, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        grown: Tensor = x + self.net(x)
        return grown


class _ClipNorm(nn.Module):
    """Normalise (B, C, T) over channels and time of each clip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1, width, 1))
        self.beta = nn.Parameter(torch.zeros(1, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(dim=(1, 2), keepdim=True)
        variance = centred.square().mean(dim=(1, 2), keepdim=True)
        return self.gamma * centred / torch.sqrt(variance + 1e-8) + self.beta


class _SoundNet(nn.Module):
    """A residual net with squeeze and excitation over the picture of the MFCC."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 7, (2, 1), 3, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _sound_layer(16, 16, 3, 1)
        self.layer2 = _sound_layer(16, 32, 4, 2)
        self.layer3 = _sound_layer(32, 64, 6, 2)
        self.layer4 = _sound_layer(64, 128, 3, 1)

    def forward(self, mfcc: Tensor) -> Tensor:
        """Map (B, 4T, 13) to (B, T, 128)."""
        image = mfcc.transpose(1, 2).unsqueeze(1)  # (B, 1, 13, 4T)
        maps = functional.relu(self.bn1(self.conv1(image)))  # (B, 16, 7, 4T)
        maps = self.layer4(self.layer3(self.layer2(self.layer1(maps))))  # (B, 128, 2, T)
        sound: Tensor = maps.mean(dim=2).transpose(1, 2)
        return sound


def _sound_layer(before: int, after: int, n_blocks: int, stride: int) -> nn.Sequential:
    first = _SoundBlock(before, after, stride)
    return nn.Sequential(first, *[_SoundBlock(after, after, 1) for _ in range(n_blocks - 1)])


class _SoundBlock(nn.Module):
    """A residual block; its first batch norm comes after the ReLU, as the authors have it."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.se = _Excitation(after)
        if before == after:
            self.downsample: nn.Module = nn.Identity()
        else:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        maps = self.bn1(functional.relu(self.conv1(x)))
        maps = self.se(self.bn2(self.conv2(maps)))
        return functional.relu(maps + self.downsample(x))


class _Excitation(nn.Module):
    """Weigh channels by what is seen of all of them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(width, width // 8), nn.ReLU(), nn.Linear(width // 8, width), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        weights: Tensor = self.fc(x.mean(dim=(2, 3)))
        return x * weights[:, :, None, None]


class _Attention(nn.Module):
    """Attend from a target to a source; the source is what the result is added to."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, 8, dropout=0.1, batch_first=True)
        self.linear1 = nn.Linear(width, 4 * width)
        self.linear2 = nn.Linear(4 * width, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.drop = nn.Dropout(0.1)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Map source and target, both (B, T, width), to (B, T, width)."""
        found, _ = self.self_attn(target, source, source, need_weights=False)
        x = self.norm1(source + self.drop(found))
        grown = self.linear2(self.drop(functional.relu(self.linear1(x))))
        normed: Tensor = self.norm2(x + self.drop(grown))
        return normed


def load_talknet(path: str | Path) -> TalkNet:
    """TalkNet with the weights of one of the authors' checkpoints, ready to score.

    Args:
        path: file such as ``pretrain_TalkSet.model``.

    Raises:
        BadCall: there is no such file, or it is not a checkpoint of TalkNet.
    """
    network = TalkNet()
    load_fitting(network, path, "TalkNet")
    return network.eval().requires_grad_(False)
