import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vidpose
from tests.results import make_result
from vidpose.errors import MissingDependencyError, ResultFileError, UsageError
from vidpose.export import export_files
from vidpose.options import ExportOptions
from vidpose.poses import LONGEST_S
from vidpose.utils.gaps import NEAREST_S


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
        ({"timestamps": np.zeros(5)}, "not finite and increasing"),
        ({"frame_indices": np.zeros(5, np.int64)}, "frame_indices: not increasing"),
        ({"person_ids": np.array([1, 1], np.int32)}, "duplicate id"),
        ({"present": np.zeros((2, 5), bool)}, "observed where they are not present"),
        ({"fps": 0.0}, "fps: expected a positive number"),
        ({"frame_size": (0, 5)}, "width and height"),
        (
            {"present": np.zeros((2, 5), bool), "observed": np.zeros((2, 5), bool)},
            "must be finite where present",
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
        ({"format": np.array("vidpose-2d/1")}, "2D joints only; run `vidpose lift .*a.npz`"),
        ({"format": None}, "without a format"),
        ({"meta": np.array("{not json")}, "is damaged"),
        ({"meta": np.array("[1]")}, "meta: not a JSON object"),
        ({"joints_3d": None}, "joints_3d is missing"),
        ({"joints_3d": np.zeros((2, 5, 17, 3))}, "expected float32"),
        ({"joint_names": np.array(["a"] * 17)}, "joint_names: not h36m17"),
        ({"fps": np.float64(-1)}, "fps: expected a number from 5e-11 to 20000"),
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
    with pytest.raises(ResultFileError, match="not a vidpose/1 result file"):
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


def test_a_result_is_shown_in_one_line() -> None:
    result = make_result(frames=5, timestamps=np.arange(5) / 2)
    line = "Pose3D(2 people in 5 frames (ids: 1, 2), 0.00 to 2.00 s, 29.97 frames/s, 640x480 px)"
    assert repr(result) == str(result) == line
    assert "(ids: 1, 2, 3, 4, 5, 6, 7, 8, ...)" in repr(make_result(people=9))
    assert "0 people in 5 frames (ids: none)" in repr(make_result(people=0))
    assert "1.0, 2.0" not in repr(result.angles())


def test_names_and_parents_are_those_of_the_file(tmp_path: Path) -> None:
    result = make_result()
    with np.load(vidpose.save(result, tmp_path / "a.npz")) as archive:
        assert result.joint_names == tuple(archive["joint_names"].tolist())
        assert result.parents == tuple(archive["parents"].tolist())


def test_one_person_and_all_one_by_one() -> None:
    result = make_result(people=3)
    second = result.person(2)
    assert second.people == 1
    assert second.person_ids.tolist() == [2]
    np.testing.assert_array_equal(second.joints_3d, result.joints_3d[1:2])
    np.testing.assert_array_equal(second.root_3d, result.root_3d[1:2])
    np.testing.assert_array_equal(second.scores_2d, result.scores_2d[1:2])
    assert second.meta == result.meta
    for person, expected in zip(result, (1, 2, 3), strict=True):
        np.testing.assert_array_equal(person.joints_3d, result.person(expected).joints_3d)
    with pytest.raises(UsageError, match=r"there is no person 7; there are 1, 2, 3\."):
        result.person(7)
    with pytest.raises(UsageError, match="there is no person 1; there is nobody"):
        make_result(people=0).person(1)


def test_a_part_of_the_time() -> None:
    result = make_result(frames=5, timestamps=np.array([0.5, 1.0, 1.5, 2.5, 3.0]))
    part = result.between(1.0, 2.5)
    assert part.timestamps.tolist() == [1.0, 1.5, 2.5]
    assert part.frame_indices.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(part.joints_3d, result.joints_3d[:, 1:4])
    np.testing.assert_array_equal(part.present, result.present[:, 1:4])
    assert result.between(1.2).frames == 3
    assert result.between(end_s=1.2).frames == 2
    with pytest.raises(UsageError, match=r"no frame from 1.6 to 2 s; .* 0.500 to 3.000 s"):
        result.between(1.6, 2.0)


@pytest.mark.parametrize("world", [False, True])
def test_to_dataframe(world: bool) -> None:
    present = np.ones((2, 5), bool)
    present[1, [0, 2]] = False  # comes in late, and is away for a frame
    joints = make_result().joints_3d.copy()
    joints[~present] = np.nan
    matrix = np.eye(4) if world else None
    result = make_result(
        joints_3d=joints, present=present, observed=present, camera_to_world=matrix
    )
    table = result.to_dataframe()
    worlds = ["world_x", "world_y", "world_z"] if world else []
    columns = ["person", "frame", "time", "joint", "x", "y", "z", *worlds]
    assert list(table) == [*columns, "u", "v", "score", "observed"]
    assert len(table) == (5 + 4) * 17
    row = table[(table.person == 2) & (table.frame == 3) & (table.joint == "RKnee")].iloc[0]
    knee = result.joint_names.index("RKnee")
    np.testing.assert_array_equal(
        row[["x", "y", "z"]].to_list(), result.joints_camera()[1, 3, knee]
    )
    np.testing.assert_array_equal(row[["u", "v"]].to_list(), result.keypoints_2d[1, 3, knee])
    assert row.time == result.timestamps[3]
    assert row.score == result.scores_2d[1, 3, knee]
    if world:
        assert (table.world_z == table.z)[table.person == 1].all()
    gap = table[(table.person == 2) & (table.frame == 2)]
    assert gap.x.isna().all()
    assert not gap.observed.any()


def test_to_dataframe_of_nobody_has_the_columns() -> None:
    table = make_result(people=0).to_dataframe()
    assert len(table) == 0
    assert "observed" in table


def test_to_dataframe_without_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'vidpose\[tables\]'"):
        make_result().to_dataframe()


def test_a_result_draws_itself() -> None:
    result = make_result(people=2)
    assert result.plot("speeds", person=int(result.person_ids[1])).axes
    with pytest.raises(UsageError, match="there is no plot bars"):
        result.plot("bars")


def test_a_notebook_shows_the_player() -> None:
    html = make_result(people=1)._repr_html_()
    assert html.startswith("<iframe sandbox=")
    assert "1 person" in html


@pytest.mark.parametrize("step_s", [1.0001 * NEAREST_S, 1 / 30, 300.0, 86_400.0, LONGEST_S / 2])
def test_what_a_video_can_give_is_written_read_and_exported(tmp_path: Path, step_s: float) -> None:
    times = step_s * np.arange(2)
    joints = np.zeros((1, 2, 17, 3), np.float32)
    result = make_result(people=1, frames=2, timestamps=times, fps=1 / step_s, joints_3d=joints)
    path = vidpose.save(result, tmp_path / "a.npz")
    assert vidpose.load(path).fps == result.fps
    options = ExportOptions(export="csv,angles,json,trc,c3d,bvh,glb", axes="camera")
    assert len(export_files(result, tmp_path / "a", options)) == 7
    (bvh,), (trc,) = tmp_path.glob("*.bvh"), tmp_path.glob("*.trc")
    told = bvh.read_text().partition("Frame Time: ")[2].split()[0]
    assert float(told) == pytest.approx(step_s)
    assert float(trc.read_text().splitlines()[2].split("\t")[0]) == pytest.approx(1 / step_s, 1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fps": 1e-11}, "fps: expected a number from 5e-11"),
        ({"root_3d": np.full((2, 5, 3), 2e5, np.float32)}, "root_3d: a value beyond 100,000"),
    ],
)
def test_what_could_not_be_loaded_is_not_written(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ResultFileError, match=rf"a.npz was not written, .*{message}"):
        vidpose.save(make_result(**changes), tmp_path / "a.npz")
    assert not (tmp_path / "a.npz").exists()


def test_results_are_compared_and_hashed_as_objects() -> None:
    """By value, NumPy would raise a ValueError, and a result would not go into a set."""
    result = make_result()
    same = make_result()
    assert result != same
    assert result not in [same]
    assert result in {same, result}
