from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vidpose
from tests.results import make_result
from vidpose.errors import ResultFileError


def test_round_trip(tmp_path: Path) -> None:
    result = make_result()
    vidpose.save(result, tmp_path / "a.npz")
    again = vidpose.load(tmp_path / "a.npz")
    for field in fields(result):
        np.testing.assert_equal(getattr(again, field.name), getattr(result, field.name))


def test_file_has_the_documented_keys_and_types(tmp_path: Path) -> None:
    path = vidpose.save(make_result(people=3, frames=4), tmp_path / "a.npz")
    with np.load(path, allow_pickle=False) as archive:
        found = {key: (archive[key].shape, archive[key].dtype.kind) for key in archive.files}
        assert str(archive["format"]) == "vidpose/1"
        types = {key: archive[key].dtype for key in archive.files}
    assert found == {
        "format": ((), "U"),
        "joints_3d": ((3, 4, 17, 3), "f"),
        "root_3d": ((3, 4, 3), "f"),
        "keypoints_2d": ((3, 4, 17, 2), "f"),
        "scores_2d": ((3, 4, 17), "f"),
        "present": ((3, 4), "b"),
        "observed": ((3, 4), "b"),
        "person_ids": ((3,), "i"),
        "frame_indices": ((4,), "i"),
        "timestamps": ((4,), "f"),
        "fps": ((), "f"),
        "frame_size": ((2,), "i"),
        "joint_names": ((17,), "U"),
        "parents": ((17,), "i"),
        "meta": ((), "U"),
    }
    for key in ("joints_3d", "root_3d", "keypoints_2d", "scores_2d"):
        assert types[key] == np.float32
    assert types["timestamps"] == types["fps"] == np.float64
    assert types["frame_indices"] == np.int64
    assert types["person_ids"] == types["frame_size"] == np.int32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joints_3d": np.zeros((2, 5, 16, 3), np.float32)}, "expected shape"),
        ({"joints_3d": np.zeros((2, 5, 17, 3))}, "expected float32, got float64"),
        ({"timestamps": np.zeros(5)}, "not finite and rising"),
        ({"frame_indices": np.zeros(5, np.int64)}, "frame_indices: not rising"),
        ({"person_ids": np.array([1, 1], np.int32)}, "an id stands twice"),
        ({"present": np.zeros((2, 5), bool)}, "observed where they are not present"),
        ({"fps": 0.0}, "positive number"),
        ({"frame_size": (0, 5)}, "width and height"),
        (
            {"present": np.zeros((2, 5), bool), "observed": np.zeros((2, 5), bool)},
            "finite must mean present",
        ),
        ({"camera_to_world": np.eye(3)}, "expected shape"),
        ({"camera_to_world": np.eye(4) * 2}, "not a rotation and a translation"),
        ({"camera_to_world": np.diag([-1.0, 1, 1, 1])}, "not a rotation and a translation"),
        ({"camera_to_world": np.full((4, 4), np.nan)}, "not a rotation and a translation"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_result(**changes)


def _write(path: Path, **changes: Any) -> None:
    vidpose.save(make_result(), path)
    with np.load(path) as archive:
        entries = {key: archive[key] for key in archive.files}
    entries |= changes
    np.savez(path, **{key: value for key, value in entries.items() if value is not None})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": np.array("other/7")}, r"not a vidpose/1 result file \(other/7\)"),
        ({"format": None}, "without a format"),
        ({"meta": np.array("{not json")}, "is damaged"),
        ({"meta": np.array("[1]")}, "meta: not a JSON object"),
        ({"joints_3d": None}, "joints_3d is missing"),
        ({"joints_3d": np.zeros((2, 5, 17, 3))}, "expected float32"),
        ({"joint_names": np.array(["a"] * 17)}, "joint_names: not h36m17"),
        ({"fps": np.float64(-1)}, "positive number"),
        ({"camera_to_world": np.zeros((4, 4))}, "not a rotation"),
    ],
)
def test_a_wrong_file_gets_one_sentence(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    _write(tmp_path / "a.npz", **changes)
    with pytest.raises(ResultFileError, match=message):
        vidpose.load(tmp_path / "a.npz")


def test_files_that_are_no_npz(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with pytest.raises(ResultFileError, match="does not exist"):
        vidpose.load(path)
    for content in (b"", b"hello", b"PK\x03\x04 broken"):
        path.write_bytes(content)
        with pytest.raises(ResultFileError, match="not a vidpose result file"):
            vidpose.load(path)
    np.save(tmp_path / "array.npy", np.zeros(3))
    with pytest.raises(ResultFileError, match="not a vidpose result file"):
        vidpose.load(tmp_path / "array.npy")
    whole = vidpose.save(make_result(), tmp_path / "b.npz").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ResultFileError, match="not a vidpose result file"):
        vidpose.load(path)


def test_damage_anywhere_is_one_sentence(tmp_path: Path) -> None:
    whole = vidpose.save(make_result(), tmp_path / "a.npz").read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(200):
        data = bytearray(whole)
        for place in random.integers(len(data), size=3):
            data[place] ^= int(random.integers(1, 256))
        (tmp_path / "a.npz").write_bytes(data)
        try:
            vidpose.load(tmp_path / "a.npz")
        except ResultFileError:
            refused += 1
    assert refused > 150


def test_a_pickle_inside_is_never_executed(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "executed",))

    np.savez(tmp_path / "a.npz", format=np.array([Evil()], dtype=object))
    with pytest.raises(ResultFileError, match="not a vidpose result file"):
        vidpose.load(tmp_path / "a.npz")
    assert not (tmp_path / "executed").exists()
