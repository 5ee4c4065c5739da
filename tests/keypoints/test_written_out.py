"""Results of libraries as users save them: finding frames, people, joints and scores."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.keypoints import files
from tests.keypoints.files import FPS, SCORE, SIZE, dump, in_h36m17, landmarks, person
from vidpose.errors import KeypointsError, UsageError
from vidpose.keypoints import read_keypoints
from vidpose.poses import Pose2D
from vidpose.skeleton import BLAZEPOSE33, COCO17, Skeleton

FRAMES = 30
Entry = dict[str, Any]


def read(path: Path, **options: Any) -> tuple[Pose2D, dict[str, Any]]:
    given: dict[str, Any] = {"fps": FPS, "size": SIZE}
    return read_keypoints(path, **(given | options))


def check(poses: Pose2D, people: int = 1, step: int = 1, of: Skeleton = BLAZEPOSE33) -> None:
    """All people are found in their places in all frames."""
    assert (poses.people, poses.observed.sum()) == (people, people * FRAMES)
    order = sorted(range(people), key=lambda p: float(np.nanmean(poses.keypoints_2d[p, 0, :, 0])))
    for who, p in enumerate(order):
        wanted = [in_h36m17(of, i, who) for i in range(FRAMES)]
        seen = poses.keypoints_2d[p, ::step]
        np.testing.assert_allclose(seen, wanted, atol=1e-3)
        np.testing.assert_allclose(poses.scores_2d[p, ::step], SCORE, atol=1e-6)


def entry(i: int, who: int = 0) -> Entry:
    return {"frame": i, "landmarks": landmarks(i, who)}


def instance(i: int, who: int) -> Entry:
    return {"keypoints": person(i, who).tolist(), "keypoint_scores": [SCORE] * 17}


EVERYBODY = [[entry(i, who) for i in range(FRAMES)] for who in range(2)]


@pytest.mark.parametrize(
    "content",
    [
        {"video": "a.mp4", "fps": 30, "pose_data": EVERYBODY[0]},
        {"metadata": {"n": [1]}, "pose_frames": EVERYBODY[0]},
        {"metadata": {"fps": 30}} | {f"frame_{i}": landmarks(i, 0) for i in range(FRAMES)},
        {"frames": {str(i): landmarks(i, 0) for i in range(FRAMES)}},
        [{"index": i, "timestampMs": 33 * i, "landmarks": landmarks(i, 0)} for i in range(FRAMES)],
        [{"image": f"f_{i:05d}.jpg", "landmarks": landmarks(i, 0)} for i in range(FRAMES)],
        {"poses": EVERYBODY[0]},
        {"results": {"tracks": [{"id": 4, "history": EVERYBODY[0]}]}},
        {"frame_count": FRAMES, "frames": EVERYBODY[0]},
        [{"fps": 30}, *EVERYBODY[0]],
    ],
    ids=lambda content: (
        next(iter(content)) if isinstance(content, dict) else next(iter(content[0]))
    ),
)
def test_frames_are_found_wherever_they_stand(content: Any, tmp_path: Path) -> None:
    poses, told = read(dump(tmp_path / "x.json", content))
    check(poses)
    assert "warnings" not in told


@pytest.mark.parametrize(
    "content",
    [
        [{"person_id": who, "frames": EVERYBODY[who]} for who in range(2)],
        {"tracks": [{"id": who, "frames": EVERYBODY[who]} for who in range(2)]},
        {f"person_{who}": EVERYBODY[who] for who in range(2)},
        {str(w): {str(i): landmarks(i, w) for i in range(FRAMES)} for w in range(2)},
        {str(i): {str(w): landmarks(i, w) for w in range(2)} for i in range(FRAMES)},
        [{"frame": i, "people": [landmarks(i, w) for w in range(2)]} for i in range(FRAMES)],
        [{"image": f"{i:04d}.jpg", "pose": landmarks(i, w)} for i in range(FRAMES) for w in (0, 1)],
    ],
    ids=["list", "tracks", "names", "frames in people", "people in frames", "people", "pictures"],
)
def test_frames_of_people_and_people_of_frames(content: Any, tmp_path: Path) -> None:
    check(read(dump(tmp_path / "x.json", content))[0], people=2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"pose_data": [landmarks(i, 0) for i in range(FRAMES)]}, "pose_data does not say which"),
        ({"landmarks": [landmarks(i, 0) for i in range(FRAMES)]}, "are frames without numbers"),
        (
            [
                {"track_id": 1, "keypoints": dict(zip("xy", person(i).T.tolist(), strict=True))}
                for i in range(FRAMES)
            ],
            "are frames without numbers",
        ),
    ],
)
def test_frames_are_not_taken_for_people(content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(KeypointsError, match=message):
        read(dump(tmp_path / "x.json", content))


def test_detections_that_are_counted_are_no_frames(tmp_path: Path) -> None:
    rows = [
        {"index": w, "keypoints": dict(zip("xy", person(0, w).T.tolist(), strict=True))}
        for w in range(2)
    ]
    poses, _ = read(dump(tmp_path / "x.json", rows))
    assert (poses.people, poses.frames) == (2, 1)


def test_a_crowd_is_no_video(tmp_path: Path) -> None:
    """Eight people next to each other in all frames."""
    rows = [{"frame": i, "poses": [landmarks(i, w) for w in range(8)]} for i in range(FRAMES)]
    poses, _ = read(dump(tmp_path / "x.json", rows), size=(3000, 480))
    assert poses.people == 8


def test_a_folder_with_files_of_whole_videos(tmp_path: Path) -> None:
    rows = [{"frame_id": i, "instances": [instance(i, w) for w in range(2)]} for i in range(FRAMES)]
    dump(tmp_path / "clip1.json", rows)
    check(read(tmp_path, skeleton="coco17")[0], people=2, of=COCO17)
    dump(tmp_path / "clip2.json", rows)
    with pytest.raises(KeypointsError, match=r"clip1\.json: the file holds 30 frames; give a file"):
        read(tmp_path, skeleton="coco17")


@pytest.mark.parametrize("form", ["object", "list"])
def test_joints_go_by_their_names(form: str, tmp_path: Path) -> None:
    """In another order in each frame, and one of them is missing in each."""
    random = np.random.default_rng(0)
    content = []
    for i in range(FRAMES):
        points = dict(zip(BLAZEPOSE33.joint_names, landmarks(i, 0), strict=True))
        del points[BLAZEPOSE33.joint_names[1 + i % 8]]  # of the face
        names = list(random.permutation(list(points)))
        listed = [{"name": name} | points[name] for name in names]
        content.append(listed if form == "list" else {name: points[name] for name in names})
    rows = [{"frame": i, "pose": points} for i, points in enumerate(content)]
    poses, told = read(dump(tmp_path / "x.json", rows))
    assert told["skeleton"] == "named"
    limbs = [j for j, name in enumerate(poses.skeleton.joint_names) if name != "Head"]
    wanted = np.array([in_h36m17(BLAZEPOSE33, i) for i in range(FRAMES)])
    np.testing.assert_allclose(poses.keypoints_2d[0][:, limbs], wanted[:, limbs], atol=1e-3)


def test_few_joints_with_names_are_a_person(tmp_path: Path) -> None:
    names = COCO17.joint_names
    rows = []
    for i in range(FRAMES):
        kept = range(17) if i % 2 else [0, *range(5, 13)]  # TensorFlow.js's unsure ones are dropped
        joints = [
            {"name": names[j], "x": float(x), "y": float(y), "score": SCORE}
            for j, (x, y) in enumerate(person(i))
            if j in kept
        ]
        rows.append({"frame": i, "keypoints": joints})
    poses, _ = read(dump(tmp_path / "x.json", rows))
    assert poses.observed.sum() == FRAMES
    hip = poses.skeleton.joint_names.index("LHip")
    wanted = [in_h36m17(COCO17, i)[hip] for i in range(FRAMES)]
    np.testing.assert_allclose(poses.keypoints_2d[0, :, hip], wanted, atol=1e-3)


@pytest.mark.parametrize("order", [1, -1])
def test_other_landmarks_beside_a_pose(order: int, tmp_path: Path) -> None:
    beside = {
        "pose_world_landmarks": [{"x": 0.1, "y": 0.1, "z": 0.0}] * 33,
        "face_landmarks": [{"x": 0.1, "y": 0.1, "z": 0.0}] * 468,
        "left_hand_landmarks": [{"x": 0.1, "y": 0.1, "z": 0.0}] * 21,
    }
    rows = []
    for i in range(FRAMES):
        parts = [*beside.items(), ("pose_landmarks", landmarks(i, 0))][::order]
        rows.append({"frame": i} | dict(parts))
    check(read(dump(tmp_path / "x.json", rows))[0])


def test_a_third_number_of_landmarks_may_be_their_score(tmp_path: Path) -> None:
    rows = [
        {"frame": i, "landmarks": [[p["x"], p["y"], SCORE] for p in landmarks(i, 0)]}
        for i in range(FRAMES)
    ]
    check(read(dump(tmp_path / "x.json", rows))[0])
    rows[0] = {"frame": 0, "landmarks": [[p["x"], p["y"], -0.4] for p in landmarks(0, 0)]}
    assert read(dump(tmp_path / "x.json", rows))[0].scores_2d.min() == 1  # depths


SCORES = [[SCORE] * 17] * 2


@pytest.mark.parametrize(
    "frame",
    [
        lambda joints: {"keypoints": joints, "scores": SCORES},
        lambda joints: {"people": [{"keypoints": j, "scores": SCORES[0]} for j in joints]},
    ],
    ids=["of all", "of each"],
)
def test_scores_beside_the_joints(frame: Callable[[Any], Entry], tmp_path: Path) -> None:
    """As RTMLib and ViTPose return them."""
    rows = [
        {"frame": i} | frame([person(i, who).tolist() for who in range(2)]) for i in range(FRAMES)
    ]
    poses, _ = read(dump(tmp_path / "x.json", rows), skeleton="coco17")
    check(poses, people=2, of=COCO17)


def test_a_score_for_each_person_is_none_of_joints(tmp_path: Path) -> None:
    """torchvision's."""
    rows = [
        {
            "frame": i,
            "keypoints": [person(i).tolist()],
            "scores": [1.0],
            "keypoints_scores": SCORES[:1],
        }
        for i in range(FRAMES)
    ]
    check(read(dump(tmp_path / "x.json", rows), skeleton="coco17")[0], of=COCO17)


def test_parts_of_the_picture_with_scores(tmp_path: Path) -> None:
    rows = [
        {"frame": i, "keypoints": (person(i) / SIZE).tolist(), "scores": SCORES[0]}
        for i in range(FRAMES)
    ]
    check(read(dump(tmp_path / "x.json", rows), skeleton="coco17")[0], of=COCO17)


def test_frames_of_mmpose_under_another_key(tmp_path: Path) -> None:
    rows = [{"frame_id": i, "instances": [instance(i, w) for w in range(2)]} for i in range(FRAMES)]
    path = dump(tmp_path / "x.json", {"video": "x", "pose_results": rows})
    check(read(path, skeleton="coco17")[0], people=2, of=COCO17)


def test_easy_vitpose(tmp_path: Path) -> None:
    path = files.vitpose(tmp_path / "x.json", range(FRAMES))
    poses, told = read(path)
    check(poses, people=2, of=COCO17)
    assert told["format"] == "vitpose"
    assert poses.person_ids.tolist() == [0, 1]
    content = json.loads(path.read_text())
    content["skeleton"] = {str(j): f"point_{j}" for j in range(17)}
    strange = dump(tmp_path / "y.json", content)
    with pytest.raises(KeypointsError, match="skeleton lacks nose"):
        read(strange)
    check(read(strange, skeleton="coco17")[0], people=2, of=COCO17)
    with pytest.raises(UsageError, match="--skeleton halpe26"):
        read(path, skeleton="halpe26")


def test_ids_that_people_exchange_are_none(tmp_path: Path) -> None:
    """Each person's position in the frame, which is no track ID."""
    rows = [
        {
            "image_id": f"{i}.jpg",
            "idx": n,
            "category_id": 1,
            "keypoints": files.flat(person(i, who)),
        }
        for i in range(FRAMES)
        for n, who in enumerate([1, 0] if i % 5 == 2 else [0, 1])
    ]
    poses, told = read(dump(tmp_path / "x.json", rows))
    check(poses, people=2, of=COCO17)
    assert "there are 12 ID switches" in told["warnings"][0]
    once = [row for row in rows if row["image_id"] not in ("7.jpg", "12.jpg", "17.jpg", "22.jpg")]
    once = [row for row in once if row["image_id"] != "27.jpg"]  # a tracker may be wrong once
    assert "warnings" not in read(dump(tmp_path / "x.json", once))[1]


def test_a_long_video_keeps_its_ids(tmp_path: Path) -> None:
    """Even with ID switches in two of many frames."""
    rows = [
        {
            "image_id": i,
            "category_id": 1,
            "track_id": 7 + n,
            "keypoints": files.flat(person(0, who)),
        }
        for i in range(400)
        for n, who in enumerate([1, 0] if i in (100, 300) else [0, 1])
    ]
    poses, told = read(dump(tmp_path / "x.json", rows))
    assert poses.person_ids.tolist() == [7, 8]
    assert "warnings" not in told


def test_ultralytics_counts_a_videos_frames_from_1(tmp_path: Path) -> None:
    for i in range(FRAMES):
        parts = [n for x, y in person(i).tolist() for n in (x / SIZE[0], y / SIZE[1], SCORE)]
        line = [0, 0.5, 0.5, 0.1, 0.1, *parts]
        (tmp_path / f"clip_{i + 1}.txt").write_text(" ".join(map(str, line)))
    poses, _ = read(tmp_path)
    check(poses, of=COCO17)
    assert poses.frame_indices.tolist() == list(range(FRAMES))


JOINTS = np.array([[person(i, who) for who in range(2)] for i in range(FRAMES)])


@pytest.mark.parametrize("key", ["scores", "keypoint_scores", "confidence"])
def test_scores_in_an_array_of_their_own(key: str, tmp_path: Path) -> None:
    scores = np.full((FRAMES, 17), SCORE)
    arrays: dict[str, Any] = {"keypoints": JOINTS[:, 0], key: scores, "fps": 30}
    np.savez(tmp_path / "x.npz", **arrays)
    poses, told = read(tmp_path / "x.npz", skeleton="coco17")
    check(poses, of=COCO17)
    assert told["warnings"] == [f"{tmp_path / 'x.npz'}: only keypoints is read; left out is fps."]
    np.savez(tmp_path / "y.npz", **(arrays | {key: scores[:-1]}))
    poses, told = read(tmp_path / "y.npz", skeleton="coco17")
    assert poses.scores_2d.min() == 1
    assert f"left out are {key}, fps" in told["warnings"][0]


@pytest.mark.parametrize("people", [1, 2])
def test_people_in_an_array(people: int, tmp_path: Path) -> None:
    scored = np.concatenate([JOINTS, np.full((FRAMES, 2, 17, 1), SCORE)], axis=3)
    np.save(tmp_path / "x.npy", scored[:, :people])
    check(read(tmp_path / "x.npy", skeleton="coco17")[0], people=people, of=COCO17)
    np.save(tmp_path / "y.npy", np.swapaxes(scored[:, :1], 0, 1))
    check(read(tmp_path / "y.npy", skeleton="coco17")[0], of=COCO17)


def test_json_of_a_crowd_in_one_picture(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"poses": [landmarks(0, w) for w in range(3)]}))
    poses, _ = read(path)
    assert (poses.people, poses.frames) == (3, 1)
