"""HRNet with MMPose's configs and models, on batches of crops.

The networks are MMPose's; cropping, normalisation and heat map decoding are ours and work on whole
batches, with the same results.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from vidpose.detect.mmcv_ops import build_model, prepare_mmpose
from vidpose.detect.networks import Half, HeatmapNetwork, read_tensors
from vidpose.errors import WeightsError
from vidpose.skeleton import COCO17
from vidpose.utils.files import sha256
from vidpose.utils.state_dicts import load_strictly

CONFIGS = Path(".mim/configs/body_2d_keypoint/topdown_heatmap/coco")
"""Where the configs are in MMPose's wheel."""
WIDTH_KEY = "head.final_layer.weight"
"""(joints, width, 1, 1): the shape of this tensor tells which HRNet a file is for."""
BOX_PADDING = 1.25
"""A crop is this many times as large as the box; the default of MMPose's GetBBoxCenterScale."""


class Variant(NamedTuple):
    label: str
    config: str


VARIANTS = {
    32: Variant("HRNet-W32 256x192", "td-hm_hrnet-w32_8xb64-210e_coco-256x192.py"),
    48: Variant("HRNet-W48 384x288", "td-hm_hrnet-w48_8xb32-210e_coco-384x288.py"),
}
"""By the width of the network's finest branch."""
WHAT = " or ".join(variant.label for variant in VARIANTS.values()) + " (MMPose, COCO)"


class HRNet(HeatmapNetwork):
    """HRNet as a `PoseNetwork`.

    Args:
        model: MMPose's TopdownPoseEstimator, in eval mode. It is modified.
        config: MMPose's, of that model.
        label: the variant, for the description.
        flip_test: test-time flip augmentation: also process the mirrored crop and take the mean;
            doubles the time.
        device, half, weights: see `Network`. The last layer always computes in float32: in 16-bit
            heat maps several pixels may share the highest value.
    """

    border_rgb = (0, 0, 0)
    padding = (BOX_PADDING, BOX_PADDING)

    def __init__(
        self,
        model: Any,
        config: Any,
        *,
        device: torch.device | str = "cpu",
        half: Half = "auto",
        flip_test: bool = False,
        label: str = "HRNet",
        weights: dict[str, str] | None = None,
    ) -> None:
        from mmcv.cnn import fuse_conv_bn

        width, height = map(int, config.codec.input_size)
        super().__init__("hrnet", label, device, half, weights, {"flip_test": flip_test})
        self.input_size, self._flip_test = (width, height), flip_test
        self._shift = bool(config.model.test_cfg.shift_heatmap)
        self._backbone: Any = fuse_conv_bn(model.backbone).to(
            self._device, self._dtype, memory_format=torch.channels_last
        )
        self._head: Any = model.head.to(self._device)
        self._mirrored = torch.from_numpy(COCO17.mirrored).to(self._device)
        pixels = config.model.data_preprocessor
        self._mean, self._std = (
            torch.tensor(values, device=self._device) for values in (pixels.mean, pixels.std)
        )

    def _locate(self, maps: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        pixels, scores = decode_msra_maps(maps)
        scale = np.array(self.input_size, np.float32) / (maps.shape[3], maps.shape[2])
        return pixels * scale.astype(np.float32), scores

    @torch.inference_mode()
    def _maps(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, 17, H / 4, W / 4) heat maps."""
        x = (torch.from_numpy(crops).to(self._device) - self._mean) / self._std
        x = x.to(self._dtype).permute(0, 3, 1, 2)  # (N, 3, H, W), channels last in memory
        maps = self._forward(x)
        if self._flip_test:
            mirrored = self._forward(x.flip(3)).flip(3)[:, self._mirrored]
            if self._shift:
                # A mirrored map is off by a pixel, since its pixels are aligned with the corners
                # of the crop.
                mirrored[..., 1:] = mirrored[..., :-1].clone()
            maps = (maps + mirrored) / 2
        return np.asarray(maps.cpu().numpy(), np.float32)

    def _forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._head([level.float() for level in self._backbone(x)])


def decode_msra_maps(maps: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Decode heat maps as MMPose's MSRAHeatmap codec does: the highest pixel, moved by a quarter
    pixel towards its higher neighbour along x and along y.

    Args:
        maps: (N, J, H, W).

    Returns:
        (N, J, 2), pixels of the maps, NaN where a map is nowhere above 0; and (N, J) scores, the
        map's highest value, clipped to 0..1.
    """
    people, joints, height, width = maps.shape
    flat = maps.reshape(people, joints, -1)
    best = flat.argmax(axis=2)
    highest = np.take_along_axis(flat, best[..., None], axis=2)[..., 0]
    y, x = np.divmod(best, width)

    def value(y: NDArray[np.intp], x: NDArray[np.intp]) -> NDArray[np.float32]:
        at = np.clip(y, 0, height - 1) * width + np.clip(x, 0, width - 1)
        return np.take_along_axis(flat, at[..., None], axis=2)[..., 0]

    # MMPose does not move joints in the first two or the last pixel, nor in the first row (column).
    inner_x = (x > 1) & (x < width - 1) & (y > 0)
    inner_y = (y > 1) & (y < height - 1) & (x > 0)
    dx = np.where(inner_x, np.sign(value(y, x + 1) - value(y, x - 1)), 0)
    dy = np.where(inner_y, np.sign(value(y + 1, x) - value(y - 1, x)), 0)
    pixels = np.stack([x + dx / 4, y + dy / 4], axis=2).astype(np.float32)
    pixels[highest <= 0] = np.nan
    return pixels, np.clip(highest, 0, 1).astype(np.float32)


def open_hrnet(path: str | Path, **options: Any) -> HRNet:
    """Open a checkpoint of MMPose as a `PoseNetwork`; see `HRNet` for the options.

    The file tells whether it is W32 or W48, but not the size of the crops, which is that of the
    variant's config (`VARIANTS`).

    Raises:
        MissingDependencyError: MMPose is not installed.
        WeightsError: the file is missing, unsafe, or of another network.
    """
    prepare_mmpose()
    path = Path(path)
    tensors = read_tensors(path, WHAT)
    shape = tensors[WIDTH_KEY].shape if WIDTH_KEY in tensors else ()
    if len(shape) != 4 or shape[1] not in VARIANTS:
        raise WeightsError(
            f"{path} is no {WHAT}: its {WIDTH_KEY} is {tuple(shape) if shape else 'missing'}."
        )
    variant = VARIANTS[shape[1]]
    model, config = _build(variant)
    load_strictly(model, tensors, f"{path} is no {variant.label} for {len(COCO17)} COCO joints")
    weights = {path.name: sha256(path)}
    return HRNet(model.eval(), config, **options, label=variant.label, weights=weights)


def _build(variant: Variant) -> tuple[nn.Module, Any]:
    """Build MMPose's model with random weights; also return its config."""
    return build_model("mmpose", CONFIGS / variant.config, "mmpose")
