from dataclasses import replace
from pathlib import Path
from typing import Any

import c3d
import ezc3d
import numpy as np
import pytest

from tests.export.people import passers_by
from vidpose.errors import UsageError
from vidpose.export import export
from vidpose.export.motion import JOINT_NAMES, motion_of, of_people
from vidpose.options import ExportOptions


@pytest.mark.filterwarnings("ignore:No analog data found")
@pytest.mark.parametrize(("unit", "up", "scale"), [(None, None, 1e-3), ("m", "y", 1.0)])
def test_read_by_other_programs(
    unit: str | None, up: str | None, scale: float, tmp_path: Path
) -> None:
    result = passers_by()
    path = tmp_path / "walk_person2.c3d"
    export(of_people(result, (2,)), path, "c3d", ExportOptions(unit=unit, up=up))
    motion = motion_of(result, 1, axes="world", up=up or "z")
    there = motion.known

    # py-c3d, which shares no code with ezc3d, which wrote it.
    with open(path, "rb") as stream:
        reader = c3d.Reader(stream)
        assert reader.point_rate == np.float32(29.97)
        assert [label.strip() for label in reader.point_labels] == list(JOINT_NAMES)
        assert reader.get("POINT:UNITS").string_value.strip() == (unit or "mm")
        assert reader.get("POINT:Y_SCREEN").string_value.strip() == f"+{(up or 'z').upper()}"
        frames = [points for _, points, _ in reader.read_frames()]
    points = np.array(frames)
    assert points.shape[:2] == (40, 17)
    np.testing.assert_allclose(points[there, :, :3] * scale, motion.joints[there], atol=1e-5)
    assert (points[there, :, 3] == 0).all()
    assert (points[~there, :, 3] == -1).all()

    again = ezc3d.c3d(str(path))
    seen = again["data"]["points"][:3].transpose(2, 1, 0) * scale
    np.testing.assert_allclose(seen[there], motion.joints[there], atol=1e-5)
    assert np.isnan(seen[~there]).all()


def test_more_frames_than_the_header_can_count(tmp_path: Path) -> None:
    short = of_people(passers_by(world=False), (1,))
    frames = 70_000
    names = ("joints_3d", "root_3d", "keypoints_2d", "scores_2d", "present", "observed")
    still: dict[str, Any] = {
        name: np.repeat(getattr(short, name)[:, :1], frames, axis=1) for name in names
    }
    long = replace(
        short,
        **still,
        frame_indices=np.arange(frames, dtype=np.int64),
        timestamps=np.arange(frames) / 29.97,
    )
    with pytest.raises(UsageError, match="C3D holds up to 65535 frames and there are 70000"):
        export(long, tmp_path / "long.c3d", "c3d", ExportOptions(axes="camera"))
    assert list(tmp_path.iterdir()) == []
