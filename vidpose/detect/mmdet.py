"""Boxes around people by RTMDet, with MMDet's own configs and models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from vidpose.detect.mmcv_ops import build_model, prepare_mmpose, quiet
from vidpose.detect.networks import Half, Network, read_tensors
from vidpose.errors import WeightsError
from vidpose.utils.files import sha256
from vidpose.utils.state_dicts import load_strictly

MIN_SCORE = 0.3
"""Boxes with a lower score are dropped; MMPose's own demo has the same threshold."""
PERSON = 0
"""The label of people, among COCO's classes and in networks for people only."""
WIDTH_KEY = "backbone.stem.0.conv.weight"
"""(width, 3, 3, 3): the shape of this tensor tells the size of the network."""
CLASSES_KEY = "bbox_head.rtm_cls.0.weight"
"""(classes, ...): the shape of this tensor tells the number of classes."""


class Variant(NamedTuple):
    label: str
    package: str
    config: str


VARIANTS = {
    (12, 80): Variant("RTMDet-tiny", "mmdet", ".mim/configs/rtmdet/rtmdet_tiny_8xb32-300e_coco.py"),
    (16, 80): Variant("RTMDet-s", "mmdet", ".mim/configs/rtmdet/rtmdet_s_8xb32-300e_coco.py"),
    (24, 80): Variant("RTMDet-m", "mmdet", ".mim/configs/rtmdet/rtmdet_m_8xb32-300e_coco.py"),
    (32, 80): Variant("RTMDet-l", "mmdet", ".mim/configs/rtmdet/rtmdet_l_8xb32-300e_coco.py"),
    (24, 1): Variant(
        "RTMDet-m person", "mmpose", ".mim/demo/mmdetection_cfg/rtmdet_m_640-8xb32_coco-person.py"
    ),
}
"""By width and number of classes; the configs lie in the wheels."""
WHAT = "RTMDet tiny, s, m or l (MMDet, COCO), or of RTMDet-m for people only"


class RTMDet(Network):
    """RTMDet as a `PersonDetector`.

    Box thresholds and non-maximum suppression follow its config; boxes with scores above
    `min_score` are kept.

    Args:
        model: MMDet's RTMDet, in eval mode.
        config: MMDet's, of that model.
        min_score: 0 to 1.
        device, half, label, weights: see `Network`; the last layers always compute in float32.
    """

    def __init__(
        self,
        model: Any,
        config: Any,
        *,
        device: torch.device | str = "cpu",
        half: Half = "auto",
        min_score: float = MIN_SCORE,
        label: str = "RTMDet",
        weights: dict[str, str] | None = None,
    ) -> None:
        from mmcv.cnn import fuse_conv_bn

        super().__init__("rtmdet", label, device, half, weights, {"min_score": min_score})
        # Not the head: its levels share convolutions but not their normalisation layers.
        body: Any = nn.Sequential(fuse_conv_bn(model.backbone), fuse_conv_bn(model.neck))
        self._body = body.to(self._device, self._dtype, memory_format=torch.channels_last)
        self._head = model.bbox_head.to(self._device)
        # Dropping boxes below min_score before non-maximum suppression does not change the others:
        # only a box with a higher score suppresses one.
        self._head.test_cfg.score_thr = max(float(self._head.test_cfg.score_thr), min_score)
        steps = {step.type: step for step in config.test_dataloader.dataset.pipeline}
        self._fit = tuple(map(int, steps["Resize"].scale))
        self._canvas = tuple(map(int, steps["Pad"].size))
        self._padding = steps["Pad"].pad_val.img
        pixels = config.model.data_preprocessor  # in the order blue, green, red
        self._mean, self._std = (
            torch.tensor(values, device=self._device) for values in (pixels.mean, pixels.std)
        )

    @torch.inference_mode()
    def people(
        self, images: Sequence[NDArray[np.uint8]]
    ) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """See `PersonDetector.people`."""
        if not images:
            return []
        width, height = self._canvas
        batch = np.empty((len(images), height, width, 3), np.uint8)
        batch[:] = self._padding
        samples = [self._place(image, batch[i]) for i, image in enumerate(images)]
        x = (torch.from_numpy(batch).to(self._device).flip(3) - self._mean) / self._std
        with quiet():
            levels = self._body(x.to(self._dtype).permute(0, 3, 1, 2))
            levels = tuple(level.float() for level in levels)
            found = self._head.predict(levels, samples, rescale=True)
        return [_only_people(instances) for instances in found]

    def _place(self, image: NDArray[np.uint8], canvas: NDArray[np.uint8]) -> Any:
        """Scale the image (H, W, 3) to fit into the top left of the canvas; return MMDet's metadata
        about it.
        """
        from mmdet.structures import DetDataSample

        height, width = image.shape[:2]
        scale = min(max(self._fit) / max(width, height), min(self._fit) / min(width, height))
        size = max(int(width * scale + 0.5), 1), max(int(height * scale + 0.5), 1)
        canvas[: size[1], : size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        return DetDataSample(
            metainfo={
                "ori_shape": (height, width),
                "img_shape": canvas.shape[:2],
                "scale_factor": (size[0] / width, size[1] / height),
            }
        )


def _only_people(instances: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    instances = instances[instances.labels == PERSON]
    return instances.bboxes.float().cpu().numpy(), instances.scores.float().cpu().numpy()


def open_rtmdet(path: str | Path, **options: Any) -> RTMDet:
    """Open a checkpoint of MMDet; see `RTMDet` for the options.

    The file tells which of `VARIANTS` it is.

    Raises:
        MissingDependencyError: MMDet is not installed.
        WeightsError: the file is missing, unsafe, or of another network.
    """
    prepare_mmpose()
    path = Path(path)
    tensors = read_tensors(path, WHAT)
    width, classes = (
        tensors[key].shape[0] if key in tensors and tensors[key].ndim else 0
        for key in (WIDTH_KEY, CLASSES_KEY)
    )
    if (width, classes) not in VARIANTS:
        raise WeightsError(
            f"{path} is no checkpoint of {WHAT}: {WIDTH_KEY} begins with {width} and "
            f"{CLASSES_KEY} with {classes} (0: missing)."
        )
    variant = VARIANTS[width, classes]
    model, config = _build(variant)
    load_strictly(model, tensors, f"{path} is no {variant.label}")
    weights = {path.name: sha256(path)}
    return RTMDet(model.eval(), config, **options, label=variant.label, weights=weights)


def _build(variant: Variant) -> tuple[nn.Module, Any]:
    """Build MMDet's model with random weights; also return its config."""
    model, config = build_model(variant.package, variant.config, "mmdet")
    with quiet():
        from mmengine.model import revert_sync_batchnorm

        return revert_sync_batchnorm(model), config
