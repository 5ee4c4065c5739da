"""False alarms of the quality report's check for merged legs.

    python benchmarks/merged_legs.py MOCAP [--every 3] [-o outputs/merged_legs.md]

MOCAP is a folder of motion capture as for `vidpose train --dataset mocap`. It has no merged legs,
so everything that `merged_legs_s` finds is a false alarm. Still cameras on 8 sides, 5 m away, view
every third clip at about 30 frames/s, with noise in each joint.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from common import argument_parser, markdown_table, publish, run_script

from vidpose.datasets.dataset import MotionClip
from vidpose.datasets.motion_clips import read_clip
from vidpose.errors import DataError
from vidpose.postprocess.merged_legs import merged_legs_s
from vidpose.utils.files import check_writable
from vidpose.utils.gaps import runs

SIDES = 8
AWAY_M, FOCAL_PX, FPS = 5.0, 1000.0, 30.0
NOISE_PX = (0.0, 0.8, 2.0, 4.0)
"""Standard deviations in x and y; at this distance a pixel is 5 mm."""


def false_alarms(
    clips: list[MotionClip], noise_px: float, rng: np.random.Generator
) -> tuple[int, int]:
    """The number of false alarms, and of frames with one."""
    times = frames = 0
    for clip in clips:
        step = max(1, round(clip.fps / FPS))
        joints = clip.joints[::step] - clip.joints[:, :1].mean(axis=0)
        seconds = np.arange(len(joints)) * step / clip.fps
        for turn in 2 * np.pi * np.arange(SIDES) / SIDES:
            right = joints @ (np.cos(turn), np.sin(turn), 0)
            depth = joints @ (-np.sin(turn), np.cos(turn), 0) + AWAY_M
            pixels = FOCAL_PX * np.stack([right, -joints[..., 2]], axis=-1) / depth[..., None]
            pixels += noise_px * rng.standard_normal(pixels.shape)
            alarm = merged_legs_s(pixels.astype(np.float32), np.ones(len(joints), bool), seconds)
            times, frames = times + len(runs(alarm > 0)), frames + int((alarm > 0).sum())
    return times, frames


def measure(folder: Path, every: int, out: Path) -> None:
    check_writable(out)
    clips = [read_clip(path) for path in sorted(folder.glob("*/*.bvh"))[::every]]
    if not clips:
        raise DataError(f"{folder} has no */*.bvh; give a folder of motion capture.")
    seen = SIDES * sum(len(clip.joints[:: max(1, round(clip.fps / FPS))]) for clip in clips)
    rows = []
    for noise_px in NOISE_PX:
        times, frames = false_alarms(clips, noise_px, np.random.default_rng(0))
        minutes = seen / FPS / 60
        rows.append((f"{noise_px:g}", f"{times / minutes:.2f}", f"{frames / seen:.2%}"))
    header = ("noise, px", "false alarms per minute", "frames")
    publish(f"# Merged legs, {len(clips)} clips\n\n{markdown_table(header, rows)}", out)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("mocap", type=Path)
    parser.add_argument("--every", type=int, default=3, help="take every N-th clip")
    parser.add_argument("-o", "--out", type=Path, default=Path("outputs/merged_legs.md"))
    given = parser.parse_args()
    measure(given.mocap, given.every, given.out)


if __name__ == "__main__":
    run_script(main)
