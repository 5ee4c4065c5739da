from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidpose.datasets import Dataset, PoseSequence, open_dataset
from vidpose.datasets.cameras import h36m_cameras
from vidpose.datasets.h36m import KEPT
from vidpose.datasets.synthetic import LAYOUTS, write_synthetic
from vidpose.errors import UsageError
from vidpose.utils.npz import read_npz

SMALL: dict[str, dict[str, Any]] = {
    "h36m": {"subjects": ("S1", "S9", "S11"), "actions": ("Directions", "Walking")},
    "humaneva": {"subjects": ("Train/S1", "Validate/S1"), "actions": ("Walking", "Box")},
    "mpi_inf_3dhp": {"subjects": ("S1", "TS1", "TS5")},
}
OPEN: dict[str, dict[str, Any]] = {
    "h36m": {"train_subjects": ("S1",), "keypoints": "gt"},
    "humaneva": {
        "train_subjects": ("Train/S1",),
        "test_subjects": ("Validate/S1",),
        "actions": ("Walking", "Box"),
    },
    "mpi_inf_3dhp": {"train_subjects": ("S1",), "test_subjects": ("TS1", "TS5")},
}


def write(folder: Path, layout: str, **options: Any) -> list[Path]:
    return write_synthetic(folder, layout, **SMALL[layout] | {"seconds": 0.6} | options)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_written_can_be_opened(tmp_path: Path, layout: str) -> None:
    paths = write(tmp_path, layout)
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    dataset = open_dataset(layout, tmp_path, **OPEN[layout])
    for sequence in dataset.train + dataset.test:
        assert 15 <= len(sequence) <= 36
        size = np.array(sequence.frame_size)
        inside = (sequence.keypoints_2d > 0).all(-1) & (sequence.keypoints_2d < size).all(-1)
        assert inside.mean() > 0.9
        assert 1.5 < np.median(sequence.joints_3d[..., 2]) < 8
        assert sequence.focal_px is not None


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_seed_determines_the_files(tmp_path: Path, layout: str) -> None:
    entries = [
        [_digest(read_npz(path)) for path in write(tmp_path / name, layout, seed=seed)]
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert entries[0] == entries[1]
    assert entries[0] != entries[2]


def _digest(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _digest(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_digest(item) for item in value]
    return value.tobytes() if isinstance(value, np.ndarray) else value


def test_human36m_files_have_the_usual_format(tmp_path: Path) -> None:
    world_path, gt_path, detected_path = write(tmp_path, "h36m")
    world = read_npz(world_path)["positions_3d"]
    assert list(world) == ["S1", "S9", "S11"]
    assert list(world["S1"]) == ["Directions", "Directions 1", "Walking", "Walking 1"]
    assert list(world["S11"]) == ["Directions 1", "Walking", "Walking 1"]
    take = world["S1"]["Walking"]
    assert take.shape == (30, 32, 3)
    assert take.dtype == np.float32
    gt = read_npz(gt_path)
    symmetry = [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]
    assert gt["metadata"] == {"num_joints": 17, "keypoints_symmetry": symmetry}
    for camera, view in zip(h36m_cameras()["S1"], gt["positions_2d"]["S1"]["Walking"], strict=True):
        expected = camera.project(camera.world_to_camera(take[:, KEPT]))
        np.testing.assert_allclose(view, expected, atol=1e-3)
    detected = read_npz(detected_path)
    assert detected["metadata"] == {
        "layout_name": "h36m",
        "num_joints": 17,
        "keypoints_symmetry": symmetry,
    }
    # As the real file, it goes on after the motion capture; and it is a few pixels off.
    view = detected["positions_2d"]["S1"]["Walking"][0]
    assert view.shape == (32, 17, 2)
    off = np.linalg.norm(view[:30] - gt["positions_2d"]["S1"]["Walking"][0], axis=-1)
    assert 4 < off.mean() < 12


def test_humaneva_files_have_chunks_with_a_hole_between(tmp_path: Path) -> None:
    write(tmp_path, "humaneva")
    world = read_npz(tmp_path / "data_3d_humaneva15.npz")["positions_3d"]
    assert list(world["Train/S1"])[:2] == ["Walking 1 chunk0", "Walking 1 chunk2"]
    assert world["Train/S1"]["Walking 1 chunk0"].shape == (18, 15, 3)


def test_mpi_inf_3dhp_files_have_the_usual_format(tmp_path: Path) -> None:
    write(tmp_path, "mpi_inf_3dhp")
    train = read_npz(tmp_path / "data_train_3dhp.npz")["data"]
    assert list(train) == ["S1 Seq1", "S1 Seq2"]
    views, fps = train["S1 Seq2"]
    assert fps == 50
    assert list(views) == ["0", "1", "2", "4", "5", "6", "7", "8"]
    assert views["4"]["data_3d"].shape == (30, 17, 3)
    assert np.median(views["4"]["data_3d"][..., 2]) > 1000  # millimetres
    test = read_npz(tmp_path / "data_test_3dhp.npz")["data"]
    assert list(test) == ["TS1", "TS5"]
    assert 0 < test["TS1"]["valid"].mean() < 1


def test_depth_can_be_learned_from_what_is_seen(tmp_path: Path) -> None:
    """Ridge regression on single frames of held-out people beats the mean pose by far."""
    write_synthetic(
        tmp_path,
        subjects=("S1", "S5", "S6", "S9"),
        actions=("Walking", "Sitting", "Directions"),
        seconds=4,
    )
    dataset = open_dataset(
        "h36m", tmp_path, train_subjects=("S1", "S5", "S6"), test_subjects=("S9",), downsample=5
    )
    x, y = _regression(dataset.train)
    x_test, y_test = _regression(dataset.test)
    weights = np.linalg.solve(x.T @ x + 1e-2 * len(x) * np.eye(x.shape[1]), x.T @ y)
    mean = _error(np.broadcast_to(y.mean(axis=0), y_test.shape), y_test)
    learned = _error(x_test @ weights, y_test)
    assert 0.1 < mean < 0.6
    assert learned < 0.6 * mean


def _regression(sequences: tuple[PoseSequence, ...]) -> tuple[np.ndarray, np.ndarray]:
    """2D poses with their products, at unit size; and root-relative 3D poses."""
    seen = np.concatenate([s.keypoints_2d for s in sequences]).astype(np.float64)
    seen = seen - seen[:, :1]
    seen = (seen / np.linalg.norm(seen, axis=2).mean(axis=1)[:, None, None]).reshape(len(seen), -1)
    row, column = np.triu_indices(seen.shape[1])
    features = np.concatenate(
        [np.ones((len(seen), 1)), seen, 0.3 * seen[:, row] * seen[:, column]], 1
    )
    joints = np.concatenate([s.joints_3d for s in sequences]).astype(np.float64)
    return features, (joints - joints[:, :1]).reshape(len(joints), -1)


def _error(predicted: np.ndarray, target: np.ndarray) -> float:
    return float(np.linalg.norm((predicted - target).reshape(-1, 17, 3), axis=2).mean())


def test_synthetic_is_generated_when_opened(tmp_path: Path) -> None:
    first = open_dataset("synthetic", tmp_path / "made")
    assert {s.subject for s in first.train} == {"S1", "S5", "S6", "S7", "S8"}
    assert {s.subject for s in first.test} == {"S9", "S11"}
    files = sorted((tmp_path / "made").iterdir())
    assert sum(path.stat().st_size for path in files) < 20e6
    times = [path.stat().st_mtime_ns for path in files]
    again: Dataset = open_dataset("synthetic", tmp_path / "made", keypoints="gt")
    assert [path.stat().st_mtime_ns for path in files] == times
    np.testing.assert_array_equal(again.train[3].joints_3d, first.train[3].joints_3d)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "coco"}, "layout coco: choose h36m, humaneva, mpi_inf_3dhp"),
        ({"subjects": ("S2",)}, "S2: choose among S1, S5"),
        ({"actions": ("Walk",)}, "Walk: choose among Directions"),
        ({"seconds": 0.0}, "0 seconds: give"),
        ({"layout": "mpi_inf_3dhp", "actions": ("Walking",)}, "has no actions"),
    ],
)
def test_what_makes_no_sense(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        write_synthetic(tmp_path / "a", **options)
    assert not (tmp_path / "a").exists()
