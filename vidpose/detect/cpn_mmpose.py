"""CPN for MMPose: its modules, targets and transforms in MMPose's registries, for training.

Importing this module registers them; `configs/cpn_resnet50_coco_256x192.py` uses them. The
network is that of `cpn`, and `cpn.load_cpn` reads the checkpoints that MMPose's runner writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidpose.detect import cpn
from vidpose.detect.mmcv_ops import prepare_mmpose, quiet
from vidpose.skeleton import COCO17

prepare_mmpose()
with quiet():
    from mmcv.transforms import BaseTransform
    from mmengine.model import BaseModule
    from mmpose.codecs.base import BaseKeypointCodec
    from mmpose.datasets.transforms import TopdownAffine
    from mmpose.models.heads.base_head import BaseHead
    from mmpose.registry import KEYPOINT_CODECS, MODELS, TRANSFORMS
    from mmpose.structures.bbox import get_warp_matrix

Levels = tuple[list[Tensor], list[Tensor]]
"""Output of `cpn.GlobalNet`: features and heat maps of every level."""

MODELS.register_module("CPNGlobalNet", module=cpn.GlobalNet)


@MODELS.register_module()
class CPNResNet(cpn.ResNet, BaseModule):  # type: ignore[misc]
    """The backbone; `init_cfg` may name weights to start from, such as `torchvision://resnet50`."""

    def __init__(
        self, blocks: Sequence[int] = cpn.RESNET50, init_cfg: dict[str, Any] | None = None
    ) -> None:
        super().__init__(blocks)
        self.init_cfg = init_cfg


@MODELS.register_module()
class CPNHead(BaseHead):  # type: ignore[misc]
    """RefineNet, the losses of both nets, and the decoding.

    Args:
        global_loss: MMPose's config of the loss of every level's heat maps against the targets of
            that level; joints that are not visible have weight 0.
        refined_loss: the same for the refined heat maps against the finest targets; joints that
            are not labelled have weight 0.
        decoder: a `CPNHeatmap`.
        features, joints: as for `cpn.RefineNet`.
    """

    def __init__(
        self,
        global_loss: dict[str, Any],
        refined_loss: dict[str, Any],
        decoder: dict[str, Any] | None = None,
        features: int = cpn.FEATURES,
        joints: int = len(COCO17),
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.refine_net = cpn.RefineNet(features, joints)
        self.global_loss = MODELS.build(global_loss)
        self.refined_loss = MODELS.build(refined_loss)
        self.decoder = KEYPOINT_CODECS.build(decoder) if decoder else None

    def forward(self, feats: Levels) -> tuple[list[Tensor], Tensor]:
        """Four global heat maps and the refined ones, (B, K, H / 4, W / 4) each."""
        levels, maps = feats
        return maps, self.refine_net(levels)

    def loss(
        self, feats: Levels, batch_data_samples: list[Any], train_cfg: dict[str, Any] | None = None
    ) -> dict[str, Tensor]:
        """`loss_global`, the sum over the levels, and `loss_refined`."""
        maps, refined = self.forward(feats)
        # The targets of all levels lie one after the other: (B, 4 K, h, w).
        joined = torch.stack([sample.gt_fields.heatmaps for sample in batch_data_samples])
        targets = joined.to(refined.device).chunk(len(maps), dim=1)
        labels = [sample.gt_instance_labels.to(refined.device) for sample in batch_data_samples]
        visible = torch.cat([label.keypoints_visible for label in labels])  # (B, K)
        labelled = torch.cat([label.keypoint_weights for label in labels])  # (B, K)
        losses = [
            self.global_loss(found, target, visible)
            for found, target in zip(maps, targets, strict=True)
        ]
        return {
            "loss_global": torch.stack(losses).sum(),
            "loss_refined": self.refined_loss(refined, targets[-1], labelled),
        }

    def predict(
        self,
        feats: Levels | list[Levels],
        batch_data_samples: list[Any],
        test_cfg: dict[str, Any] | None = None,
    ) -> Any:
        """Return joints as MMPose's `InstanceData`; with `flip_test`, from two sets of features."""
        if (test_cfg or {}).get("flip_test"):
            maps, mirrored = (self.forward(seen)[1] for seen in feats)  # type: ignore[arg-type]
            return self.decode(cpn.mean_with_mirrored(maps, mirrored))
        return self.decode(self.forward(feats)[1])  # type: ignore[arg-type]


@KEYPOINT_CODECS.register_module()
class CPNHeatmap(BaseKeypointCodec):  # type: ignore[misc]
    """Encodes joints as CPN's targets, and decodes its refined heat maps to joints.

    Args:
        input_size: width and height of a crop, pixels.
        heatmap_size: width and height of a heat map: a quarter of that.
        kernel_sizes: sides of the Gaussian kernels that blur the targets, one for every level,
            coarse to fine.
    """

    auxiliary_encode_keys: ClassVar[set[str]] = {"keypoints_visible_weights"}
    field_mapping_table: ClassVar[dict[str, str]] = {"heatmaps": "heatmaps"}
    label_mapping_table: ClassVar[dict[str, str]] = {
        "keypoint_weights": "keypoint_weights",
        "visible": "keypoints_visible",
    }

    def __init__(
        self,
        input_size: Sequence[int],
        heatmap_size: Sequence[int],
        kernel_sizes: Sequence[int] = (15, 11, 9, 7),
    ) -> None:
        super().__init__()
        if tuple(input_size) != tuple(cpn.STRIDE * side for side in heatmap_size):
            raise ValueError(
                f"heatmap_size: expected a quarter of {tuple(input_size)}, "
                f"got {tuple(heatmap_size)}"
            )
        self.heatmap_size = tuple(heatmap_size)
        self.kernel_sizes = tuple(kernel_sizes)

    def encode(
        self,
        keypoints: NDArray[np.floating],
        keypoints_visible: NDArray[np.floating],
        keypoints_visible_weights: NDArray[np.floating] | None = None,
    ) -> dict[str, NDArray[np.float32]]:
        """Return the targets of one person.

        Args:
            keypoints: (1, K, 2), pixels of the crop.
            keypoints_visible: (1, K), 1 where a joint is labelled.
            keypoints_visible_weights: (1, K), 1 where a joint is also visible (`CPNVisibility`);
                by default where it is labelled.

        Returns:
            `heatmaps` (levels x K, h, w), maximum 255, all 0 for joints without a label;
            `keypoint_weights` and `visible` (1, K): as given, 0 for joints outside the crop.
        """
        width, height = self.heatmap_size
        cells = np.floor(keypoints[0] / cpn.STRIDE).astype(int)
        inside = ((cells >= 0) & (cells < (width, height))).all(axis=1)
        labelled = np.where(inside, keypoints_visible[0] > 0, False)
        visible = (
            keypoints_visible if keypoints_visible_weights is None else (keypoints_visible_weights)
        )
        dots = np.zeros((len(cells), height, width), np.float32)
        (k,) = np.nonzero(labelled)
        dots[k, cells[k, 1], cells[k, 0]] = 1
        return {
            "heatmaps": np.concatenate([_spread(dots, side) for side in self.kernel_sizes]),
            "keypoint_weights": labelled[None].astype(np.float32),
            "visible": (labelled & (visible[0] > 0))[None].astype(np.float32),
        }

    def decode(self, encoded: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
        """(K, h, w) -> (1, K, 2) pixels of the crop and (1, K) scores."""
        return cpn.decode_refined_maps(encoded[None])

    def batch_decode(self, batch_encoded: Tensor) -> tuple[list[Any], list[Any]]:
        """(B, K, h, w) -> the results of `decode` for each item of the batch."""
        found, scores = cpn.decode_refined_maps(batch_encoded.detach().float().cpu().numpy())
        return list(found[:, None]), list(scores[:, None])


def _spread(dots: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Maps (K, h, w) with one dot or none -> blurred, scaled to a maximum of 255."""
    blurred = np.stack([cv2.GaussianBlur(dot, (side, side), 0) for dot in dots])
    highest = blurred.max(axis=(1, 2), keepdims=True)
    return np.asarray(blurred * (cpn.PEAK / np.where(highest > 0, highest, 1)), np.float32)


@TRANSFORMS.register_module()
class CPNVisibility(BaseTransform):  # type: ignore[misc]
    """Separate visible joints (2 in COCO's files) from occluded ones (1), unlike MMPose's dataset.

    `keypoints_visible` becomes (1, K, 2): labelled, visible. It must come before any flip in the
    pipeline.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        flags = np.array(results["raw_ann_info"]["keypoints"], np.float32)[2::3]
        results["keypoints_visible"] = np.stack([flags > 0, flags > 1], -1)[None].astype(np.float32)
        return results


@TRANSFORMS.register_module()
class CPNAffine(TopdownAffine):  # type: ignore[misc]
    """MMPose's crop, with the mean colour where it reaches beyond the image."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        inside = np.ones(results["img"].shape[:2], np.float32)
        results = super().transform(results)
        affine = get_warp_matrix(
            results["input_center"],
            results["input_scale"],
            results.get("bbox_rotation", [0.0])[0],
            output_size=self.input_size,
        )
        beyond = 1 - cv2.warpAffine(inside, affine, self.input_size, flags=cv2.INTER_LINEAR)
        fill = beyond[..., None] * np.array(cpn.MEAN_RGB[::-1])  # MMPose's images are BGR
        results["img"] = np.clip(np.rint(results["img"] + fill), 0, 255).astype(np.uint8)
        return results
