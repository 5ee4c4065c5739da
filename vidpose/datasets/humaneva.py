"""HumanEva-I in VideoPose3D's file format.

L. Sigal, A. Balan, M. Black, "HumanEva: Synchronized video and motion capture dataset and baseline
algorithm for evaluation of articulated human motion", 2010. Files: data_3d_humaneva15.npz and
data_2d_humaneva15_<keypoints>.npz, see `videopose.py`. 15 joints, three cameras at 60 frames a
second. A take is split into chunks at gaps in the motion capture: "Walking 1 chunk0"; gaps are
numbered, too, so numbers are skipped. Training ("Train/S1") and test ("Validate/S1") have the same
people, in different parts of a take.

Detections of COCO joints (`detectron_pt_coco`) cannot be used: vidpose's networks have the same
joints in 2D and 3D.
"""

from __future__ import annotations

from functools import cache

from vidpose.datasets.cameras import Camera, placed, read_facts
from vidpose.datasets.videopose import Layout
from vidpose.skeleton import HUMANEVA15

KEYPOINTS = "gt"
TRAIN = ("Train/S1", "Train/S2", "Train/S3")
TEST = ("Validate/S1", "Validate/S2", "Validate/S3")
ACTIONS = ("Walking", "Jog", "ThrowCatch", "Gestures", "Box")
DEFAULT_ACTIONS = ("Walking", "Jog", "Box")
"""The actions that papers evaluate on."""
FPS = 60.0
FRAME_SIZE = (640, 480)
LIKELY_FOCAL_PX = 750.0
"""For synthetic data only: the intrinsics are not published with the files."""


def humaneva_cameras(subject: str) -> tuple[Camera, ...] | None:
    """Return C1, C2 and C3 for "Train/S1", "Validate/S1" or "S1"; None for unknown subjects.

    Only their poses are published; focal length and principal point are plausible values.
    """
    return _cameras().get(subject.rpartition("/")[2])


@cache
def _cameras() -> dict[str, tuple[Camera, ...]]:
    places = read_facts("humaneva_cameras.json")["extrinsics"]
    width, height = FRAME_SIZE
    return {
        subject: tuple(
            Camera(
                id=f"C{number}",
                frame_size=FRAME_SIZE,
                focal_px=(LIKELY_FOCAL_PX, LIKELY_FOCAL_PX),
                centre_px=(width / 2, height / 2),
                **placed(place),
            )
            for number, place in enumerate(three, start=1)
        )
        for subject, three in places.items()
    }


LAYOUT = Layout(
    dataset="humaneva",
    name="humaneva15",
    skeleton=HUMANEVA15,
    joints_3d=len(HUMANEVA15),
    kept=tuple(range(len(HUMANEVA15))),
    fps=FPS,
    cameras=humaneva_cameras,
    lens_known=False,
    pieces=" chunk",
)
