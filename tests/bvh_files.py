"""Small generated motion-capture files in the skeleton that vidpose reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np

# (name, parent, offset in cm): enough of the Daz-friendly skeleton for all 17 joints.
JOINTS = [
    ("hip", None, (0, 0, 0)),
    ("abdomen", "hip", (0, 20, 0)),
    ("chest", "abdomen", (0, 12, 0)),
    ("neck", "chest", (0, 22, -2)),
    ("head", "neck", (0, 7, 1)),
    ("leftEye", "head", (4, 8, 8)),
    ("rightEye", "head", (-4, 8, 8)),
    *(("lShldr", "chest", (11, 17, 0)), ("lForeArm", "lShldr", (28, 0, 0))),
    *(("lHand", "lForeArm", (24, 0, 0)), ("rShldr", "chest", (-11, 17, 0))),
    *(("rForeArm", "rShldr", (-28, 0, 0)), ("rHand", "rForeArm", (-24, 0, 0))),
    *(("lThigh", "hip", (9, 0, 0)), ("lShin", "lThigh", (0, -40, 0))),
    *(("lFoot", "lShin", (0, -42, 0)), ("rThigh", "hip", (-9, 0, 0))),
    *(("rShin", "rThigh", (0, -40, 0)), ("rFoot", "rShin", (0, -42, 0))),
]


def bvh_text(frames: int = 60, fps: float = 120.0, seed: int = 0) -> str:
    """A person in a T-pose in frame 0, then swinging arms and legs."""
    lines = ["HIERARCHY"]
    order: list[str] = []

    def joint(name: str, offset: tuple[float, float, float], depth: int) -> None:
        order.append(name)
        pad = "  " * depth
        lines.append(f"{pad}{'JOINT' if depth else 'ROOT'} {name}")
        lines.append(pad + "{")
        lines.append(f"{pad}  OFFSET {offset[0]} {offset[1]} {offset[2]}")
        position = "" if depth else "Xposition Yposition Zposition "
        lines.append(f"{pad}  CHANNELS {3 if depth else 6} {position}Zrotation Yrotation Xrotation")
        children = [(n, o) for n, parent, o in JOINTS if parent == name]
        for child, place in children:
            joint(child, place, depth + 1)
        if not children:
            lines.extend([f"{pad}  End Site", pad + "  {", f"{pad}    OFFSET 0 1 0", pad + "  }"])
        lines.append(pad + "}")

    joint("hip", (0, 0, 0), 0)
    rng = np.random.default_rng(seed)
    time = np.arange(frames)[:, None] / fps
    swing = rng.uniform(5, 25, 3 * len(order)) * np.sin(
        2 * np.pi * (rng.uniform(0.5, 1.5, 3 * len(order)) * time + rng.random(3 * len(order)))
    )
    swing[0] = 0
    place = np.hstack([50 * time, np.full_like(time, 90.0), 20 * time])
    motion = np.hstack([place, swing])
    lines.extend(["MOTION", f"Frames: {frames}", f"Frame Time: {1 / fps:.7f}"])
    lines.extend(" ".join(f"{value:.4f}" for value in row) for row in motion)
    return "\n".join(lines) + "\n"


def write_mocap(folder: Path, subjects: tuple[str, ...], frames: int = 60) -> Path:
    """Write one clip per subject to `folder/<subject>/`."""
    for seed, subject in enumerate(subjects):
        (folder / subject).mkdir(parents=True)
        (folder / subject / f"{subject}_01.bvh").write_text(bvh_text(frames, seed=seed))
    return folder
