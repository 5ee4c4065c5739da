from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trc import TRCData

from tests.export.people import ABSENT, passers_by, varying
from vidpose.export import export
from vidpose.export.motion import JOINT_NAMES, at_constant_rate, motion_of, of_people
from vidpose.options import ExportOptions

METRES = {"mm": 1e-3, "cm": 1e-2, "m": 1.0}


def read(path: Path) -> Any:
    data = TRCData()
    data.load(str(path))
    return data


def positions(data: Any) -> np.ndarray:
    return np.array([data[name] for name in JOINT_NAMES]).transpose(1, 0, 2)


@pytest.mark.parametrize(("unit", "up"), [(None, None), ("m", "z"), ("cm", "y")])
def test_read_by_another_program(unit: str | None, up: str | None, tmp_path: Path) -> None:
    result = passers_by()
    path = tmp_path / "walk_person2.trc"
    export(of_people(result, (2,)), path, "trc", ExportOptions(unit=unit, up=up))
    data = read(path)
    assert data["FileName"] == path.name
    assert data["Units"] == (unit or "mm")
    assert data["DataRate"] == data["CameraRate"] == 29.97
    assert data["NumFrames"] == 40
    assert data["Markers"] == list(JOINT_NAMES)
    assert data["Frame#"] == list(range(1, 41))
    np.testing.assert_allclose(data["Time"], result.timestamps, atol=1e-6)
    motion = motion_of(result, 1, axes="world", up=up or "y")
    there = motion.known
    seen = positions(data) * METRES[unit or "mm"]
    np.testing.assert_allclose(seen[there], motion.joints[there], atol=1e-6)
    assert np.isnan(seen[~there]).all()
    assert np.count_nonzero(~there) == sum(gap.stop - gap.start for gap in ABSENT)


def test_every_row_has_all_its_fields(tmp_path: Path) -> None:
    """Plus a trailing tab, without which OpenSim misses an empty last field."""
    export(of_people(passers_by(), (2,)), tmp_path / "a.trc", "trc")
    rows = (tmp_path / "a.trc").read_text().split("\n")
    assert rows[5] == rows[-1] == ""
    assert {len(row.split("\t")) for row in rows[6:-1]} == {2 + 3 * 17 + 1}
    assert rows[6] == "1\t3.336670" + 52 * "\t"


def test_frames_at_varying_times_become_even(tmp_path: Path) -> None:
    result = of_people(varying(passers_by()), (1,))
    export(result, tmp_path / "a.trc", "trc")
    data = read(tmp_path / "a.trc")
    assert np.ptp(np.diff(data["Time"])) < 2e-6
    even = at_constant_rate(motion_of(result, 0, axes="world", up="y"))
    np.testing.assert_allclose(positions(data) / 1000, even.joints, atol=1e-6)
