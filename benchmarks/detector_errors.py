"""2D errors of the embedded detector on real video, in body sizes and percent.

    python benchmarks/detector_errors.py FOLDER [VIDEO...] [--size SIZE] [--flip-test]
        [-o outputs/detector_errors.md]

The source of `keypoint_noise.EMBEDDED`. FOLDER contains the videos of `demo_videos/fetch_more.py`;
VIDEO are additional ones, such as the demo. For every video: jitter of joints that stand still,
missing joints, and corrections. From the four calibrated cameras in FOLDER: the distance of each
camera's joints from the triangulated ones, split into a constant and a varying part. The unit of
length is the body size in the image, the mean distance of the joints from the hip.
`keypoint_noise.EMBEDDED` was measured with full and without the flip test (--size full).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import argument_parser, markdown_table, publish, run_script
from multiview import Calibrated, Detected, Track, Truth, add_options, detect, sizes
from numpy.typing import NDArray
from real_cameras import CAMERAS, detect_all, main_person

from vidpose.skeleton import H36M17
from vidpose.utils.files import check_writable
from vidpose.utils.gaps import runs

LONGEST_S = 30.0
"""The longest part of a video that is used."""
MORE = ("bikes.mp4", "vtest.avi")
WINDOW_S, WINDOW_FRAMES = 0.5, 10
"""A joint stands still if it hardly moves for this long, and for so many frames."""
STILL = 0.1
"""Body sizes: the most a still joint moves in that time."""
UNSURE = 0.5
PLAIN = ("people", "seconds", "longest gap, s", "low score for, s", "swaps per minute")
"""Columns that are not percentages."""
CORRECTED = 0.05
"""Body sizes: smaller changes by tracking do not count; keyframes move all joints a little."""
FAR = 0.3
"""Body sizes: a joint with a larger error is an outlier."""

Floats = NDArray[np.float64]


def jitter(seen: Detected) -> tuple[Floats, Floats]:
    """Jitter in windows of still joints.

    Jitter is the residual of a fitted parabola, which describes the motion of a joint that moves by
    less than a tenth of the body size in half a second.

    Returns:
        (N, 2) joint and standard deviation; (N,) correlation of neighbouring frames' errors.
    """
    found, alike = [], []
    poses = seen.poses
    length = max(WINDOW_FRAMES, round(WINDOW_S * poses.fps))
    if length / poses.fps > 1.5 * WINDOW_S:
        return np.empty((0, 2)), np.empty(0)  # the frame rate is too low to tell jitter from motion
    basis = np.linalg.qr(np.vander(np.linspace(-1, 1, length), 3))[0]
    for person in range(poses.people):
        joints = poses.keypoints_2d[person].astype(np.float64)
        size = sizes(joints)
        for run in runs(poses.observed[person]):
            for start in range(run.start, run.stop - length + 1, length):
                part = slice(start, start + length)
                track = joints[part] / np.nanmedian(size[part])
                smooth = np.einsum("tk,sk,sjd->tjd", basis, basis, track)
                way = np.linalg.norm(np.ptp(smooth, axis=0), axis=-1)
                rest = track - smooth
                sd = np.sqrt(np.square(rest).sum(axis=(0, 2)) / (2 * (length - 3)))
                near = (rest[1:] * rest[:-1]).sum(axis=(0, 2)) / np.square(rest).sum(axis=(0, 2))
                for j in np.flatnonzero(np.isfinite(sd) & (way < STILL) & (sd > 0)):
                    found.append((j, sd[j]))
                    alike.append(near[j])
    return np.array(found).reshape(-1, 2), np.array(alike)


def missing(seen: Detected) -> dict[str, float]:
    """Missing people and joints after corrections: shares of the frames, and durations."""
    poses = seen.poses
    present = poses.present
    absent = present & ~poses.observed
    missing_joint = present[..., None] & (poses.scores_2d == 0)
    gaps = [(run.stop - run.start) / poses.fps for some in absent for run in runs(some)]
    unsure = (poses.scores_2d < UNSURE) & present[..., None]
    lengths = [
        (run.stop - run.start) / poses.fps
        for person in unsure
        for joint in person.T
        for run in runs(joint)
    ]
    return {
        "people": poses.people,
        "seconds": present.sum() / poses.fps,
        "not found": absent.sum() / present.sum(),
        "longest gap, s": max(gaps, default=0.0),
        "joints missing": missing_joint.sum() / present.sum() / len(H36M17),
        "low score": unsure.sum() / present.sum() / len(H36M17),
        "low score for, s": float(np.mean(lengths)) if lengths else 0.0,
    }


def corrected(seen: Detected) -> dict[str, float]:
    """Corrections between the detector and the lifter: shares of all joints."""
    swapped = replaced = count = 0
    times, seconds = 0, 0.0
    for track in seen.raw:
        person = _whose(track, seen)
        if person is None:
            continue
        clean = seen.poses.keypoints_2d[person, track.rows]
        raw = track.joints.astype(np.float32)
        size = sizes(clean.astype(np.float64))[:, None]
        off, other = (
            np.linalg.norm(clean - joints, axis=-1) for joints in (raw, raw[:, H36M17.mirrored])
        )
        same = ~(off > CORRECTED * size)
        crossed = (other < off) & ~same
        swapped += int(crossed.sum())
        replaced += int((~same & ~crossed).sum())
        count += same.size
        times += len(runs(crossed.any(axis=-1)))
        seconds += len(raw) / seen.poses.fps
    return {
        "left/right swapped": swapped / max(count, 1),
        "swaps per minute": 60 * times / max(seconds, 1e-9),
        "outliers replaced": replaced / max(count, 1),
    }


def _whose(track: Track, seen: Detected) -> int | None:
    """The index of the person that a track became; None if it was dropped."""
    near = []
    for clean in seen.poses.keypoints_2d[:, track.rows]:
        off = np.linalg.norm(track.joints[:, 0] - clean[:, 0], axis=-1) / sizes(
            clean.astype(np.float64)
        )
        near.append((off < CORRECTED).mean())
    return int(np.argmax(near)) if near and max(near) > 0.5 else None


def against_truth(seen: list[Detected], cameras: list[Calibrated], true: Truth) -> Iterator[str]:
    """The error of each camera's joints, split into a constant and a varying part."""
    off = []
    for view, camera, away in zip(seen, cameras, true.off, strict=True):
        size = sizes(view.poses.keypoints_2d[main_person(view)].astype(np.float64))[: len(away)]
        off.append(away * camera.focal_px / size[:, None, None])
    d = np.stack(off)  # (C, T, J, 2)
    yield from _by_score(d, seen)
    far = np.linalg.norm(d, axis=-1) > FAR
    known = np.isfinite(d).all(axis=-1)
    d = np.where(far[..., None], np.nan, d)
    bias = np.nanmedian(d, axis=1, keepdims=True)
    rest = d - bias
    fps = seen[0].poses.fps
    rows = []
    for j, name in enumerate(H36M17.joint_names):
        outliers = far[:, :, j][known[:, :, j]].mean()
        bias_rms, rest_sd = _rms(bias[..., j, :]), _sd(rest[..., j, :])
        rows.append([name, f"{bias_rms:.3f}", f"{rest_sd:.3f}", f"{outliers:.1%}"])
    rows.append(["all", f"{_rms(bias):.3f}", f"{_sd(rest):.3f}", f"{far[known].mean():.1%}"])
    yield markdown_table(("joint", "constant", "varying", f"beyond {FAR}"), rows)
    for seconds in (1 / 60, 0.05, 0.1, 0.2, 0.4):
        lag = round(seconds * fps)
        product = np.nanmean(rest[:, lag:] * rest[:, :-lag])
        alike = product / np.nanmean(np.square(rest))
        yield f"- varying part, {seconds:.2f} s later: correlation {alike:.2f}"
    pairs = zip(seen, cameras, strict=True)
    alone = [_crossed(view, camera, true, number) for number, (view, camera) in enumerate(pairs)]
    yield f"- left/right swapped after corrections: {np.mean(alone):.2%} of the limb joints"


def _by_score(d: Floats, seen: list[Detected]) -> Iterator[str]:
    """The error of joints by their score, outliers included."""
    scores = np.stack([view.poses.scores_2d[main_person(view)][: d.shape[1]] for view in seen])
    rows = []
    for low, high in ((0, 0.5), (0.5, 0.9), (0.9, 1.0)):
        some = (scores >= low) & (scores < high if high < 1 else scores <= 1)
        rows.append([f"{low} to {high}", f"{some.mean():.1%}", f"{_rms(d[some]):.3f}"])
    yield markdown_table(("score", "share of joints", "error per coordinate"), rows)


def _crossed(view: Detected, camera: Calibrated, true: Truth, number: int) -> float:
    """Share of limb joints that are at the position of the opposite side's joint."""
    at = camera.camera(true.joints)
    at = at[..., :2] / at[..., 2:]
    rays = camera.rays(view.poses.keypoints_2d[main_person(view)].astype(np.float64))[: len(at)]
    rays = rays - true.shifts[number]
    limbs = H36M17.mirrored != np.arange(len(H36M17))
    own = np.linalg.norm(rays - at, axis=-1)[:, limbs]
    other = np.linalg.norm(rays - at[:, H36M17.mirrored], axis=-1)[:, limbs]
    apart = np.linalg.norm(at - at[:, H36M17.mirrored], axis=-1)[:, limbs]
    scale = np.nanmean(np.linalg.norm(at - at[:, :1], axis=-1), axis=-1)[:, None]
    return float(np.nanmean(((own > 2 * other) & (apart > 0.2 * scale))[np.isfinite(own)]))


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.nanmean(np.square(values))))


def _sd(values: Floats) -> float:
    """Standard deviation from the median absolute deviation, which outliers hardly change."""
    return float(1.4826 * np.nanmedian(np.abs(values)))


def jitter_table(videos: dict[str, Detected]) -> str:
    rows, pooled = [], []
    for name, seen in videos.items():
        found, alike = jitter(seen)
        if len(found):
            pooled.append(found)
            cells = f"{seen.poses.fps:.3g}", f"{len(found)}", *_spread(found)
            rows.append([name, *cells, f"{np.median(alike):.2f}"])
    windows = np.concatenate(pooled)
    rows.append(["all", "", f"{len(windows)}", *_spread(windows), ""])
    header = ("video", "frames/s", "windows", "10 %", "median", "90 %", "correlation")
    return markdown_table(header, rows)


def _spread(windows: Floats) -> list[str]:
    return [f"{p:.4f}" for p in np.percentile(windows[:, 1], (10, 50, 90))]


def missing_table(videos: dict[str, Detected]) -> str:
    rows = {name: missing(seen) | corrected(seen) for name, seen in videos.items()}
    keys = list(next(iter(rows.values())))
    cells = [
        [name, *(f"{values[k]:.3g}" if k in PLAIN else f"{values[k]:.2%}" for k in keys)]
        for name, values in rows.items()
    ]
    return markdown_table(("video", *keys), cells)


def measure(folder: Path, more: list[Path], out: Path, **how: Any) -> None:
    check_writable(out)
    views, cameras, true = detect_all(folder, **how)
    videos = {f"{name}.mp4": view for name, view in zip(CAMERAS, views, strict=True)}
    more = [*(folder / name for name in MORE if (folder / name).is_file()), *more]
    videos |= {path.name: detect(path, LONGEST_S, **how) for path in more}
    parts = [
        "# The embedded detector's errors\n\n## Jitter on still joints, sizes\n",
        jitter_table(videos),
        "## Missing and corrected\n",
        missing_table(videos),
        "## Against four cameras, sizes\n",
        *against_truth(views, cameras, true),
    ]
    publish("\n".join(parts) + "\n", out)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("folder", type=Path, help="what demo_videos/fetch_more.py fetched")
    parser.add_argument("videos", type=Path, nargs="*", help="additional videos")
    add_options(parser, "outputs/detector_errors.md")
    given = parser.parse_args()
    measure(given.folder, given.videos, given.out, size=given.size, flip_test=given.flip_test)


if __name__ == "__main__":
    run_script(main)
