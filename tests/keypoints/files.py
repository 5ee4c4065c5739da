"""Files of 2D joints as other programs write them, from the same two people."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.fakes import STANDING
from vidpose.skeleton import (
    BLAZEPOSE33,
    COCO17,
    HALPE26,
    HALPE136,
    OPENPOSE18,
    OPENPOSE25,
    WHOLEBODY133,
    Skeleton,
    conversion,
)

SIZE = (640, 480)
FPS = 30.0
SCORE = 0.9


def person(frame: int, who: int = 0) -> NDArray[np.float64]:
    """(17, 2) pixels, COCO's joints; two people side by side who walk slowly to the right."""
    return STANDING * SIZE[1] + [150 + 300 * who + 0.5 * frame, 0]


def in_skeleton(skeleton: Skeleton, coco: NDArray[np.float64]) -> NDArray[np.float64]:
    """(J, 2): COCO's joints where the names agree, the midpoints, and others at the nose."""
    joints = dict(zip(COCO17.joint_names, coco, strict=True))
    joints["neck"] = (joints["left_shoulder"] + joints["right_shoulder"]) / 2
    joints["hip"] = (joints["left_hip"] + joints["right_hip"]) / 2
    joints["head"] = joints["nose"] - [0, 55.5]
    for side in ("left", "right"):
        for toe in ("big_toe", "small_toe", "heel"):
            joints[f"{side}_{toe}"] = joints[f"{side}_ankle"] + [5, 10]
    return np.array([joints.get(name, joints["nose"]) for name in skeleton.joint_names])


def in_h36m17(skeleton: Skeleton, frame: int, who: int = 0) -> NDArray[np.floating]:
    """(17, 2): the expected result of reading a file in this skeleton."""
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


def alphapose_whole_body(path: Path, frames: Iterable[int], people: int = 2) -> Path:
    return alphapose(path, frames, people, WHOLEBODY133)


def alphapose_halpe_full(path: Path, frames: Iterable[int], people: int = 2) -> Path:
    return alphapose(path, frames, people, HALPE136)


def alphapose_open(path: Path, frames: Iterable[int], people: int = 2) -> Path:
    """`--format open`."""
    return dump(
        path,
        {
            f"{i}.jpg": {
                "version": "AlphaPose v0.3",
                "people": [
                    {"pose_keypoints_2d": flat(in_skeleton(OPENPOSE18, person(i, w)))}
                    for w in range(people)
                ],
            }
            for i in frames
        },
    )


def alphapose_cmu(path: Path, frames: Iterable[int], people: int = 2) -> Path:
    """`--format cmu --sp`: a file for each picture."""
    path.mkdir()
    for i in frames:
        joints = [flat(in_skeleton(OPENPOSE18, person(i, w))) for w in range(people)]
        content = {"version": "AlphaPose v0.3", "bodies": [{"joints": one} for one in joints]}
        dump(path / f"{i}.json", content)
    return path


def poseflow(path: Path, frames: Iterable[int], people: int = 2) -> Path:
    """PoseFlow's `alphapose-results-forvis-tracked.json`."""
    return dump(
        path,
        {
            f"{i}.jpg": [
                {"keypoints": flat(person(i, w)), "scores": 2.9, "idx": 40 - w}
                for w in range(people)
            ]
            for i in frames
        },
    )


def openpose_old(folder: Path, frames: Iterable[int], people: int = 2) -> Path:
    """Version 1.1."""
    for path in openpose18(folder, frames, people).iterdir():
        rows = json.loads(path.read_text())["people"]
        old = [{"pose_keypoints": row["pose_keypoints_2d"]} for row in rows]
        dump(path, {"version": 1.1, "people": old})
    return folder


def pose2sim(folder: Path, frames: Iterable[int], people: int = 2) -> Path:
    """Pose2Sim's HALPE_26 in `cam_000000.json`, with a person who is all NaN."""
    for path in openpose(folder, frames, people, HALPE26).iterdir():
        content = json.loads(path.read_text())
        nobody = {"person_id": [-1], "pose_keypoints_2d": [float("nan")] * 78}
        number = path.name.removesuffix("_keypoints.json")[-6:]
        dump(folder / f"cam_{number}.json", content | {"people": [nobody, *content["people"]]})
        path.unlink()
    return folder


def mmpose_pictures(folder: Path, frames: Iterable[int], people: int = 2) -> Path:
    """`--pred-out-dir` of a folder of pictures."""
    folder.mkdir()
    for i in frames:
        (row,) = json.loads(mmpose(folder / "all.json", [i], people).read_text())
        dump(folder / f"{i:06d}.json", row["instances"])
    (folder / "all.json").unlink()
    return folder


def mmpose_whole_body(path: Path, frames: Iterable[int], people: int = 2) -> Path:
    rows = json.loads(mmpose(path, frames, people).read_text())
    for row in rows:
        for w, one in enumerate(row["instances"]):
            one["keypoints"] = in_skeleton(WHOLEBODY133, person(row["frame_id"], w)).tolist()
            one["keypoint_scores"] = [SCORE] * 133
    return dump(path, rows)


def part(joints: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pixels -> fractions of width and height."""
    return joints / SIZE


def yolo_texts(folder: Path, frames: Iterable[int], people: int = 2, ids: bool = True) -> Path:
    """`save_txt=True save_conf=True`, with tracking."""
    folder.mkdir()
    for i in frames:
        lines = []
        for w in range(people):
            numbers = [n for x, y in part(person(i, w)).tolist() for n in (x, y, SCORE)]
            behind = [0.8, 5 + w] if ids else [0.8]
            lines.append(" ".join(map(str, [0, 0.5, 0.5, 0.1, 0.2, *numbers, *behind])))
        (folder / f"clip_{i}.txt").write_text("\n".join(lines) + "\n")
    (folder / "classes.txt").write_text("person\n")
    return folder


def yolo_labels(folder: Path, frames: Iterable[int], people: int = 2) -> Path:
    return yolo_texts(folder, frames, people, ids=False)


def ultralytics(path: Path, frames: Iterable[int], people: int = 2) -> Path:
    """`to_json()` of every frame, by its number; with a dog."""
    box = {"x1": 1.0, "y1": 2.0, "x2": 3.0, "y2": 4.0}

    def one(i: int, w: int) -> dict[str, Any]:
        x, y = person(i, w).T.tolist()
        joints = {"x": x, "y": y, "visible": [SCORE] * 17}
        name = {"name": "person", "class": 0, "confidence": 0.8, "box": box}
        return name | {"track_id": 5 + w, "keypoints": joints}

    dog = one(0, 0) | {"name": "dog", "class": 16, "track_id": 99}
    return dump(path, {str(i): [*(one(i, w) for w in range(people)), dog] for i in frames})


def landmarks(frame: int, who: int) -> list[dict[str, float]]:
    rows = part(in_skeleton(BLAZEPOSE33, person(frame, who))).tolist()
    return [{"x": x, "y": y, "z": -0.3, "visibility": SCORE} for x, y in rows]


def mediapipe(path: Path, frames: Iterable[int], people: int = 2) -> Path:
    rows = [
        {"frame": i, "pose_landmarks": [landmarks(i, w) for w in range(people)]} for i in frames
    ]
    return dump(path, {"frames": rows})


def vitpose(path: Path, frames: Iterable[int], people: int = 2) -> Path:
    seen = [
        {str(w): [[y, x, SCORE] for x, y in person(i, w).tolist()] for w in range(people)}
        for i in frames
    ]
    names = {str(j): name for j, name in enumerate(COCO17.joint_names)}
    return dump(path, {"keypoints": seen, "skeleton": names})


def table(path: Path, rows: Iterable[Iterable[Any]], sign: str = ",") -> Path:
    path = path.with_name(f"{path.stem}.csv")
    path.write_text("\n".join(sign.join(map(str, row)) for row in rows) + "\n")
    return path


def mediapipe_csv(path: Path, frames: Iterable[int], people: int = 2) -> Path:
    """A row for each frame and person, in pixels, with numbers as joints' names."""
    head = [f"{axis}{j}" for j in range(1, 34) for axis in "xyzv"]
    rows: list[list[Any]] = [["frame", "person_id", *head]]
    for i in frames:
        for w in range(people):
            joints = in_skeleton(BLAZEPOSE33, person(i, w)).tolist()
            rows.append([i, 5 + w, *(n for x, y in joints for n in (x, y, -9.0, SCORE))])
    return table(path, rows)


def mediapipe_long(path: Path, frames: Iterable[int], people: int = 2) -> Path:
    """A row for each landmark, separated by semicolons."""
    rows: list[list[Any]] = [["frame_id", "landmark_id", "landmark_name", "track", *"xyz", "vis"]]
    for i in frames:
        for w in range(people):
            for j, (name, point) in enumerate(
                zip(BLAZEPOSE33.joint_names, landmarks(i, w), strict=True)
            ):
                rows.append([i, j, name.upper(), 5 + w, *point.values()])
    return table(path, rows, ";")


def sleap(path: Path, frames: Iterable[int], people: int = 2) -> Path:
    """Analysis CSV; joints in another order and with other names."""
    names = list(COCO17.joint_names)[::-1]
    own = [name.replace("left_", "L").replace("right_", "R").title() for name in names]
    head = [f"{name}.{what}" for name in own for what in ("x", "y", "score")]
    rows: list[list[Any]] = [["track", "frame_idx", "instance.score", *head]]
    for i in frames:
        for w in range(people):
            values = [n for x, y in person(i, w)[::-1].tolist() for n in (x, y, SCORE)]
            rows.append([f"track_{5 + w}", i, 0.9, *values])
    return table(path, rows)


def deeplabcut(path: Path, frames: Iterable[int], people: int = 2) -> Path:
    """Several individuals, one of which has other body parts."""
    names = COCO17.joint_names
    columns = [(f"ind{w}", name) for w in range(people) for name in names] + [("single", "ball")]
    each = [(*one, coord) for one in columns for coord in ("x", "y", "likelihood")]
    rows: list[list[Any]] = [["scorer", *["DLC_x"] * len(each)]]
    rows += [
        [head, *(one[n] for one in each)] for n, head in enumerate(("individuals", "bodyparts"))
    ]
    rows.append(["coords", *(one[2] for one in each)])
    for i in frames:
        values = [n for w in range(people) for x, y in person(i, w).tolist() for n in (x, y, SCORE)]
        rows.append([i, *values, 5, 6, 0.9])
    return table(path, rows)
