"""Files of 2D joints as other programs write them, from the same two people."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.fakes import STANDING
from vidpose.skeleton import COCO17, HALPE26, OPENPOSE18, OPENPOSE25, Skeleton, conversion

SIZE = (640, 480)
FPS = 30.0
SCORE = 0.9


def person(frame: int, who: int = 0) -> NDArray[np.float64]:
    """(17, 2) pixels, COCO's joints; two people side by side who walk slowly to the right."""
    return STANDING * SIZE[1] + [150 + 300 * who + 0.5 * frame, 0]


def in_skeleton(skeleton: Skeleton, coco: NDArray[np.float64]) -> NDArray[np.float64]:
    """(J, 2): COCO's joints where they are called the same, and the middles."""
    joints = dict(zip(COCO17.joint_names, coco, strict=True))
    joints["neck"] = (joints["left_shoulder"] + joints["right_shoulder"]) / 2
    joints["hip"] = (joints["left_hip"] + joints["right_hip"]) / 2
    joints["head"] = joints["nose"] - [0, 55.5]
    for side in ("left", "right"):
        for toe in ("big_toe", "small_toe", "heel"):
            joints[f"{side}_{toe}"] = joints[f"{side}_ankle"] + [5, 10]
    return np.array([joints[name] for name in skeleton.joint_names])


def in_h36m17(skeleton: Skeleton, frame: int, who: int = 0) -> NDArray[np.floating]:
    """(17, 2): what reading a file in this skeleton should give."""
    joints = in_skeleton(skeleton, person(frame, who))
    return conversion(skeleton.name, "h36m17")(joints)[0]


def flat(joints: NDArray[np.float64]) -> list[float]:
    """x1, y1, score1, x2 ..."""
    return [n for x, y in joints.tolist() for n in (x, y, SCORE)]


def dump(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def mmpose(path: Path, frames: Iterable[int], people: int = 2) -> Path:
    """As `--pred-out-dir` writes it."""

    def instance(frame: int, who: int) -> dict[str, Any]:
        joints = person(frame, who)
        box = [*joints.min(axis=0).tolist(), *joints.max(axis=0).tolist()]
        scores = {"keypoint_scores": [SCORE] * 17, "bbox": [box], "bbox_score": 0.8}
        return {"keypoints": joints.tolist()} | scores

    return dump(
        path,
        [{"frame_id": i, "instances": [instance(i, w) for w in range(people)]} for i in frames],
    )


def mmpose_demo(path: Path, frames: Iterable[int], people: int = 2) -> Path:
    """As the demo scripts write it: frames from 1, the joints named, arrays wrapped."""
    rows = json.loads(mmpose(path, frames, people).read_text())
    names = {str(i): name for i, name in enumerate(COCO17.joint_names)}
    meta = {"dataset_name": "coco", "keypoint_id2name": names, "sigmas": {"__ndarray__": [0.1]}}
    rows = [row | {"frame_id": row["frame_id"] + 1} for row in rows]
    return dump(path, {"meta_info": meta, "instance_info": rows})


def coco(path: Path, frames: Iterable[int], people: int = 2) -> Path:
    return dump(
        path,
        [
            {"image_id": i, "category_id": 1, "keypoints": flat(person(i, w)), "score": 0.8}
            for i in frames
            for w in range(people)
        ],
    )


def coco_annotations(path: Path, frames: Iterable[int], people: int = 2) -> Path:
    frames = list(frames)
    images = [
        {"id": 900 - i, "file_name": f"clip_{i:06d}.jpg", "width": SIZE[0], "height": SIZE[1]}
        for i in frames
    ]
    annotations = [
        {
            "image_id": 900 - i,
            "category_id": 1,
            "keypoints": [n for x, y in person(i, w).tolist() for n in (x, y, 2)],
        }
        for i in frames
        for w in range(people)
    ]
    categories = [{"id": 1, "name": "person", "keypoints": list(COCO17.joint_names)}]
    return dump(path, {"images": images, "annotations": annotations, "categories": categories})


def alphapose(
    path: Path, frames: Iterable[int], people: int = 2, skeleton: Skeleton = COCO17
) -> Path:
    return dump(
        path,
        [
            {
                "image_id": f"{i}.jpg",
                "category_id": 1,
                "keypoints": flat(in_skeleton(skeleton, person(i, w))),
                "score": 2.9,
                "box": [1.0, 2.0, 3.0, 4.0],
                "idx": 40 - w,
            }
            for i in frames
            for w in range(people)
        ],
    )


def alphapose_halpe(path: Path, frames: Iterable[int], people: int = 2) -> Path:
    return alphapose(path, frames, people, HALPE26)


def openpose(
    folder: Path,
    frames: Iterable[int],
    people: int = 2,
    skeleton: Skeleton = OPENPOSE25,
    missing: tuple[str, ...] = (),
) -> Path:
    folder.mkdir()
    for i in frames:
        rows = []
        for w in range(people):
            joints = flat(in_skeleton(skeleton, person(i, w)))
            for name in missing:
                j = skeleton.index(name)
                joints[3 * j : 3 * j + 3] = [0, 0, 0]
            rows.append({"person_id": [-1], "pose_keypoints_2d": joints, "face_keypoints_2d": []})
        dump(folder / f"clip_{i:012d}_keypoints.json", {"version": 1.3, "people": rows})
    return folder


def openpose18(folder: Path, frames: Iterable[int], people: int = 2) -> Path:
    return openpose(folder, frames, people, OPENPOSE18)
