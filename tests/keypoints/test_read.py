import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.keypoints import files
from tests.keypoints.files import FPS, SIZE, dump, flat, in_h36m17, in_skeleton, person
from vidpose.errors import KeypointsError, UsageError
from vidpose.keypoints import read_keypoints
from vidpose.skeleton import (
    BLAZEPOSE33,
    COCO17,
    H36M17,
    HALPE26,
    HALPE136,
    OPENPOSE18,
    OPENPOSE25,
    WHOLEBODY133,
    Skeleton,
)


@dataclass(frozen=True)
class Case:
    """A file of some program, and the expected result of reading it."""

    write: Callable[..., Path]
    format: str
    skeleton: Skeleton
    asked: str | None = None
    """The `skeleton` option."""
    score: float = files.SCORE
    ids: tuple[int, ...] | None = None
    """IDs in the file; None if people are tracked here."""
    size: tuple[int, int] | None = SIZE
    """The `size` option; None if the file has it."""
    normalised: bool = False


NAMED = Skeleton("named", (), ())
CASES = [
    Case(files.mmpose, "mmpose", COCO17, asked="coco17"),
    Case(files.mmpose_demo, "mmpose", COCO17),
    Case(files.mmpose_pictures, "mmpose", COCO17, asked="coco17"),
    Case(files.mmpose_whole_body, "mmpose", WHOLEBODY133),
    Case(files.coco, "coco", COCO17),
    Case(files.coco_annotations, "coco", COCO17, score=1, size=None),
    Case(files.alphapose, "alphapose", COCO17, ids=(40, 39)),
    Case(files.alphapose_halpe, "alphapose", HALPE26, ids=(40, 39)),
    Case(files.alphapose_whole_body, "alphapose", WHOLEBODY133, ids=(40, 39)),
    Case(files.alphapose_halpe_full, "alphapose", HALPE136, ids=(40, 39)),
    Case(files.alphapose_open, "alphapose", OPENPOSE18),
    Case(files.alphapose_cmu, "alphapose", OPENPOSE18),
    Case(files.poseflow, "alphapose", COCO17, ids=(40, 39)),
    Case(files.openpose, "openpose", OPENPOSE25),
    Case(files.openpose18, "openpose", OPENPOSE18),
    Case(files.openpose_old, "openpose", OPENPOSE18),
    Case(files.pose2sim, "openpose", HALPE26),
    Case(files.yolo_texts, "yolo", COCO17, ids=(5, 6), normalised=True),
    Case(files.yolo_labels, "yolo", COCO17, normalised=True),
    Case(files.ultralytics, "yolo", COCO17, ids=(5, 6)),
    Case(files.mediapipe, "mediapipe", BLAZEPOSE33, normalised=True),
    Case(files.mediapipe_csv, "csv", BLAZEPOSE33, ids=(5, 6)),
    Case(files.mediapipe_long, "csv", BLAZEPOSE33, ids=(5, 6), normalised=True),
    Case(files.sleap, "csv", NAMED, ids=(1, 2)),
    Case(files.deeplabcut, "deeplabcut", COCO17, ids=(1, 2)),
]
each_format = pytest.mark.parametrize("case", CASES, ids=lambda case: case.write.__name__)


def read(path: Path, **options: Any) -> Any:
    told = {"size": None} if options.pop("told_size", False) else {"size": SIZE}
    return read_keypoints(path, **({"fps": FPS} | told | options))[0]


@each_format
@pytest.mark.parametrize("asked", ["auto", "by name"])
def test_the_same_people_from_every_format(case: Case, asked: str, tmp_path: Path) -> None:
    path = case.write(tmp_path / "x.json", range(20))
    poses, told = read_keypoints(
        *(path, case.format if asked == "by name" else "auto"),
        skeleton=case.asked,
        fps=FPS,
        size=case.size,
    )
    unit = {"normalised": True} if case.normalised else {}
    assert told == {"format": case.format, "skeleton": case.skeleton.name} | unit
    assert poses.skeleton == H36M17
    assert poses.frame_size == SIZE
    assert poses.frame_indices.tolist() == list(range(20))
    np.testing.assert_allclose(poses.timestamps, np.arange(20) / FPS)
    assert poses.observed.all()
    skeleton = COCO17 if case.skeleton is NAMED else case.skeleton
    for who in (0, 1):
        wanted = [in_h36m17(skeleton, frame, who) for frame in range(20)]
        np.testing.assert_allclose(poses.keypoints_2d[who], wanted, atol=1e-3)
    np.testing.assert_allclose(poses.scores_2d, case.score, atol=1e-6)
    assert poses.person_ids.tolist() == list(case.ids or (1, 2))


@each_format
def test_missing_frames_are_gaps(case: Case, tmp_path: Path) -> None:
    """Short gaps are interpolated and marked; in long ones the person is absent."""
    kept = [*range(5, 25), *range(30, 50), *range(80, 100)]
    path = case.write(tmp_path / "x", kept, 1)
    poses = read(path, told_size=case.size is None, skeleton=case.asked)
    assert poses.frame_indices.tolist() == list(range(5, 100))
    np.testing.assert_allclose(poses.timestamps, np.arange(5, 100) / FPS)
    row = np.arange(5, 100)
    there = (row < 50) | (row >= 80)
    assert (poses.present.any(axis=0) == there).all()
    assert (poses.observed.any(axis=0) == np.isin(row, kept)).all()
    filled = poses.keypoints_2d[0, 25 - 5 : 30 - 5]
    skeleton = COCO17 if case.skeleton is NAMED else case.skeleton
    wanted = [in_h36m17(skeleton, frame) for frame in range(25, 30)]
    np.testing.assert_allclose(filled, wanted, atol=1e-3)
    # Only a file that names people knows that it is the same one who comes back; one that never
    # has two of them in a frame holds one.
    same = case.ids is not None or case.format == "mediapipe"
    assert poses.people == (1 if same else 2)


def test_openpose_zeros_are_missing_joints(tmp_path: Path) -> None:
    path = files.openpose(tmp_path / "x", range(20), 1, missing=("left_ankle", "left_hip"))
    poses = read(path)
    joints = dict(zip(H36M17.joint_names, poses.keypoints_2d[0, 7], strict=True))
    wanted = dict(zip(H36M17.joint_names, in_h36m17(OPENPOSE25, 7), strict=True))
    for name in ("LFoot", "LHip"):
        assert np.isnan(joints[name]).all()
    np.testing.assert_allclose(joints["Hip"], wanted["Hip"], atol=1e-3)  # OpenPose's own
    assert (poses.scores_2d[0, :, H36M17.index("LFoot")] == 0).all()


def test_halpe_measures_the_head_top(tmp_path: Path) -> None:
    poses = read(files.alphapose_halpe(tmp_path / "x", range(20), 1))
    head = H36M17.index("Head")
    nose = person(3)[0]
    np.testing.assert_allclose(poses.keypoints_2d[0, 3, head], nose - [0, 55.5], atol=1e-3)


def test_openpose_people_keep_ids_that_are_there(tmp_path: Path) -> None:
    path = files.openpose(tmp_path / "x", range(20))
    for file in path.iterdir():
        frame = json.loads(file.read_text())
        frame["people"].reverse()
        for i, someone in enumerate(frame["people"]):
            someone["person_id"] = [7 + i]
        dump(file, frame)
    poses = read(path)
    assert poses.person_ids.tolist() == [7, 8]
    np.testing.assert_allclose(poses.keypoints_2d[1, 0], in_h36m17(OPENPOSE25, 0, 0), atol=1e-3)


def test_one_id_twice_in_a_frame_is_the_surer_one(tmp_path: Path) -> None:
    path = files.alphapose(tmp_path / "x", range(20), 1)
    rows = json.loads(path.read_text())
    double = rows[4] | {"keypoints": [n * 0.5 for n in rows[4]["keypoints"]]}
    poses = read(dump(path, [*rows, double]))
    np.testing.assert_allclose(poses.keypoints_2d[0, 4], in_h36m17(COCO17, 4), atol=1e-3)


def test_mmpose_frames_count_from_one_beside_meta_info(tmp_path: Path) -> None:
    path = files.mmpose_demo(tmp_path / "x", range(20))
    rows = json.loads(path.read_text())["instance_info"]
    assert rows[0]["frame_id"] == 1
    assert read(path).frame_indices[0] == 0


def test_mmpose_of_one_picture(tmp_path: Path) -> None:
    rows = json.loads(files.mmpose(tmp_path / "x", [0]).read_text())
    poses = read(dump(tmp_path / "y", rows[0]["instances"]), skeleton="coco17")
    assert (poses.people, poses.frames) == (2, 1)


def test_coco_takes_mmpose_json_too(tmp_path: Path) -> None:
    path = files.mmpose(tmp_path / "x", range(20))
    poses, told = read_keypoints(path, "coco", skeleton="coco17", fps=FPS, size=SIZE)
    assert poses.people == 2
    assert told["format"] == "mmpose"


def test_scores_beyond_one_and_nan_joints(tmp_path: Path) -> None:
    path = files.alphapose(tmp_path / "x", range(20), 1)
    rows = json.loads(path.read_text())
    for row in rows:
        row["keypoints"][2::3] = [1.7] * 17
        row["keypoints"][0] = float("nan")
    poses = read(dump(path, rows))
    assert np.isnan(poses.keypoints_2d[0, :, H36M17.index("Neck/Nose")]).all()
    assert set(poses.scores_2d.ravel().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("skeleton", [COCO17, H36M17], ids=lambda skeleton: skeleton.name)
def test_who_is_seen_with_scores_of_0_only_is_not_there(skeleton: Skeleton, tmp_path: Path) -> None:
    def row(frame: int, who: int, score: float) -> dict[str, Any]:
        joints = flat(in_skeleton(skeleton, person(frame, who)))
        joints[2::3] = [score] * len(skeleton)
        row = {"image_id": frame, "category_id": 1, "track_id": who, "score": 0.8}
        return row | {"keypoints": joints}

    rows = [row(i, 1, 0.9 if i < 20 or i >= 60 else 0) for i in range(80)]  # coasts, comes back
    rows += [row(i, 2, 0) for i in range(80)]
    poses = read(dump(tmp_path / "x", rows), skeleton=skeleton.name)
    assert poses.person_ids.tolist() == [1]
    assert np.flatnonzero(~poses.present[0]).tolist() == list(range(20, 60))
    nobody = dump(tmp_path / "y", [row(i, 1, 0) for i in range(80)])
    with pytest.raises(KeypointsError, match="no person in it with a joint whose score is above 0"):
        read(nobody, skeleton=skeleton.name)


@pytest.mark.parametrize("columns", [2, 3])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_bare_arrays_need_a_skeleton(columns: int, suffix: str, tmp_path: Path) -> None:
    joints = np.array([person(frame) for frame in range(20)])
    joints[4:6] = np.nan
    if columns == 3:
        joints = np.concatenate([joints, np.full((20, 17, 1), 0.5)], axis=2)
    path = tmp_path / f"x{suffix}"
    np.save(path, joints) if suffix == ".npy" else np.savez(path, anything=joints)
    with pytest.raises(UsageError, match="does not state the skeleton of its joints"):
        read(path)
    poses = read(path, skeleton="coco17")
    np.testing.assert_allclose(poses.keypoints_2d[0, 5], in_h36m17(COCO17, 5), atol=1e-3)
    assert poses.observed[0].tolist() == [True] * 4 + [False] * 2 + [True] * 14
    assert poses.person_ids.tolist() == [1]
    same = read(path, skeleton="h36m17")
    np.testing.assert_allclose(same.keypoints_2d[0, 0], joints[0, :, :2], atol=1e-3)


def test_17_joints_without_names_are_not_guessed(tmp_path: Path) -> None:
    """COCO and Human3.6M both have 17."""
    path = files.mmpose(tmp_path / "x.json", range(20))
    with pytest.raises(UsageError, match=r"skeleton of its 17 joints; give --skeleton coco17, "):
        read(path)
    assert read(path, skeleton="coco17").people == 2
    dump(path, mmpose_with(keypoints=[[1, 2]] * 16))
    with pytest.raises(KeypointsError, match=r"has 16 joints, not 17 \(coco17\) or 26 \(halpe26\)"):
        read(path)
    halpe = in_skeleton(HALPE26, person(0)).tolist()
    dump(path, mmpose_with(keypoints=halpe, keypoint_scores=[0.9] * 26))
    assert read(path).people == 1


def mmpose_with(**changes: Any) -> Any:
    instance = {"keypoints": person(0).tolist(), "keypoint_scores": [0.9] * 17}
    return [{"frame_id": 0, "instances": [instance | changes]}]


def coco_with(**changes: Any) -> Any:
    return [{"image_id": 0, "category_id": 1, "keypoints": flat(person(0)), "score": 1} | changes]


def alphapose_with(**changes: Any) -> Any:
    return [{"image_id": "0.jpg", "keypoints": flat(person(0)), "idx": 1} | changes]


BAD: dict[str, tuple[Any, str]] = {
    "nothing": ([], "no person in it"),
    "a number": (3, "is not in a known format"),
    "other things": ({"boxes": []}, "is not in a known format"),
    "other lists": ([{"boxes": []}], "is not in a known format"),
    "no people": ([{"frame_id": 0, "instances": []}], "no person in it"),
    "instances no list": ([{"frame_id": 0, "instances": 5}], r"\[0\].instances is not a list"),
    "no frame id": ([{"instances": []}], r"\[0\] has no 'frame_id'"),
    "text as frame": ([{"frame_id": "a", "instances": []}], r"\[0\].frame_id is not a whole"),
    "negative frame": ([{"frame_id": -1, "instances": []}], r"\[0\].frame_id is -1"),
    "huge frame": ([{"frame_id": 10**40, "instances": []}], r"\[0\].frame_id is 1e\+40"),
    "nan frame": ([{"frame_id": float("nan"), "instances": []}], r"\[0\].frame_id is not"),
    "true frame": ([{"frame_id": True, "instances": []}], r"\[0\].frame_id is not"),
    "16 joints": (mmpose_with(keypoints=[[1, 2]] * 16), "has 16 x 2 numbers, not 17 x 2"),
    "text joints": (mmpose_with(keypoints=[["1", "2"]] * 17), "something else than numbers"),
    "null joint": (mmpose_with(keypoints=[[None, 2]] * 17), "something else than numbers"),
    "ragged": (mmpose_with(keypoints=[[1, 2]] * 16 + [[1]]), "something else than numbers"),
    "3D": (mmpose_with(keypoints=[[1, 2, 3]] * 17), "is 3D"),
    "infinite": (mmpose_with(keypoints=[[float("inf"), 2]] * 17), "more than 1000000 pixels away"),
    "far": (mmpose_with(keypoints=[[1e300, 2]] * 17), "more than 1000000 pixels away"),
    "few scores": (mmpose_with(keypoint_scores=[0.9] * 16), "keypoint_scores has 16 numbers"),
    "nan score": (mmpose_with(keypoint_scores=[float("nan")] * 17), "whose score is NaN"),
    "all nan": (mmpose_with(keypoints=[[float("nan")] * 2] * 17), "no person in it"),
    "normalised": (mmpose_with(keypoints=(person(0) / 640).tolist()), "not normalised"),
    "frame 0 of 1": (
        {"meta_info": {}, "instance_info": mmpose_with()},
        "counts frames from 1",
    ),
    "other names": (
        {"meta_info": {"keypoint_id2name": {"0": "tail"}}, "instance_info": []},
        "joints of no known skeleton",
    ),
    "coco short": (coco_with(keypoints=[1, 2, 3]), r"\[0\].keypoints has 3 numbers, not 51"),
    "coco text": (coco_with(keypoints="1 2 3"), r"\[0\].keypoints holds something else"),
    "coco far id": ([*coco_with(), *coco_with(image_id=10**9)], "not the frame numbers of a video"),
    "annotations": ({"annotations": 5}, "annotations is not a list"),
    "stray annotation": (
        {"images": [{"id": 3}], "annotations": coco_with(image_id=4)},
        r"annotations\[0\].image_id is 4, which is none of the images",
    ),
    "alphapose name": (alphapose_with(image_id="frame.jpg"), "without a frame number"),
    "alphapose size": (alphapose_with(keypoints=[1.0] * 405), "has 405 numbers"),
    "alphapose id": (alphapose_with(idx=2**40), r"\[0\].idx is 1099511627776"),
    "alphapose far": (
        [*alphapose_with(), *alphapose_with(image_id="999999999999999999999.jpg")],
        r"\[1\].image_id is 9999999999999999999, not between 0 and",
    ),
    "crowd": (
        [row for i in range(9000) for row in alphapose_with(image_id=f"{i * 200}.jpg", idx=i)],
        "are too many",
    ),
    "openpose 15": (
        {"people": [{"pose_keypoints_2d": [1.0] * 45}]},
        r"people\[0\].pose_keypoints_2d has 45 numbers",
    ),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_named(content: Any, message: str, tmp_path: Path) -> None:
    path = dump(tmp_path / "x.json", content)
    first = content[0] if isinstance(content, list) and content else {}
    asked = "coco17" if first.get("instances") else None  # else the joints have names
    with pytest.raises(KeypointsError, match=message) as error:
        read(path, skeleton=asked)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"\x00" * 100], ids=lambda c: repr(c[:3])
)
def test_what_is_no_json(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(KeypointsError, match=r"is not a JSON file .*; give a file of 2D joints"):
        read(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, 17, 2)), "no person in it"),
        (np.zeros((5, 17)), r"is float64 \(5, 17\), not \(frames, 17, 2 or 3\) numbers of coco17"),
        (np.zeros((5, 16, 2)), r"has the shape \(5, 16, 2\)"),
        (np.full((5, 17, 2), "a"), "is <U1"),
        (np.full((5, 17, 2), np.nan), "no person in it"),
        (np.full((5, 17, 2), np.inf), "pixels away"),
        (np.zeros((5, 17, 2), complex), "is complex128"),
    ],
)
def test_arrays_that_are_none(array: Any, message: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(KeypointsError, match=message):
        read(tmp_path / "x.npy", skeleton="coco17")


def test_numpy_files_that_are_none(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "empty.npy").touch()
    for name in ("objects.npy", "text.npz", "empty.npy"):
        with pytest.raises(KeypointsError, match="is not a readable NumPy file"):
            read(tmp_path / name, skeleton="coco17")
    np.savez(tmp_path / "two.npz", a=np.zeros(3), b=np.zeros(3))
    with pytest.raises(KeypointsError, match="has 2 arrays, none called keypoints_2d or keypoints"):
        read(tmp_path / "two.npz", skeleton="coco17")


def test_folders_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(KeypointsError, match="holds no "):
        read(tmp_path / "x")
    with pytest.raises(UsageError, match="is a folder; coco is a file"):
        read(tmp_path / "x", format="coco")
    (tmp_path / "x" / "a_keypoints.json").write_text("{}")
    with pytest.raises(KeypointsError, match="a name without a frame number"):
        read(tmp_path / "x")
    (tmp_path / "x" / "a_keypoints.json").unlink()
    for name in ("a_000", "a_001", "b_000", "b_001"):
        dump(tmp_path / "x" / f"{name}_keypoints.json", {"people": []})
    with pytest.raises(UsageError, match=r"holds 2 videos: a \(2 frames\), b \(2 frames\)"):
        read(tmp_path / "x")
    with pytest.raises(KeypointsError, match="does not exist"):
        read(tmp_path / "y")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fps": None}, "does not tell the video's frame rate; give --fps"),
        ({"size": None}, "does not tell the video's size in pixels; give --size"),
        ({"fps": None, "size": None}, "frame rate and size in pixels; give --fps .* and --size"),
        ({"size": (64, 48)}, "most joints lie outside an image of 64x48"),
        ({"fps": 1e-9}, "1e-09 frames a second are no video's"),
        ({"skeleton": "smpl"}, "--skeleton smpl: choose h36m17, coco17"),
        ({"format": "json"}, "--format json: choose auto, mmpose"),
    ],
)
def test_options_that_are_missing_or_wrong(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = files.mmpose(tmp_path / "x.json", range(20))
    with pytest.raises(UsageError, match=message):
        read(path, **({"skeleton": "coco17"} | options))


def test_options_that_contradict_the_file(tmp_path: Path) -> None:
    path = files.coco_annotations(tmp_path / "x.json", range(20))
    with pytest.raises(UsageError, match="itself says 640x480"):
        read(path, size=(1920, 1080))
    with pytest.raises(UsageError, match="says that it holds coco17"):
        read(path, skeleton="h36m17")
    with pytest.raises(KeypointsError, match="is not of the format alphapose, but coco"):
        read(path, format="alphapose")


def test_an_asked_skeleton_is_believed_where_the_file_is_silent(tmp_path: Path) -> None:
    path = files.mmpose(tmp_path / "x.json", range(20), 1)
    poses = read(path, skeleton="h36m17")
    np.testing.assert_allclose(poses.keypoints_2d[0, 0], person(0), atol=1e-3)
    with pytest.raises(KeypointsError, match="has 17 x 2 numbers, not 26 x 2"):
        read(path, skeleton="halpe26")


def test_scores_of_0_4_exchange_no_sides(tmp_path: Path) -> None:
    """Legs and arms come close to each other, as in a person seen from the side."""
    random = np.random.default_rng(0)
    frames: list[Any] = []
    for frame in range(40):
        joints = person(frame)
        close = 0.49 * (1 + np.sin(frame / 3)) / 2
        joints += close * (joints[COCO17.mirrored] - joints) + random.normal(0, 2, (17, 2))
        frames.append({"frame_id": frame, "instances": [{"keypoints": joints.tolist()}]})
    found = {}
    for score in (0.9, 0.4):
        for row in frames:
            row["instances"][0]["keypoint_scores"] = [score] * 17
        path = dump(tmp_path / "walk.json", frames)
        found[score] = read(path, skeleton="coco17").keypoints_2d
    np.testing.assert_array_equal(found[0.4], found[0.9])
