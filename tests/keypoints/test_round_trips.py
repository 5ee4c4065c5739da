from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vidpose
from tests.results import make_result
from vidpose.errors import KeypointsError, UsageError
from vidpose.keypoints import read_keypoints, write_2d, write_mmpose
from vidpose.poses import Pose2D


def make_poses(**changes: Any) -> Pose2D:
    """Two people, one of them absent and undetected for a while, with a missing joint."""
    result = make_result(frames=12)
    present, observed = np.ones((2, 12), bool), np.ones((2, 12), bool)
    present[1, :3] = observed[1, :4] = False
    observed[0, 6] = False
    keypoints, scores = result.keypoints_2d.copy(), result.scores_2d.copy()
    keypoints[~present], scores[~present] = np.nan, 0
    keypoints[0, 2, 5], scores[0, 2, 5] = np.nan, 0
    arrays = {"keypoints_2d": keypoints, "scores_2d": scores}
    flags = {"present": present, "observed": observed}
    kept = {f.name: getattr(result, f.name) for f in fields(Pose2D)}
    kept |= {"person_ids": np.array([3, 9], np.int32)}
    kept |= {"frame_indices": result.frame_indices + 30, "timestamps": result.timestamps + 1.5}
    return Pose2D(**(kept | arrays | flags | changes))


def test_our_2d_file(tmp_path: Path) -> None:
    poses = make_poses()
    path = write_2d(poses, tmp_path / "a.2d.npz", {"detector": {"name": "test"}})
    again, told = read_keypoints(path)
    for field in fields(poses):
        np.testing.assert_equal(getattr(again, field.name), getattr(poses, field.name))
    assert told["meta"] == {"detector": {"name": "test"}}
    with np.load(path, allow_pickle=False) as archive:
        assert str(archive["format"]) == "vidpose-2d/1"
        assert "joints_3d" not in archive.files


def test_a_result_file(tmp_path: Path) -> None:
    result = make_result()
    again, told = read_keypoints(vidpose.save(result, tmp_path / "a.npz"))
    for field in fields(Pose2D):
        np.testing.assert_equal(getattr(again, field.name), getattr(result, field.name))
    assert told["meta"] == result.meta


def test_mmpose_json(tmp_path: Path) -> None:
    """Everything the format can hold is restored, so not times or interpolation marks."""
    poses = make_poses()
    again, told = read_keypoints(write_mmpose(poses, tmp_path / "a.mmpose.json"))
    assert told == {"format": "mmpose", "skeleton": "h36m17"}
    times = poses.frame_indices / poses.fps
    np.testing.assert_allclose(again.timestamps, times)
    same = replace(again, timestamps=poses.timestamps, observed=poses.observed)
    # The missing joint is interpolated between its sights.
    filled = poses.keypoints_2d[0, [1, 3], 5].mean(axis=0)
    np.testing.assert_allclose(again.keypoints_2d[0, 2, 5], filled, rtol=1e-5)
    same.keypoints_2d[0, 2, 5], same.scores_2d[0, 2, 5] = np.nan, 0
    for field in fields(poses):
        got, wanted = getattr(same, field.name), getattr(poses, field.name)
        if field.name in ("keypoints_2d", "scores_2d"):
            np.testing.assert_allclose(got, wanted, rtol=1e-6)
        else:
            np.testing.assert_equal(got, wanted)


def test_options_that_contradict_our_file(tmp_path: Path) -> None:
    path = write_2d(make_poses(), tmp_path / "a.2d.npz", {})
    with pytest.raises(UsageError, match=r"--fps: .* itself says 29.97"):
        read_keypoints(path, fps=30)
    with pytest.raises(UsageError, match=r"--size: .* itself says 640x480"):
        read_keypoints(path, size=(1, 1))
    with pytest.raises(UsageError, match="says that it holds h36m17"):
        read_keypoints(path, skeleton="coco17")


def test_nobody(tmp_path: Path) -> None:
    path = write_2d(make_result(people=0), tmp_path / "a.npz", {})
    with pytest.raises(KeypointsError, match="there is no person in it"):
        read_keypoints(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"timestamps": np.zeros(12)}, "not finite and increasing"),
        ({"timestamps": None}, "timestamps is missing"),
        ({"timestamps": np.arange(12) * 1e9}, "timestamps: a value beyond 10,000,000,000"),
        ({"scores_2d": np.full((2, 12, 17), 2, np.float32)}, "not between 0 and 1"),
        ({"scores_2d": np.full((2, 12, 17), np.nan, np.float32)}, "not between 0 and 1"),
        (
            {"keypoints_2d": np.full((2, 12, 17, 2), 1e9, np.float32)},
            "keypoints_2d: a value be",
        ),
        ({"keypoints_2d": np.full((2, 12, 17, 2), np.nan, np.float32)}, "without a joint"),
        ({"keypoints_2d": np.zeros((2, 12, 16, 2), np.float32)}, "expected shape"),
        ({"joint_names": np.array(["tail"])}, "joints of no known skeleton"),
        ({"meta": np.array("[]")}, "meta: not a JSON object"),
        ({"frame_size": np.array([0, 1], np.int32)}, "frame_size"),
        ({"observed": np.zeros((2, 12), bool), "keypoints_2d": "nan"}, "without a single joint"),
        ({"scores_2d": np.zeros((2, 12, 17), np.float32)}, "whose score is above 0"),
    ],
)
def test_damaged_files(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = write_2d(make_poses(), tmp_path / "a.2d.npz", {})
    with np.load(path) as archive:
        entries = {key: archive[key] for key in archive.files} | changes
    if isinstance(entries["keypoints_2d"], str):
        entries["keypoints_2d"] = np.full((2, 12, 17, 2), np.nan, np.float32)
    np.savez(path, **{key: value for key, value in entries.items() if value is not None})
    with pytest.raises(KeypointsError, match=message) as error:
        read_keypoints(path)
    assert str(path) in str(error.value)
