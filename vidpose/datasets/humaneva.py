"""HumanEva-I, as VideoPose3D's files have it.

L. Sigal, A. Balan, M. Black, "HumanEva: Synchronized video and motion capture dataset and baseline
algorithm for evaluation of articulated human motion", 2010. Files: data_3d_humaneva15.npz and
data_2d_humaneva15_<keypoints>.npz, see `videopose.py`. 15 joints, three cameras at 60 frames a
second. Where the motion capture has holes a take is cut into chunks: "Walking 1 chunk0"; the
holes count, so numbers are skipped. The same people are trained on ("Train/S1") and tested on
("Validate/S1"), in different parts of a take.

Detections of COCO's joints (`detectron_pt_coco`) do not fit: a network here has the same joints
in 2D and in 3D.
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
"""What the field measures on."""
FPS = 60.0
FRAME_SIZE = (640, 480)
LIKELY_FOCAL_PX = 750.0
"""For synthetic data only: the lenses' numbers are not published with the files."""


def humaneva_cameras(subject: str) -> tuple[Camera, ...] | None:
    """C1, C2 and C3 for "Train/S1", "Validate/S1" or "S1"; None for a subject without.

    Only their places are facts; focal length and centre are likely ones.
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
