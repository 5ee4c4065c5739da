"""A short training with MMPose's runner on real frames, labelled by the embedded detector."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from vidpose.detect.blazepose import BlazePoseDetector
from vidpose.detect.topdown import PoseNetwork, find_poses
from vidpose.skeleton import BLAZEPOSE33, COCO17
from vidpose.video import VideoReader

FRAMES = (15, 75, 135)
"""Frames of the demo video in which one or two people show different poses."""
SHRINK = 4
"""Frames are scaled down by this factor, since reading them from files is slow."""
SURE = 0.5
"""Joints with a lower score are not labelled."""


@dataclass(frozen=True)
class Person:
    """One person in one frame."""

    frame: int
    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    joints: NDArray[np.float32]
    """(17, 2), coco17, pixels."""
    labelled: NDArray[np.bool_]
    """(17,)"""

    @property
    def box(self) -> NDArray[np.float32]:
        """(4,) x0 y0 x1 y1 around the joints, pixels."""
        return np.concatenate([self.joints.min(axis=0), self.joints.max(axis=0)])

    @property
    def size(self) -> float:
        """The box's diagonal, pixels."""
        return float(np.hypot(*(self.box[2:] - self.box[:2])))


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one thread: the same sums in the same order, and small layers do not wait for a
    second core that is busy elsewhere, which takes most of the time on a busy machine.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def real_people(video: Path) -> list[Person]:
    """The people in `FRAMES`, as the embedded detector sees them."""
    from_blazepose = [BLAZEPOSE33.index(joint) for joint in COCO17.joint_names]
    people = []
    with BlazePoseDetector() as detector, VideoReader(video) as reader:
        for frame in reader:
            if frame.index in FRAMES:
                found = detector.detect_image(frame.image, frame.time_s)
                height, width = frame.image.shape[:2]
                size = (width // SHRINK, height // SHRINK)
                small = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)
                people += [
                    Person(
                        frame.index, np.asarray(small, np.uint8), keypoints / SHRINK, scores > SURE
                    )
                    for keypoints, scores in zip(
                        found.keypoints[:, from_blazepose],
                        found.scores[:, from_blazepose],
                        strict=True,
                    )
                ]
            if frame.index == FRAMES[-1]:
                break
    return people


def write_coco(people: list[Person], folder: Path) -> None:
    """`people.json` and the pictures, as COCO lays them out."""
    images, annotations = {}, []
    for number, person in enumerate(people):
        height, width = person.image.shape[:2]
        file = f"{person.frame}.png"
        if person.frame not in images:
            cv2.imwrite(str(folder / file), person.image[..., ::-1])
        images[person.frame] = {
            "id": person.frame,
            "file_name": file,
            "height": height,
            "width": width,
        }
        left, top, right, bottom = person.box.tolist()
        flags = np.where(person.labelled, 2, 0)[:, None]
        annotations.append(
            {
                "id": number,
                "image_id": person.frame,
                "category_id": 1,
                "iscrowd": 0,
                "bbox": [left, top, right - left, bottom - top],
                "area": (right - left) * (bottom - top),
                "num_keypoints": int(person.labelled.sum()),
                "keypoints": np.hstack([person.joints, flags]).ravel().tolist(),
            }
        )
    content = {
        "images": list(images.values()),
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}],
    }
    (folder / "people.json").write_text(json.dumps(content))


AUGMENTATIONS = ("RandomBBoxTransform", "RandomHalfBody", "YOLOXHSVRandomAug")
"""Augmentations to remove, for a shorter training; flips stay."""


def shorten(
    config: Any, folder: Path, *, input_size: tuple[int, int], batch: int, steps: int, lr: float
) -> None:
    """Turn MMPose's config for COCO into a training on `write_coco`'s files, one batch an epoch."""
    for part in _parts(list(config.values())):
        if "input_size" in part:
            part["input_size"] = input_size
        if "heatmap_size" in part:
            part["heatmap_size"] = (input_size[0] // 4, input_size[1] // 4)
    loader = config.train_dataloader
    loader.update(batch_size=batch, num_workers=0, persistent_workers=False)
    loader.dataset.update(data_root=str(folder), ann_file="people.json", data_prefix={"img": ""})
    loader.dataset.pipeline = [
        step for step in loader.dataset.pipeline if step["type"] not in AUGMENTATIONS
    ]
    for name in ("val", "test"):
        for kind in ("dataloader", "cfg", "evaluator"):
            config[f"{name}_{kind}"] = None
    config.model.backbone.init_cfg = None
    config.train_cfg = {"by_epoch": True, "max_epochs": steps}
    config.optim_wrapper = {"optimizer": {"type": "Adam", "lr": lr}}
    config.param_scheduler = [{"type": "CosineAnnealingLR", "T_max": steps, "by_epoch": True}]
    config.default_hooks.checkpoint = {"type": "CheckpointHook", "interval": steps}
    config.work_dir = str(folder / "work")
    # MMEngine keeps one visualizer of a name in a process, which writes where its first run did.
    config.visualizer = {"type": "Visualizer", "name": str(folder)}
    config.log_level = "WARNING"
    config.randomness = {"seed": 1}


def _parts(node: Any) -> Iterator[dict[str, Any]]:
    """All dicts in nested dicts and lists."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, list | tuple):
        for part in node:
            yield from _parts(part)


def losses(runner: Any) -> NDArray[np.float64]:
    """(steps,) the loss of every training step."""
    return np.asarray(runner.message_hub.get_scalar("train/loss").data[0], np.float64)


def offsets(network: PoseNetwork, people: list[Person]) -> NDArray[np.float64]:
    """(labelled joints of all, 2) from each joint's label to where it is found, in the person's
    size.
    """
    out = []
    for person in people:
        (found,) = find_poses(network, [person.image], [person.box[None]])
        away = (found.keypoints[0] - person.joints) / person.size
        out.append(away[person.labelled].astype(np.float64))
    return np.concatenate(out)
