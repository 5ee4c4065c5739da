from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.results import make_result
from vidpose.datasets import open_dataset
from vidpose.errors import DataError, UsageError
from vidpose.poses import save


def write(path: Path, **changes: Any) -> None:
    joints = np.random.default_rng(0).normal((0, 0, 4), 0.3, size=(12, 17, 3))
    entries: dict[str, Any] = {
        "keypoints_2d": 900 * joints[..., :2] / joints[..., 2:] + (640, 360),
        "joints_3d": joints,
        "fps": 25,
        "frame_size": [1280, 720],
    }
    entries |= changes
    np.savez(path, **{key: value for key, value in entries.items() if value is not None})


def test_subjects_are_split(tmp_path: Path) -> None:
    for i in range(5):
        for action in ("Walking 1", "Walking 2", "Run"):
            write(tmp_path / f"{i} {action}.npz", subject=f"P{i}", action=action, focal_px=900.0)
    dataset = open_dataset("custom", tmp_path)
    assert {s.subject for s in dataset.train} == {"P0", "P1", "P2", "P3"}
    assert {s.subject for s in dataset.test} == {"P4"}
    first = dataset.train[0]
    assert (first.action, first.camera, first.fps, first.frame_size, first.focal_px) == (
        *("Run", "0", 25, (1280, 720)),
        900,
    )
    assert first.valid.all()
    named = open_dataset("custom", tmp_path, test_subjects=["P0", "P1"], actions=["Walking"])
    assert {s.subject for s in named.train} == {"P2", "P3", "P4"}
    assert {s.action for s in named.test} == {"Walking 1", "Walking 2"}
    named = open_dataset("custom", tmp_path, train_subjects=["P0"], downsample=5)
    assert {s.subject for s in named.test} == {"P1", "P2", "P3", "P4"}
    assert (len(named.test[0]), named.test[0].fps) == (3, 5)
    with pytest.raises(DataError, match="has no subject P9; it has P0, P1"):
        open_dataset("custom", tmp_path, test_subjects=["P9"])
    with pytest.raises(DataError, match="has no action Walk; it has Run, Walking"):
        open_dataset("custom", tmp_path, actions=["Walk"])
    with pytest.raises(UsageError, match="P0 is both"):
        open_dataset("custom", tmp_path, train_subjects=["P0"], test_subjects=["P0"])


def test_files_of_one_subject_are_split(tmp_path: Path) -> None:
    for i in range(4):
        write(tmp_path / f"{i}.npz", subject="me")
    dataset = open_dataset("custom", tmp_path)
    assert [s.action for s in dataset.train] == ["0", "1", "2"]
    assert [s.action for s in dataset.test] == ["3"]


def test_files_with_the_same_names_are_several_takes(tmp_path: Path) -> None:
    for i in range(3):
        for camera in "ab":
            write(tmp_path / f"{i}{camera}.npz", subject="me", action="walk", camera=camera)
    write(tmp_path / "other.npz", subject="you", action="walk")
    dataset = open_dataset("custom", tmp_path)
    assert [s.name for s in dataset.train] == [
        f"me/{action}/{camera}" for action in ("walk", "walk 2", "walk 3") for camera in "ab"
    ]
    assert [s.name for s in dataset.test] == ["you/walk/0"]


def test_another_skeleton(tmp_path: Path) -> None:
    write(
        tmp_path / "a.npz",
        skeleton="humaneva15",
        keypoints_2d=np.full((3, 15, 2), 9.0),
        joints_3d=np.ones((3, 15, 3)),
        valid=np.array([True, False, True]),
    )
    dataset = open_dataset("custom", tmp_path)
    assert dataset.skeleton.name == "humaneva15"
    assert dataset.train[0].valid.tolist() == [True, False, True]
    assert dataset.test == ()
    write(tmp_path / "b.npz")
    with pytest.raises(DataError, match=r"b\.npz: skeleton: expected humaneva15, as in a\.npz"):
        open_dataset("custom", tmp_path)


def test_results_of_vidpose(tmp_path: Path) -> None:
    whole = make_result(people=2, frames=6)
    present, observed = np.ones((2, 6), bool), np.ones((2, 6), bool)
    observed[0, 1] = False
    present[1, 2] = observed[1, 2] = False
    joints, root = whole.joints_3d.copy(), whole.root_3d.copy()
    joints[1, 2] = np.nan
    root[1, 5] = np.nan
    result = make_result(
        frames=6,
        joints_3d=joints,
        root_3d=root,
        present=present,
        observed=observed,
        keypoints_2d=whole.keypoints_2d,
        meta={"camera": {"focal_px": 700.0}},
    )
    save(result, tmp_path / "clip.npz")
    dataset = open_dataset("custom", tmp_path)
    assert [(s.subject, s.action, len(s)) for s in dataset.train] == [
        ("clip", "person1 0", 6),
        ("clip", "person2 0", 2),
        ("clip", "person2 1", 2),
    ]
    first, _, last = dataset.train
    assert first.valid.tolist() == [True, False, True, True, True, True]
    np.testing.assert_allclose(last.joints_3d, result.joints_camera()[1, 3:5])
    assert first.focal_px == 700
    save(make_result(root_3d=np.full((2, 5, 3), np.nan, np.float32)), tmp_path / "lost.npz")
    with pytest.raises(DataError, match=r"lost\.npz: root_3d: expected a person's position"):
        open_dataset("custom", tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fps": None}, "expected keypoints_2d, .*, found no fps"),
        ({"fps": 0}, "fps: expected a number above 0, 20,000 at most, found int64"),
        ({"frame_size": [1280]}, "frame_size: expected 2 numbers above 0"),
        ({"joints_3d": np.zeros((11, 17, 3))}, r"expected as many .* joints_3d \(11\), found 12"),
        ({"joints_3d": np.full((12, 17, 3), np.nan)}, "joints_3d: expected finite numbers, found"),
        ({"joints_3d": np.full((12, 17, 3), 3000.0)}, "joints_3d: expected metres"),
        (
            {"keypoints_2d": np.zeros((12, 16, 2))},
            r"keypoints_2d: expected numbers \(frames, 17, 2\)",
        ),
        ({"skeleton": "mine"}, "skeleton: expected one of h36m17, .* found mine"),
        ({"valid": np.ones(12)}, r"valid: expected bool \(12,\), found float64 \(12,\)"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    write(tmp_path / "a.npz", **changes)
    with pytest.raises(DataError, match=rf"a\.npz: {message}"):
        open_dataset("custom", tmp_path)


def test_python_objects_are_refused_only_where_they_are_needed(tmp_path: Path) -> None:
    write(tmp_path / "a.npz", notes=np.array([{"a": 1}], object), subject=np.array(["anna"]))
    assert open_dataset("custom", tmp_path).train[0].subject == "anna"
    write(tmp_path / "a.npz", subject=np.array(["anna"], object))
    message = r"a\.npz .*: subject holds Python objects, .*=np\.array\(subject\.tolist\(\)\)"
    with pytest.raises(DataError, match=message):
        open_dataset("custom", tmp_path)
    (tmp_path / "a.npz").unlink()
    np.savez(tmp_path / "data_3d_h36m.npz", positions_3d=np.array({"S1": {}}, object))
    with pytest.raises(DataError, match=r"h36m\.npz: expected .*, found no keypoints_2d"):
        open_dataset("custom", tmp_path)


def test_a_folder_without_files_and_options_without_sense(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no \.npz \(folders in it are not searched\)"):
        open_dataset("custom", tmp_path)
    with pytest.raises(UsageError, match="only one kind of 2D joints"):
        open_dataset("custom", tmp_path, keypoints="gt")
    (tmp_path / "a.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"a\.npz .*it is incomplete"):
        open_dataset("custom", tmp_path)


def take(**changes: Any) -> dict[str, Any]:
    """A person in h36m17, projected as a camera with a focal length of 900 px would."""
    pose = np.array(
        [
            *([0, 0, 0], [-0.13, 0, 0], [-0.13, 0.45, 0.02], [-0.13, 0.9, 0]),
            *([0.13, 0, 0], [0.13, 0.45, -0.02], [0.13, 0.9, 0], [0, -0.25, 0], [0, -0.5, 0]),
            *(
                [0, -0.6, -0.08],
                [0, -0.75, 0],
                [0.18, -0.48, 0],
                [0.2, -0.2, 0],
                [0.22, 0.05, -0.1],
            ),
            *([-0.18, -0.48, 0], [-0.2, -0.2, 0], [-0.22, 0.05, -0.1]),
        ]
    )
    joints = pose + np.linspace((0, 0, 4), (0.3, 0, 5), 12)[:, None]
    pixels = 900 * joints[..., :2] / joints[..., 2:] + (640, 360)
    return {"joints_3d": joints, "keypoints_2d": pixels} | changes


COCO_IN_H36M17 = [10, 9, 8, 10, 9, 11, 14, 12, 15, 13, 16, 4, 1, 5, 2, 6, 3]
"""About COCO's order: a joint of h36m17 for each of COCO's."""


def test_joints_relative_to_the_root_are_taken(tmp_path: Path) -> None:
    write(tmp_path / "a.npz", **take())
    write(tmp_path / "b.npz", **take(joints_3d=take()["joints_3d"] - np.array((0, 0, 4))))
    assert len(open_dataset("custom", tmp_path).train) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda xy, xyz: (xy / (1280, 720), xyz), "keypoints_2d: expected pixels, found all"),
        (lambda xy, xyz: (xy / 640 - 1, xyz), "keypoints_2d: expected pixels, found all"),
        (lambda xy, xyz: (xy + np.array((1280, 0)), xyz), "frame_size: .* 1280 x 720, and most"),
        (
            lambda xy, xyz: (np.where(np.arange(12)[:, None, None] % 4 == 1, 0, xy), xyz),
            r"expected all joints, found missing ones .* in 3 of 12 frames, first in frame 1",
        ),
        (lambda xy, xyz: (xy, 100 * (xyz - (0, 0, 4.5))), "joints_3d: expected metres, found a"),
        (lambda xy, xyz: (xy, xyz * (1, -1, -1)), "joints_3d are not what keypoints_2d show"),
        (lambda xy, xyz: (xy, xyz[..., [0, 2, 1]]), "joints_3d are not what keypoints_2d show"),
        (lambda xy, xyz: (xy[:, COCO_IN_H36M17], xyz), "joints_3d are not what keypoints_2d show"),
        (
            lambda xy, xyz: (xy[:, COCO_IN_H36M17], xyz[:, COCO_IN_H36M17]),
            "not in the order of h36m17, .* skeleton='coco17'",
        ),
    ],
)
def test_other_units_axes_and_orders(
    tmp_path: Path, change: Callable[..., tuple[Any, Any]], message: str
) -> None:
    right = take()
    pixels, joints = change(right["keypoints_2d"], right["joints_3d"])
    write(tmp_path / "a.npz", keypoints_2d=pixels, joints_3d=joints)
    with pytest.raises(DataError, match=rf"a\.npz: .*{message}"):
        open_dataset("custom", tmp_path)


def test_a_skeleton_that_is_stated_is_not_questioned(tmp_path: Path) -> None:
    right = take()
    order = {key: value[:, COCO_IN_H36M17] for key, value in right.items()}
    write(tmp_path / "a.npz", **order, skeleton="coco17")
    assert open_dataset("custom", tmp_path).skeleton.name == "coco17"
