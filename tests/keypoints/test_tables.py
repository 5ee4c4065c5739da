"""Tables with ambiguous columns."""

from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.keypoints import files
from tests.keypoints.files import FPS, SCORE, SIZE, in_h36m17, in_skeleton, person
from tests.keypoints.test_other_tools import assert_same_people, read
from vidpose.errors import KeypointsError, UsageError
from vidpose.keypoints import read_keypoints
from vidpose.poses import Pose2D
from vidpose.skeleton import BLAZEPOSE33, COCO17, H36M17, Skeleton

Cells = dict[str, Callable[..., Any]]
"""A cell of a column, from its frame and person, and its joint if each joint has a row."""
FRAME: Cells = {"frame": lambda i, *_: i}


def wide(path: Path, cells: Cells, people: int = 2, names: str = "{0}_{1}") -> Path:
    """A row for each person of 20 frames."""
    head = [names.format(name, what) for name in COCO17.joint_names for what in ("x", "y", "score")]
    rows = [
        [*(cell(i, w) for cell in cells.values()), *files.flat(person(i, w))]
        for i in range(20)
        for w in range(people)
    ]
    return files.table(path / "x", [[*cells, *head], *rows])


def long(
    path: Path,
    cells: Cells,
    people: int = 2,
    joints: Iterable[int] | None = None,
    skeleton: Skeleton = COCO17,
) -> Path:
    """A row for each joint of each person of 20 frames."""
    chosen = list(range(len(skeleton)) if joints is None else joints)
    rows: list[list[Any]] = [[*cells, "x", "y", "conf"]]
    for i in range(20):
        for w in range(people):
            points = in_skeleton(skeleton, person(i, w)).tolist()
            rows += [[*(cell(i, w, j) for cell in cells.values()), *points[j], 0.9] for j in chosen]
    return files.table(path / "x", rows)


def names(*at: int) -> str:
    return COCO17.joint_names[at[2]]


def row_numbers() -> Callable[..., int]:
    numbers = count(1)
    return lambda *_: next(numbers)


def who(_: int, w: int, *__: int) -> int:
    return w + 5


def swapping(i: int, w: int, *_: int) -> int:
    """The person's position in a list whose order changes."""
    return (w + i // 3) % 2


def told(path: Path) -> tuple[Pose2D, list[str]]:
    poses, about = read_keypoints(path, fps=FPS, size=SIZE)
    return poses, about.get("warnings", [])


# People


def test_a_person_rather_than_the_rows_number(tmp_path: Path) -> None:
    poses = read(wide(tmp_path, {"id": row_numbers()} | FRAME | {"person_id": who}))
    assert_same_people(poses)
    assert sorted(poses.person_ids.tolist()) == [5, 6]


@pytest.mark.parametrize("name", ["id", "idx"])
def test_the_rows_number_is_nobody(name: str, tmp_path: Path) -> None:
    assert_same_people(read(wide(tmp_path, {name: row_numbers()} | FRAME)))
    assert_same_people(read(wide(tmp_path, {name: who} | FRAME)))


def test_an_id_of_one_picture(tmp_path: Path) -> None:
    path = wide(tmp_path, FRAME | {"id": who})
    path.write_text("\n".join(path.read_text().splitlines()[:3]))
    assert sorted(read(path).person_ids.tolist()) == [5, 6]


def test_the_rows_number_in_a_table_of_joints(tmp_path: Path) -> None:
    cells: Cells = {"id": row_numbers()} | FRAME | {"person": who, "joint": names}
    assert_same_people(read(long(tmp_path, cells)))
    assert_same_people(
        read(long(tmp_path, {"id": row_numbers()} | FRAME | {"joint": names}, 1)), people=1
    )


def test_what_somebody_does_is_nobody(tmp_path: Path) -> None:
    cells: Cells = {"pose": lambda i, w: "walk" if i < 10 else "turn"}
    assert_same_people(read(wide(tmp_path, FRAME | cells, 1)), people=1)


@pytest.mark.parametrize(
    "name",
    [
        "person_idx",
        "person index",
        "pose",
        "pose_index",
        "instance",
        "instance_idx",
        "detection_id",
    ],
)
def test_an_index_within_the_frame_is_no_id(name: str, tmp_path: Path) -> None:
    for path in (
        wide(tmp_path, FRAME | {name: swapping}),
        long(tmp_path, FRAME | {name: swapping, "joint": names}),
    ):
        poses, warnings = told(path)
        assert_same_people(poses)
        assert f"'{name}' counts the people of a frame, so people are tracked here" in warnings[0]


@pytest.mark.parametrize(
    "name", ["track", "track_idx", "id", "person", "individual", "subject", "player", "object_id"]
)
def test_an_id_is_one(name: str, tmp_path: Path) -> None:
    for path in (
        wide(tmp_path, FRAME | {name: who}),
        long(tmp_path, FRAME | {name: who, "joint": names}),
    ):
        poses, warnings = told(path)
        assert_same_people(poses)
        assert sorted(poses.person_ids.tolist()) == [5, 6]
        assert not warnings


def test_one_index_is_one_person(tmp_path: Path) -> None:
    poses, warnings = told(wide(tmp_path, FRAME | {"person_idx": lambda *_: 0}, 1))
    assert_same_people(poses, people=1)
    assert not warnings


def test_one_row_a_frame_of_two_people(tmp_path: Path) -> None:
    """Only one of them is left in each frame."""
    path = wide(tmp_path, FRAME | {"person_idx": lambda i, w: w})
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([head, *rows[:20:2], *rows[21::2]]))
    assert read(path).people == 2


@pytest.mark.parametrize("nobody", ["-1", "-1.0", "", "None", "nan", "NULL"])
def test_who_is_not_tracked_is_nobody_in_particular(nobody: str, tmp_path: Path) -> None:
    def track(i: int, w: int, *_: int) -> Any:
        return nobody if w or i % 10 == 0 else 1

    assert_same_people(read(wide(tmp_path, FRAME | {"track_id": track})))
    cells = FRAME | {"track_id": track, "person_idx": swapping, "joint": names}
    assert_same_people(read(long(tmp_path, cells)))
    assert_same_people(read(wide(tmp_path, FRAME | {"track_id": lambda *_: nobody}, 1)), people=1)


def test_frames_without_anybody_leave_the_ids(tmp_path: Path) -> None:
    path = wide(tmp_path, FRAME | {"track": who})
    path.write_text(path.read_text() + "25" + "," * 52 + "\n")
    assert sorted(read(path).person_ids.tolist()) == [5, 6]


@pytest.mark.parametrize("cells", [{}, {"track_id": lambda *_: -1}, {"id": row_numbers()}])
def test_two_people_who_cannot_be_told_apart(cells: Cells, tmp_path: Path) -> None:
    path = long(tmp_path, FRAME | cells | {"joint": names})
    message = r"has two people in frame 0 \(lines 2 and 19 are both 'nose'\); add a column 'person'"
    with pytest.raises(KeypointsError, match=message):
        read(path)


def test_one_person_twice_in_a_table_of_joints(tmp_path: Path) -> None:
    path = long(tmp_path, FRAME | {"person": lambda *_: 7, "joint": names})
    with pytest.raises(KeypointsError, match="has person 7 twice in frame 0"):
        read(path)


def test_rows_that_are_there_twice(tmp_path: Path) -> None:
    path = long(tmp_path, FRAME | {"joint": names}, 1)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, *lines[5:9], "3,left_knee,,,", "3,left_knee,,,"]))
    with pytest.raises(KeypointsError, match="two people in frame 3"):
        read(path)
    path.write_text("\n".join([*lines, *lines[5:9], "20,nose,,,", "20,nose,,,"]))
    assert_same_people(read(path), 21, people=1, observed=20)


# Frames


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("frame_count", "{0}"),
        ("image_path", "out/frame_{0:05d}.jpg"),
        ("file_path", "{0:05d}.png"),
        ("img_path", "a/{0}.png"),
        ("path", "a/{0}.png"),
        ("index", "{0}"),
    ],
)
def test_columns_of_frames(name: str, cell: str, tmp_path: Path) -> None:
    cells: Cells = {name: lambda i, *_: cell.format(3 * i), "time": lambda i, *_: i / 10}
    for path in (
        wide(tmp_path, cells | {"person": who}),
        long(tmp_path, cells | {"person": who, "joint": names}),
    ):
        poses, warnings = told(path)
        assert poses.frame_indices.tolist() == list(range(58))
        np.testing.assert_allclose(poses.keypoints_2d[0, 57], in_h36m17(COCO17, 19), atol=1e-3)
        assert not warnings


def test_a_count_of_all_frames_numbers_none(tmp_path: Path) -> None:
    cells = {"frame_count": lambda *_: 20, "file": lambda *_: "clip2"} | FRAME | {"person": who}
    assert_same_people(read(wide(tmp_path, cells)))


@pytest.mark.parametrize("name", ["time", "t", "timestamp_ms", "time (s)", "seconds", "frame_time"])
def test_times_are_no_frames(name: str, tmp_path: Path) -> None:
    poses, warnings = told(wide(tmp_path, {name: lambda i, w: i / 3}, 1))
    assert_same_people(poses, people=1)
    assert "has no column of frame numbers" in warnings[0]
    assert f"whatever '{name}' says; add a column 'frame' if rows were left out" in warnings[0]


@pytest.mark.parametrize("name", ["person", "person_idx"])
@pytest.mark.parametrize("number", [None, "", "index"])
def test_rows_of_several_people_are_no_frames(
    name: str, number: str | None, tmp_path: Path
) -> None:
    """Neither are the row numbers that pandas writes."""
    cells: Cells = {} if number is None else {number: row_numbers()}
    path = wide(tmp_path, cells | {name: who})
    with pytest.raises(KeypointsError, match="several people and no column of frame numbers; add"):
        read(path)
    path = long(tmp_path, cells | {"person": who, "joint": names})
    with pytest.raises(KeypointsError, match="a row for each joint, but no column 'frame'"):
        read(path)


# Videos


@pytest.mark.parametrize(
    "name", ["video", "video_name", "clip", "camera", "cam", "camera_id", "file", "filename"]
)
@pytest.mark.parametrize("each", ["person", "joint"])
def test_several_videos_in_a_column(name: str, each: str, tmp_path: Path) -> None:
    cells = {name: lambda i, w, *_: f"v{w}.mp4"} | FRAME
    path = long(tmp_path, cells | {"joint": names}) if each == "joint" else wide(tmp_path, cells)
    message = r"holds 2 videos: v0.mp4 \(20 frames\), v1.mp4 \(20 frames\); choose one with"
    with pytest.raises(UsageError, match=message):
        read(path)
    poses, about = read_keypoints(path, fps=FPS, size=SIZE, video_name="v1.mp4")
    assert about["video_name"] == "v1.mp4"
    np.testing.assert_allclose(poses.keypoints_2d[0, 3], in_h36m17(COCO17, 3, 1), atol=1e-3)
    assert (poses.people, poses.frames) == (1, 20)
    with pytest.raises(UsageError, match=r"--video-name v2: .* holds v0.mp4"):
        read(path, video_name="v2")


def test_one_video_in_a_column(tmp_path: Path) -> None:
    path = wide(tmp_path, {"video": lambda *_: "a.mp4"} | FRAME)
    assert_same_people(read(path))
    assert_same_people(read(path, video_name="a.mp4"))
    with pytest.raises(UsageError, match="names no videos"):
        read(path, video_name="b.mp4")


def test_videos_and_cameras(tmp_path: Path) -> None:
    cells = {"clip": lambda i, w: f"c{i // 10}", "cam": lambda i, w: w, "video": lambda *_: "a"}
    path = wide(tmp_path, cells | FRAME)
    with pytest.raises(UsageError, match=r"4 videos: c0/0 \(10 frames\), c0/1"):
        read(path)
    assert read(path, video_name="c1/0").frame_indices.tolist() == list(range(10, 20))


# Joints


@pytest.mark.parametrize("box", [("x", "y", "w", "h"), ("id", "x", "y"), ("x1", "y1", "x2", "y2")])
def test_a_box_beside_the_joints(box: tuple[str, ...], tmp_path: Path) -> None:
    cells = FRAME | {"person_id": who} | {name: lambda *_: 7 for name in box}
    assert_same_people(read(wide(tmp_path, cells)))


@pytest.mark.parametrize("name", ["person", "person_idx"])
def test_an_id_beside_a_person_is_the_joints(name: str, tmp_path: Path) -> None:
    cells = FRAME | {name: who, "id": lambda i, w, j: j}
    assert_same_people(read(long(tmp_path, cells), skeleton="coco17"))


@pytest.mark.parametrize("name", ["{1}_{0}", "{1}.{0}", "{0}_{1}"])
def test_joints_by_what_or_by_name_first(name: str, tmp_path: Path) -> None:
    poses = read(wide(tmp_path, FRAME | {"velocity_x": who, "velocity_y": who}, 1, name))
    assert_same_people(poses, people=1)
    np.testing.assert_allclose(poses.scores_2d, SCORE, atol=1e-6)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("unseen", [3, 10])
def test_a_numbered_joint_that_is_never_seen(first: int, unseen: int, tmp_path: Path) -> None:
    cells = FRAME | {"keypoint_id": lambda i, w, j: j + first}
    seen = [j for j in range(17) if j != unseen]
    poses = read(long(tmp_path, cells, 1, seen), skeleton="coco17")
    wanted = in_skeleton(COCO17, person(4))
    assert_joints(poses, wanted, unseen == 10)
    mediapipe = [j for j in range(33) if j not in (3, 5, 16)]
    poses = read(long(tmp_path, cells, 1, mediapipe, BLAZEPOSE33))
    assert_joints(poses, wanted, True)


def assert_joints(poses: Pose2D, coco: Any, no_right_wrist: bool) -> None:
    joints = dict(zip(H36M17.joint_names, poses.keypoints_2d[0, 4], strict=True))
    for name, other in (("RKnee", "right_knee"), ("LFoot", "left_ankle"), ("LWrist", "left_wrist")):
        np.testing.assert_allclose(joints[name], coco[COCO17.index(other)], atol=1e-3)
    assert np.isnan(joints["RWrist"]).all() == no_right_wrist


@pytest.mark.parametrize(
    ("joints", "skeleton", "message"),
    [
        (
            range(1, 17),
            "coco17",
            "joints 1 to 16, which may count from 0 or from 1; add joint 0 or",
        ),
        ([0, *range(2, 18)], "coco17", r"has joints 0 to 17, not 17 joints \(coco17\)"),
        (range(16), None, "has 16 joints without names"),
        ([*range(11, 33)], None, "has 22 joints without names"),
        (range(1, 33), None, "has 32 joints without names"),
    ],
)
def test_numbers_that_do_not_tell_the_joints(
    joints: Iterable[int], skeleton: str | None, message: str, tmp_path: Path
) -> None:
    path = long(tmp_path, FRAME | {"kp": lambda i, w, j: j}, 1, joints, BLAZEPOSE33)
    with pytest.raises(KeypointsError, match=message):
        read(path, skeleton=skeleton)


def test_one_number_twice_is_no_order(tmp_path: Path) -> None:
    """MediaPipe's 33 and two hands."""
    of = [f"pose_{j}" for j in range(33)] + [f"{s}_{j}" for s in "lr" for j in range(21)]
    head = [f"{name}_{axis}" for name in of for axis in "xy"]
    path = files.table(tmp_path / "x", [["frame", *head], [0, *range(len(head))]])
    with pytest.raises(KeypointsError, match=r"no known skeleton \(pose_0, pose_1"):
        read(path)


# Signs


def test_excels_first_line(tmp_path: Path) -> None:
    path = wide(tmp_path, FRAME)
    path.write_text("sep=;\n" + path.read_text().replace(",", ";"))
    assert_same_people(read(path))


def test_decimal_commas(tmp_path: Path) -> None:
    path = wide(tmp_path, FRAME)
    text = path.read_text()
    path.write_text(text.replace(",", ";").replace(".", ","))
    assert_same_people(read(path))
    # Beside decimal points they may divide thousands.
    for mixed in (text.replace(",", ";").replace(";0.9", ";0,9"), text.replace("0.9", '"0,9"')):
        path.write_text(mixed)
        message = r"line 2, nose_score: '0,9' is no number; write decimal points"
        with pytest.raises(KeypointsError, match=message):
            read(path)
