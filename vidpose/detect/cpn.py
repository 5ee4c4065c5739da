"""Cascaded Pyramid Network (Chen et al., CVPR 2018): the network, its checkpoints and inference.

GlobalNet is a feature pyramid with heat maps at every level; RefineNet joins the levels and
corrects the joints that GlobalNet finds hard. Attributes are named as in the public PyTorch
checkpoints, so that these load as they are. Nothing here needs MMPose; `cpn_mmpose` brings the
same modules to MMPose for training.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import resnet

from vidpose.detect.networks import Half, HeatmapNetwork, read_tensors
from vidpose.skeleton import COCO17
from vidpose.utils.files import sha256
from vidpose.utils.state_dicts import load_strictly

RESNET50 = (3, 4, 6, 3)
RESNET101 = (3, 4, 23, 3)
"""Bottlenecks in each of the backbone's four stages."""
STAGE_CHANNELS = (2048, 1024, 512, 256)
"""Output channels of the stages, coarse to fine: c5, c4, c3, c2."""
FEATURES = 256

MEAN_RGB = (122.7717, 115.9465, 102.9801)
"""The mean colour: subtracted from the input, and the fill colour outside the image."""
WIDER, TALLER = 1.2, 1.3
"""A crop shows this many times the box: 10 % more on each side, 15 % above and below."""
STRIDE = 4
"""Pixels of the crop per pixel of the heat map."""
PEAK = 255.0
"""Value of a heat map at a certain joint."""
BLUR = 21
"""Side of the Gaussian kernel that smooths a heat map before the peak search."""


class ResNet(resnet.ResNet):  # type: ignore[misc]
    """torchvision's ResNet without its classifier: (B, 3, H, W) -> [c5, c4, c3, c2].

    c2 is (B, 256, H / 4, W / 4); each coarser stage halves the size and doubles the channels.
    """

    def __init__(self, blocks: Sequence[int] = RESNET50) -> None:
        super().__init__(resnet.Bottleneck, list(blocks))
        del self.avgpool, self.fc

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        stages = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            stages.append(x)
        return stages[::-1]


class Resize(nn.Module):
    """Bilinear, with aligned corners."""

    def forward(self, x: Tensor, size: Sequence[int]) -> Tensor:
        return F.interpolate(x, list(size), mode="bilinear", align_corners=True)


class Predict(nn.Sequential):
    """Features of one level -> its heat maps at the output size."""

    def __init__(self, features: int, joints: int) -> None:
        super().__init__(
            nn.Conv2d(features, features, 1, bias=False),
            nn.BatchNorm2d(features),
            nn.ReLU(),
            nn.Conv2d(features, joints, 3, padding=1, bias=False),
            Resize(),
            nn.BatchNorm2d(joints),
        )

    def forward(self, x: Tensor, size: Sequence[int]) -> Tensor:  # type: ignore[override]
        for layer in self:
            x = layer(x, size) if isinstance(layer, Resize) else layer(x)
        return x


class GlobalNet(nn.Module):
    """The backbone's stages, coarse to fine -> features and heat maps of every level.

    Returns:
        Four features (B, `features`, h, w), each of the size of its stage, and four heat maps (B,
        `joints`, H / 4, W / 4), all of the size of the finest stage.
    """

    def __init__(self, features: int = FEATURES, joints: int = len(COCO17)) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, features, 1, bias=False), nn.BatchNorm2d(features), nn.ReLU()
            )
            for channels in STAGE_CHANNELS
        )
        self.upsamples = nn.ModuleList(
            nn.Sequential(
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
                nn.Conv2d(features, features, 1, bias=False),
                nn.BatchNorm2d(features),
            )
            for _ in STAGE_CHANNELS[1:]
        )
        self.predict = nn.ModuleList(Predict(features, joints) for _ in STAGE_CHANNELS)

    def forward(self, stages: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        levels = [self.laterals[0](stages[0])]
        for lateral, upsample, stage in zip(
            self.laterals[1:], self.upsamples, stages[1:], strict=True
        ):
            levels.append(lateral(stage) + upsample(levels[-1]))
        size = levels[-1].shape[-2:]
        maps = [predict(x, size) for predict, x in zip(self.predict, levels, strict=True)]
        return levels, maps


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a projected shortcut; `middle` -> 2 `middle`."""

    def __init__(self, channels: int, middle: int) -> None:
        super().__init__()
        out = 2 * middle
        self.conv1 = nn.Conv2d(channels, middle, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, middle, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(middle)
        self.conv3 = nn.Conv2d(middle, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample = nn.Sequential(
            nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out)
        )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class RefineNet(nn.Module):
    """GlobalNet's features, coarse to fine -> (B, `joints`, H / 4, W / 4) refined heat maps.

    The coarser a level, the more bottlenecks it passes before the levels are concatenated.
    """

    def __init__(self, features: int = FEATURES, joints: int = len(COCO17)) -> None:
        super().__init__()
        count = len(STAGE_CHANNELS)
        self.cascade = nn.ModuleList(
            nn.Sequential(*(Bottleneck(features, features // 2) for _ in range(count - 1 - level)))
            for level in range(count)
        )
        self.resize = Resize()
        self.final_predict = nn.Sequential(
            Bottleneck(count * features, features // 2),
            nn.Conv2d(features, joints, 3, padding=1, bias=False),
            nn.BatchNorm2d(joints),
        )

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        size = levels[-1].shape[-2:]
        joined = [
            self.resize(deepen(x), size) for deepen, x in zip(self.cascade, levels, strict=True)
        ]
        return self.final_predict(torch.cat(joined, dim=1))


class CPN(nn.Module):
    """(B, 3, H, W) RGB normalised by `normalise` -> four global heat maps and the refined ones.

    H and W are multiples of 32; the published sizes are 256 x 192 and 384 x 288. Every map is
    (B, `joints`, H / 4, W / 4); the global ones come coarse to fine. A certain joint shows as a
    peak of 255.
    """

    def __init__(
        self, blocks: Sequence[int] = RESNET50, features: int = FEATURES, joints: int = len(COCO17)
    ) -> None:
        super().__init__()
        self.blocks = tuple(blocks)
        self.resnet = ResNet(blocks)
        self.global_net = GlobalNet(features, joints)
        self.refine_net = RefineNet(features, joints)

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        height, width = x.shape[-2:]
        if height % 32 or width % 32:
            raise ValueError(f"expected height and width to be multiples of 32, got {x.shape}")
        levels, maps = self.global_net(self.resnet(x))
        return maps, self.refine_net(levels)


def load_cpn(path: str | Path) -> CPN:
    """Load the network of a checkpoint, on the CPU, in float32 and eval mode.

    Reads the public PyTorch checkpoints (a dict with `state_dict`, keys beginning with `module.`),
    a plain state dict, and the checkpoints that MMPose's runner writes with our config. The file
    tells whether the backbone is a ResNet-50 or -101.

    Raises:
        WeightsError: the file is missing, holds anything except plain tensors and values, or does
            not fit the network.
    """
    path = Path(path)
    tensors = {_own_name(key): value for key, value in read_tensors(path, "CPN").items()}
    deep = any(key.startswith(f"resnet.layer3.{RESNET50[2]}.") for key in tensors)
    network = CPN(RESNET101 if deep else RESNET50)
    load_strictly(network, tensors, f"{path} is no CPN for {len(COCO17)} COCO joints")
    return network.eval()


MMPOSE_PREFIXES = {
    "backbone.": "resnet.",
    "neck.": "global_net.",
    "head.refine_net.": "refine_net.",
}
"""Prefixes in the model of our MMPose config, and ours."""


def _own_name(key: str) -> str:
    key = key.removeprefix("module.")
    for theirs, ours in MMPOSE_PREFIXES.items():
        if key.startswith(theirs):
            return ours + key.removeprefix(theirs)
    return key


def normalise(crops: Tensor) -> Tensor:
    """(N, H, W, 3) RGB, 0 to 255 -> (N, 3, H, W) float32, the network's input."""
    mean = torch.tensor(MEAN_RGB, device=crops.device)
    return ((crops - mean) / 255).permute(0, 3, 1, 2)


def mean_with_mirrored(maps: Tensor, mirrored: Tensor) -> Tensor:
    """Heat maps (N, 17, H, W) and those of the mirrored crops -> their mean, unmirrored."""
    order = torch.as_tensor(COCO17.mirrored, device=maps.device)
    return (maps + mirrored.flip(3)[:, order]) / 2


def decode_refined_maps(
    maps: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Refined heat maps (N, J, H, W) -> joints (N, J, 2), pixels of the crop, and scores (N, J).

    After a blur, a joint is a quarter of a heat map's pixel from the highest pixel towards the
    second highest. The score is the heat map's value there / 255 + 0.5, clipped to 0..1. (The
    published decoding also divides by the map's maximum, which moves no peak.)
    """
    people, joints, height, width = maps.shape
    smooth = _blur(maps).reshape(people, joints, -1)
    best = smooth.argmax(axis=2)[..., None]
    np.put_along_axis(smooth, best, -np.inf, axis=2)
    second = smooth.argmax(axis=2)[..., None]
    # Peaks may lie in the border that `_blur` adds on each side.
    xy, second_xy = (
        np.concatenate([at % (width + BLUR - 1), at // (width + BLUR - 1)], axis=2) - BLUR // 2
        for at in (best, second)
    )
    towards = (second_xy - xy) / np.linalg.norm(second_xy - xy, axis=2, keepdims=True)
    found = np.clip(xy + 0.25 * towards, 0, (width - 1, height - 1))
    x, y = np.moveaxis(found.round().astype(int), 2, 0)
    value = maps[np.arange(people)[:, None], np.arange(joints), y, x]
    scores = np.clip(value / PEAK + 0.5, 0, 1)
    return (STRIDE * found + STRIDE / 2).astype(np.float32), scores.astype(np.float32)


def _blur(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pad every map with `BLUR // 2` zeros and blur it: (N, J, H + 20, W + 20)."""
    border = BLUR // 2
    padded = np.pad(maps.astype(np.float32), ((0, 0), (0, 0), (border, border), (border, border)))
    # One call for all maps, stacked vertically; the zeros between two maps keep them apart.
    tall = padded.reshape(-1, padded.shape[3])
    return np.asarray(cv2.GaussianBlur(tall, (BLUR, BLUR), 0), np.float32).reshape(padded.shape)


class CPNPoseNetwork(HeatmapNetwork):
    """CPN as a `PoseNetwork`.

    Args:
        network: in eval mode; it is moved to the device.
        input_size: width and height of a crop, pixels, multiples of 32: the size that the network
            was trained at, which its weights do not tell.
        flip_test: test-time flip augmentation: also process the mirrored crop and take the mean;
            doubles the time.
        device, half, weights: see `Network`. Equal values, which 16-bit types produce, do no harm:
            maps are blurred before the peak search.
    """

    border_rgb = (round(MEAN_RGB[0]), round(MEAN_RGB[1]), round(MEAN_RGB[2]))
    padding = (WIDER, TALLER)

    def __init__(
        self,
        network: CPN,
        *,
        input_size: tuple[int, int] = (192, 256),
        device: torch.device | str = "cpu",
        half: Half = "auto",
        flip_test: bool = False,
        weights: dict[str, str] | None = None,
    ) -> None:
        if input_size[0] % 32 or input_size[1] % 32:
            raise ValueError(f"input_size: expected multiples of 32, got {input_size}")
        label = f"CPN-ResNet{3 * sum(network.blocks) + 2}"
        options = {"input_size": list(input_size), "flip_test": flip_test}
        super().__init__("cpn", label, device, half, weights, options)
        self.input_size, self._flip_test = input_size, flip_test
        self._network = network.to(self._device).to(memory_format=torch.channels_last)

    def _locate(self, maps: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return decode_refined_maps(maps)

    @torch.inference_mode()
    def _maps(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, 17, H / 4, W / 4) refined heat maps."""
        x = normalise(torch.from_numpy(crops).to(self._device))
        if self._flip_test:
            x = torch.cat([x, x.flip(3)])
        x = x.contiguous(memory_format=torch.channels_last)
        reduced = self._dtype != torch.float32
        with torch.autocast(self._device.type, self._dtype, enabled=reduced):
            maps = self._network(x)[1].float()
        if self._flip_test:
            maps = mean_with_mirrored(*maps.chunk(2))
        return maps.cpu().numpy()


def open_cpn(path: str | Path, **options: Any) -> CPNPoseNetwork:
    """Open a checkpoint as a `PoseNetwork`; see `CPNPoseNetwork` for the options.

    Raises:
        WeightsError: as `load_cpn`.
    """
    path = Path(path)
    return CPNPoseNetwork(load_cpn(path), **options, weights={path.name: sha256(path)})
