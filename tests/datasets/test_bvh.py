from pathlib import Path

import numpy as np
import pytest

from tests.bvh_files import bvh_text
from vidpose.datasets.bvh import read_bvh
from vidpose.errors import DataError

ARM = """HIERARCHY
ROOT base
{
  OFFSET 1 2 3
  CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
  JOINT elbow
  {
    OFFSET 10 0 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    JOINT wrist
    {
      OFFSET 5 0 0
      CHANNELS 3 Zrotation Xrotation Yrotation
      End Site
      {
        OFFSET 1 0 0
      }
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.04
0 0 0 0 0 0 0 0 0 0 0 0
7 8 9 90 0 0 90 90 0 0 0 0
"""


def test_forward_kinematics_by_hand(tmp_path: Path) -> None:
    (tmp_path / "arm.bvh").write_text(ARM)
    bvh = read_bvh(tmp_path / "arm.bvh")
    assert bvh.joint_names == ("base", "elbow", "wrist")
    assert bvh.parents == (-1, 0, 1)
    assert bvh.fps == 25
    positions, orientations = bvh.world()
    np.testing.assert_allclose(positions[0], [[0, 0, 0], [10, 0, 0], [15, 0, 0]])
    # Turned a quarter about z: the upper arm points up; the elbow turns another quarter.
    np.testing.assert_allclose(positions[1], [[7, 8, 9], [7, 18, 9], [2, 18, 9]], atol=1e-9)
    # Then a quarter about the elbow's own, turned x axis: its y axis ends along the file's z.
    np.testing.assert_allclose(orientations[1, 1][:, 1], [0, 0, 1], atol=1e-9)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("HIERARCHY", "HELLO", "does not begin with HIERARCHY"),
        ("MOTION", "NOTHING", "no MOTION section"),
        ("Frames: 2", "Frames: 3", "expected 3 frames of 12 values, found 24"),
        ("Frames: 2", "", "has no header"),
        ("Frame Time: 0.04", "Frame Time: 0", "its frame time: expected a number from 0.0001"),
        ("7 8 9", "7 nan 9", "a value is not a number"),
        ("7 8 9", "7 x 9", "could not convert"),
        ("OFFSET 10 0 0", "OFFSET 10 zero 0", "could not convert"),
        ("Zrotation Yrotation Xrotation", "Zrotation Yrotation Wrotation", "is not a channel"),
        ("JOINT elbow", "THING elbow", "'THING' is not expected"),
        ("Zrotation Yrotation Xrotation", "Zrotation Yrotation Zrotation", "has a channel twice"),
        ("CHANNELS 3", "CHANNELS 4", "is not expected in the hierarchy"),
        ("CHANNELS 3", "CHANNELS 600", "CHANNELS: expected a number from 0 to 6"),
        ("7 8 9", "7 1e300 9", "a value is not a number up to"),
        ("Frames: 2", "Frames: 1000000000", "Frames: expected a number"),
        (
            "CHANNELS 3 Zrotation Xrotation Yrotation\n    JOINT wrist",
            "JOINT wrist",
            "not complete",
        ),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in ARM
    path = tmp_path / "arm.bvh"
    path.write_text(ARM.replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        read_bvh(path)


def test_frames_without_channels(tmp_path: Path) -> None:
    path = tmp_path / "a.bvh"
    path.write_text(
        "HIERARCHY ROOT a { OFFSET 0 0 0 CHANNELS 0 }\nMOTION\nFrames: 9999999\nFrame Time: 1\n"
    )
    with pytest.raises(DataError, match="no joint has a channel"):
        read_bvh(path)


def test_joints_times_frames_are_bounded(tmp_path: Path) -> None:
    joints = "".join(f"JOINT {n} {{ OFFSET 0 0 0 CHANNELS 0 }} " for n in range(3000))
    path = tmp_path / "a.bvh"
    path.write_text(
        f"HIERARCHY ROOT a {{ OFFSET 0 0 0 CHANNELS 1 Xposition {joints}}}\n"
        "MOTION\nFrames: 9000\nFrame Time: 1\n" + "0\n" * 9000
    )
    with pytest.raises(DataError, match="3,001 joints in 9,000 frames"):
        read_bvh(path)


def test_blank_lines_take_no_time(tmp_path: Path) -> None:
    """Removing them from the front of a list, one by one, took minutes for as many."""
    (tmp_path / "a.bvh").write_text(ARM.replace("MOTION\n", "MOTION\n" + "\n" * 2_000_000))
    assert len(read_bvh(tmp_path / "a.bvh").motion) == 2


def test_cut_off_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "a.bvh"
    with pytest.raises(DataError, match="does not exist"):
        read_bvh(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read as BVH text"):
        read_bvh(path)
    whole = bvh_text()
    for part in (0, 100, 900, len(whole) // 2):
        path.write_text(whole[:part])
        with pytest.raises(DataError, match="not a complete BVH file"):
            read_bvh(path)
