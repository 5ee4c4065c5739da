"""Human3.6M in VideoPose3D's file format, with the field's usual protocol.

C. Ionescu et al., "Human3.6M: Large scale datasets and predictive methods for 3D human sensing in
natural environments", 2014. Files: data_3d_h36m.npz and data_2d_h36m_<keypoints>.npz, see
`videopose.py`. The 3D file has the recording's 32 joints in the world; each of four cameras sees
every take at 50 frames a second.
"""

from __future__ import annotations

from vidpose.datasets.cameras import h36m_cameras
from vidpose.datasets.videopose import Layout
from vidpose.skeleton import H36M17

RECORDED_JOINTS = 32
KEPT = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
"""Indices of h36m17's joints, in its order, among the 32 recorded ones."""

KEYPOINTS = "cpn_ft_h36m_dbb"
TRAIN = ("S1", "S5", "S6", "S7", "S8")
TEST = ("S9", "S11")
ACTIONS = (
    *("Directions", "Discussion", "Eating", "Greeting", "Phoning", "Photo", "Posing", "Purchases"),
    *("Sitting", "SittingDown", "Smoking", "Waiting", "WalkDog", "Walking", "WalkTogether"),
)
"""In the order of published tables."""
FPS = 50.0

LAYOUT = Layout(
    dataset="h36m",
    name="h36m",
    skeleton=H36M17,
    joints_3d=RECORDED_JOINTS,
    kept=KEPT,
    fps=FPS,
    cameras=h36m_cameras().get,
    corrupt=frozenset({("S11", "Directions")}),  # corrupt video; VideoPose3D excludes it, too
)
