"""JSON in COCO's layout, with 3D joints.

    {"info": {"description": "vidpose ...", ...},
     "images": [{"id": 7, "file_name": "000007.jpg", "width": w, "height": h, "timestamp": s}, ...],
     "categories": [{"id": 1, "name": "person", "keypoints": ["Hip", ...], "skeleton": [...]}],
     "annotations": [{"id": 1, "image_id": 7, "category_id": 1, "track_id": person, "score": s,
                      "keypoints": [x1, y1, v1, ...], "keypoint_scores": [...],
                      "keypoints_3d": [[x, y, z], ...], "keypoints_world": [[x, y, z], ...]}, ...]}

Images are frames of the video, by index; file names are those of frames extracted from the video.
A person has an annotation in every frame in which they are present. `v` is COCO's visibility: 2 if
the person was detected in this frame (single joints may be interpolated, with half the score), 1 if
all joints are interpolated, 0 if a joint's pixels are unknown. 3D joints are in metres, in the
camera frame and in the world frame; null where unknown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

import vidpose
from vidpose.options import ExportOptions
from vidpose.poses import Pose3D
from vidpose.utils.gaps import known_joints

MARK = b'{"info": {"description": "vidpose '
METRE_DECIMALS, PIXEL_DECIMALS = 6, 3


def write(result: Pose3D, path: Path, name: str, options: ExportOptions) -> None:
    """Write everybody, frame by frame."""
    skeleton = result.skeleton
    info = {
        "description": f"vidpose {vidpose.__version__}",
        "fps": result.fps,
        "axes": "keypoints_3d: metres, camera frame, x right, y down, z away from the camera; "
        "keypoints_world: metres, x right, y away from the camera, z up, the floor at 0",
    }
    category = {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(skeleton.joint_names),
        "skeleton": [[parent + 1, child + 1] for parent, child in skeleton.bones],
    }
    with open(path, "w", encoding="utf-8", newline="\n") as stream:
        stream.write(f'{{"info": {json.dumps(info)},\n"categories": {json.dumps([category])},\n')
        stream.write('"images": [\n')
        _write_items(stream, _images(result))
        stream.write('],\n"annotations": [\n')
        _write_items(stream, _annotations(result))
        stream.write("]}\n")


def _write_items(stream: TextIO, items: Iterator[dict[str, Any]]) -> None:
    for number, item in enumerate(items):
        stream.write((",\n" if number else "") + json.dumps(item, allow_nan=False))
    stream.write("\n")


def _images(result: Pose3D) -> Iterator[dict[str, Any]]:
    width, height = result.frame_size
    for frame, time in zip(result.frame_indices.tolist(), result.timestamps.tolist(), strict=True):
        yield {
            "id": frame,
            "file_name": f"{frame:06d}.jpg",
            "width": width,
            "height": height,
            "timestamp": time,
        }


def _annotations(result: Pose3D) -> Iterator[dict[str, Any]]:
    world = None if result.camera_to_world is None else result.joints_world()
    camera = result.joints_camera()
    number = 0
    for t, frame in enumerate(result.frame_indices.tolist()):
        for person in np.flatnonzero(result.present[:, t]).tolist():
            number += 1
            annotation = {
                "id": number,
                "image_id": frame,
                "category_id": 1,
                "track_id": int(result.person_ids[person]),
                "iscrowd": 0,
                **_picture(result, person, t),
                "keypoints_3d": _points(camera[person, t]),
            }
            if world is not None:
                annotation["keypoints_world"] = _points(world[person, t])
            yield annotation


def _picture(result: Pose3D, person: int, t: int) -> dict[str, Any]:
    """The standard COCO fields of an annotation."""
    xy, scores = result.keypoints_2d[person, t].astype(float), result.scores_2d[person, t]
    known = known_joints(xy)
    visible = np.where(known, 2 if result.observed[person, t] else 1, 0)
    box = [0.0, 0.0, 0.0, 0.0]
    if known.any():
        low, high = xy[known].min(axis=0), xy[known].max(axis=0)
        box = np.round([*low, *(high - low)], PIXEL_DECIMALS).tolist()
    # COCO marks unlabelled joints as 0, 0, 0.
    places = np.where(known[:, None], xy, 0).round(PIXEL_DECIMALS).tolist()
    keypoints = [
        value for (x, y), v in zip(places, visible.tolist(), strict=True) for value in (x, y, v)
    ]
    scores = np.nan_to_num(scores)  # 2D joints from other programs may have NaN
    return {
        "keypoints": keypoints,
        "num_keypoints": int(known.sum()),
        "keypoint_scores": scores.astype(float).round(4).tolist(),
        "score": round(float(scores.mean()), 4),
        "bbox": box,
        "area": round(box[2] * box[3], PIXEL_DECIMALS),
    }


def _points(joints: NDArray[np.float32]) -> list[list[float] | None]:
    points = joints.astype(float).round(METRE_DECIMALS).tolist()
    known = known_joints(joints).tolist()
    return [point if there else None for point, there in zip(points, known, strict=True)]
