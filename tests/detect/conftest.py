"""Checkpoints with random weights, as MMPose and MMDet save them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vidpose.detect import mmdet, mmpose
from vidpose.detect.mmcv_ops import prepare_mmpose, quiet
from vidpose.video import VideoReader


@pytest.fixture(scope="session")
def pictures(demo_video: Path) -> list[NDArray[np.uint8]]:
    """Four frames with both people in them, RGB."""
    with VideoReader(demo_video, start_s=2.0, end_s=2.12) as video:
        return [frame.image for frame in video]


@pytest.fixture(scope="session")
def hrnet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """HRNet-W32; every heat map is above 0 somewhere."""
    return save_hrnet(32, tmp_path_factory.mktemp("weights") / "hrnet.pth")


def save_hrnet(width: int, path: Path) -> Path:
    """HRNet-W32 or -W48 with random weights; every heat map is above 0 somewhere."""
    prepare_mmpose()
    torch.manual_seed(0)
    model, _ = mmpose._build(mmpose.VARIANTS[width])
    with torch.no_grad():
        model.get_parameter("head.final_layer.bias").fill_(0.3)
    return _save(model, path)


@pytest.fixture(scope="session")
def rtmdet_file(
    tmp_path_factory: pytest.TempPathFactory, pictures: list[NDArray[np.uint8]]
) -> Path:
    """RTMDet-tiny with random weights that detects objects everywhere, many of them people."""
    prepare_mmpose()
    torch.manual_seed(0)
    model: Any
    model, _ = mmdet._build(mmdet.VARIANTS[12, 80])
    picture = torch.from_numpy(pictures[0][:640, :640].copy()).permute(2, 0, 1)[None]
    with torch.no_grad(), quiet():
        # Features that neither vanish nor explode, as after a training.
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 1.0
        model.train()
        model.bbox_head(model.extract_feat((picture - 115) / 58))
        for labels, distances in zip(model.bbox_head.rtm_cls, model.bbox_head.rtm_reg, strict=True):
            labels.weight.normal_(0, 8)
            labels.bias.fill_(-3)[mmdet.PERSON] = 0
            distances.weight.normal_(0, 0.2)
            distances.bias.fill_(3)
    classes = ["person", *map(str, range(1, 80))]  # else MMDet warns that they are missing
    return _save(model, tmp_path_factory.mktemp("weights") / "rtmdet.pth", CLASSES=classes)


def _save(model: torch.nn.Module, path: Path, **meta: Any) -> Path:
    torch.save({"meta": {"epoch": 1, **meta}, "state_dict": model.state_dict()}, path)
    return path
