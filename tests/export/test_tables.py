from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.export.people import passers_by, varying
from vidpose.export import export, export_files
from vidpose.export import joint_table as module
from vidpose.export.csv import write_table
from vidpose.options import ExportOptions
from vidpose.poses import Pose3D


def check(table: pd.DataFrame, result: Pose3D, tolerance: float) -> None:
    """Check a table against the result."""
    columns = ["person", "frame", "time", "joint", "x", "y", "z", "world_x", "world_y", "world_z"]
    assert list(table.columns) == [*columns, "u", "v", "score", "observed"]
    assert table["observed"].dtype == bool
    camera = result.joints_camera()
    known = result.camera_to_world is not None
    world = result.joints_world() if known else np.full_like(camera, np.nan)
    for row, person in enumerate(result.person_ids.tolist()):
        mine = table[table["person"] == person]
        there = np.flatnonzero(result.present[row])
        part = slice(there[0], there[-1] + 1)
        assert mine["joint"].tolist() == list(result.skeleton.joint_names) * (len(mine) // 17)
        assert mine["frame"].tolist() == result.frame_indices[part].repeat(17).tolist()
        assert mine["time"].tolist() == result.timestamps[part].repeat(17).tolist()
        for prefix, joints in (("", camera), ("world_", world)):
            seen = mine[[f"{prefix}{axis}" for axis in "xyz"]].to_numpy().reshape(-1, 17, 3)
            np.testing.assert_allclose(seen, joints[row, part], atol=tolerance, rtol=0)
        pixels = mine[["u", "v"]].to_numpy().reshape(-1, 17, 2)
        np.testing.assert_allclose(pixels, result.keypoints_2d[row, part], atol=tolerance, rtol=0)
        np.testing.assert_array_equal(mine["observed"], result.observed[row, part].repeat(17))
        np.testing.assert_allclose(
            mine["score"], result.scores_2d[row, part].reshape(-1), atol=tolerance
        )


@pytest.mark.parametrize("result", [passers_by(), passers_by(world=False), varying(passers_by())])
def test_csv_read_by_pandas(result: Pose3D, tmp_path: Path) -> None:
    table = pd.read_csv(export(result, tmp_path / "walk.csv", "csv"))
    check(table, result, 1e-6)


def test_gaps_are_empty(tmp_path: Path) -> None:
    lines = export(passers_by(), tmp_path / "walk.csv", "csv").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("2,121,") and ",RKnee," in line)
    *_, u, v, score = line.removesuffix(",False").split(",")
    assert line == f"2,121,{121 / 29.97!r},RKnee,,,,,,,{u},{v},{score},False"


def test_parts_follow_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = passers_by()
    whole = export(result, tmp_path / "a.csv", "csv").read_text()
    monkeypatch.setattr(module, "FRAMES_AT_ONCE", 7)
    assert export(result, tmp_path / "b.csv", "csv").read_text() == whole


def test_other_tables_are_written_the_same_way(tmp_path: Path) -> None:
    part = {"person": np.array([1, 1]), "knee": np.array([1.5, np.nan], np.float32)}
    write_table([part, part], part, tmp_path / "angles.csv")
    assert (tmp_path / "angles.csv").read_text() == "person,knee\n" + 2 * "1,1.500000\n1,\n"


@pytest.mark.parametrize("result", [passers_by(), passers_by(world=False)])
def test_angles_read_by_pandas(result: Pose3D, tmp_path: Path) -> None:
    export_files(result, tmp_path / "walk", ExportOptions(export="angles"))
    table = pd.read_csv(tmp_path / "walk.angles.csv")
    assert list(table.columns) == ["person", "frame", "time", "angle", "degrees", "degrees_per_s"]
    angles = result.angles()
    for row, person in enumerate(result.person_ids.tolist()):
        there = np.flatnonzero(result.present[row])
        part = slice(there[0], there[-1] + 1)
        mine = table[table["person"] == person]
        frames = result.frame_indices[part].repeat(len(angles.names))
        assert mine["frame"].tolist() == frames.tolist()
        for name, some in mine.groupby("angle"):
            column = angles.names.index(str(name))
            for values, expected in (
                (some["degrees"], angles.degrees),
                (some["degrees_per_s"], angles.velocity()),
            ):
                np.testing.assert_allclose(
                    values, expected[row, part, column], atol=1e-4, rtol=1e-6
                )
    assert set(table["angle"]) == set(angles.names)
