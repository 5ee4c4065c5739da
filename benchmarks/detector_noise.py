"""What the embedded detector does wrong on real video: the numbers behind `noise.EMBEDDED`.

    python benchmarks/detector_noise.py FOLDER [VIDEO...] [--no-flip-test]
        [-o outputs/detector_noise.md]

FOLDER is what `demo_videos/fetch_more.py` fetches; VIDEO are further ones, such as the demo's. Of
every video: jitter on joints that are still, what is missing, and what had to be mended. From the
four calibrated cameras in FOLDER: how far each camera's joints are from where all four together put
them, what of it stays and what comes and goes. Lengths are in the person's size in the picture, the
mean distance of the joints from the hip. `noise.EMBEDDED` is of --no-flip-test: the detector had no
flip test then.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from measuring import publish
from numpy.typing import NDArray
from real_cameras import CAMERAS, look, the_person
from real_video import Calibrated, Seen, Track, Truth, add_flip_test, detect, sizes

from vidpose.errors import VidposeError
from vidpose.skeleton import H36M17
from vidpose.utils.files import check_writable
from vidpose.utils.gaps import runs

LONGEST_S = 30.0
"""No more is looked at of one video."""
MORE = ("bikes.mp4", "vtest.avi")
WINDOW_S, WINDOW_FRAMES = 0.5, 10
"""Still is what hardly moves for this long, and for as many frames."""
STILL = 0.1
"""Of the person's size: how far a still joint may get in that time."""
UNSURE = 0.5
PLAIN = ("people", "seconds", "longest gap, s", "for, s", "spells a minute")
"""Columns that are no shares."""
FAR = 0.3
"""Off by more than this is an outlier."""

Floats = NDArray[np.float64]


def jitter(seen: Seen) -> tuple[Floats, Floats]:
    """Windows of joints that are still: (N, 2) joint and standard deviation; and (N,) how alike
    the errors of neighbouring frames are (correlation).

    What a parabola leaves over is jitter: nobody's joint does more within half a second and a tenth
    of their size.
    """
    found, alike = [], []
    poses = seen.poses
    length = max(WINDOW_FRAMES, round(WINDOW_S * poses.fps))
    if length / poses.fps > 1.5 * WINDOW_S:
        return np.empty((0, 2)), np.empty(0)  # too few frames a second to tell jitter from motion
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


def missing(seen: Seen) -> dict[str, float]:
    """Shares of the frames in which a person is present, after mending; and how long it lasts."""
    poses = seen.poses
    present = poses.present
    absent = present & ~poses.observed
    gone = present[..., None] & (poses.scores_2d == 0)
    lasting = [(run.stop - run.start) / poses.fps for some in absent for run in runs(some)]
    unsure = (poses.scores_2d < UNSURE) & present[..., None]
    spells = [
        (run.stop - run.start) / poses.fps
        for person in unsure
        for joint in person.T
        for run in runs(joint)
    ]
    return {
        "people": poses.people,
        "seconds": present.sum() / poses.fps,
        "not found": absent.sum() / present.sum(),
        "longest gap, s": max(lasting, default=0.0),
        "joints gone": gone.sum() / present.sum() / len(H36M17),
        "unsure": unsure.sum() / present.sum() / len(H36M17),
        "for, s": float(np.mean(spells)) if spells else 0.0,
    }


def mended(seen: Seen) -> dict[str, float]:
    """What was put back or replaced between the detector and the lifter: shares of all joints."""
    swapped = replaced = count = 0
    spells, seconds = 0, 0.0
    for track in seen.raw:
        person = _whose(track, seen)
        if person is None:
            continue
        clean = seen.poses.keypoints_2d[person, track.rows]
        raw = track.joints.astype(np.float32)
        same = (clean == raw).all(axis=-1)
        crossed = (clean == raw[:, H36M17.mirrored]).all(axis=-1) & ~same
        swapped += int(crossed.sum())
        replaced += int((~same & ~crossed).sum())
        count += same.size
        spells += len(runs(crossed.any(axis=-1)))
        seconds += len(raw) / seen.poses.fps
    return {
        "left and right exchanged": swapped / max(count, 1),
        "spells a minute": 60 * spells / max(seconds, 1e-9),
        "outliers replaced": replaced / max(count, 1),
    }


def _whose(track: Track, seen: Seen) -> int | None:
    """Which person a track became; None if it was dropped."""
    equal = [
        (track.joints[:, 0].astype(np.float32) == clean[track.rows, 0]).all(axis=-1).mean()
        for clean in seen.poses.keypoints_2d
    ]
    return int(np.argmax(equal)) if equal and max(equal) > 0.5 else None


def against_truth(seen: list[Seen], cameras: list[Calibrated], true: Truth) -> Iterator[str]:
    """What each camera's joints are off by, split into what stays and what comes and goes."""
    off = []
    for view, camera, away in zip(seen, cameras, true.off, strict=True):
        size = sizes(view.poses.keypoints_2d[the_person(view)].astype(np.float64))[: len(away)]
        off.append(away * camera.focal_px / size[:, None, None])
    d = np.stack(off)  # (C, T, J, 2)
    yield from _by_score(d, seen)
    far = np.linalg.norm(d, axis=-1) > FAR
    known = np.isfinite(d).all(axis=-1)
    d = np.where(far[..., None], np.nan, d)
    bias = np.nanmedian(d, axis=1, keepdims=True)
    rest = d - bias
    fps = seen[0].poses.fps
    yield "| joint | bias | comes and goes | beyond 0.3 |\n|---|---|---|---|"
    for j, name in enumerate(H36M17.joint_names):
        outliers = far[:, :, j][known[:, :, j]].mean()
        numbers = f"{_rms(bias[..., j, :]):.3f} | {_sd(rest[..., j, :]):.3f}"
        yield f"| {name} | {numbers} | {outliers:.1%} |"
    outliers = far[known].mean()
    yield f"| all | {_rms(bias):.3f} | {_sd(rest):.3f} | {outliers:.1%} |\n"
    for seconds in (1 / 60, 0.05, 0.1, 0.2, 0.4):
        lag = round(seconds * fps)
        product = np.nanmean(rest[:, lag:] * rest[:, :-lag])
        alike = product / np.nanmean(np.square(rest))
        yield f"- what comes and goes, {seconds:.2f} s later: correlation {alike:.2f}"
    pairs = zip(seen, cameras, strict=True)
    alone = [_crossed(view, camera, true, number) for number, (view, camera) in enumerate(pairs)]
    yield f"- left and right exchanged, after mending: {np.mean(alone):.2%} of the limbs' joints"


def _by_score(d: Floats, seen: list[Seen]) -> Iterator[str]:
    """How far off joints are that the detector is more or less sure of; outliers count."""
    scores = np.stack([view.poses.scores_2d[the_person(view)][: d.shape[1]] for view in seen])
    yield "| score | of the joints | off, each way |\n|---|---|---|"
    for low, high in ((0, 0.5), (0.5, 0.9), (0.9, 1.0)):
        some = (scores >= low) & (scores < high if high < 1 else scores <= 1)
        yield f"| {low} to {high} | {some.mean():.1%} | {_rms(d[some]):.3f} |"
    yield ""


def _crossed(view: Seen, camera: Calibrated, true: Truth, number: int) -> float:
    """Share of joints that lie on their mirror image's true place and not on their own."""
    at = camera.camera(true.joints)
    at = at[..., :2] / at[..., 2:]
    rays = camera.rays(view.poses.keypoints_2d[the_person(view)].astype(np.float64))[: len(at)]
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
    """From the median deviation, which outliers leave alone."""
    return float(1.4826 * np.nanmedian(np.abs(values)))


def main(folder: Path, more: list[Path], out: Path, flip_test: bool = True) -> None:
    check_writable(out)
    views, cameras, true = look(folder, flip_test)
    videos = {f"{name}.mp4": view for name, view in zip(CAMERAS, views, strict=True)}
    more = [*(folder / name for name in MORE if (folder / name).is_file()), *more]
    videos |= {path.name: detect(path, LONGEST_S, flip_test) for path in more}
    lines = ["# The embedded detector's errors\n\n## Jitter on still joints, sizes\n"]
    lines.append("| video | frames/s | windows | 10 % | median | 90 % | correlation |")
    lines.append("|---|---|---|---|---|---|---|")
    pooled = []
    for name, seen in videos.items():
        found, alike = jitter(seen)
        if len(found):
            pooled.append(found)
            spread = " | ".join(f"{p:.4f}" for p in np.percentile(found[:, 1], (10, 50, 90)))
            told = f"{seen.poses.fps:.3g} | {len(found)} | {spread} | {np.median(alike):.2f}"
            lines.append(f"| {name} | {told} |")
    windows = np.concatenate(pooled)
    spread = " | ".join(f"{p:.4f}" for p in np.percentile(windows[:, 1], (10, 50, 90)))
    lines.append(f"| all | | {len(windows)} | {spread} | |")
    rows = {name: missing(seen) | mended(seen) for name, seen in videos.items()}
    keys = list(next(iter(rows.values())))
    lines.append(f"\n## Missing and mended\n\n| video | {' | '.join(keys)} |")
    lines.append("|---|" + "---|" * len(keys))
    for name, values in rows.items():
        cells = []
        for key, value in values.items():
            plain = key in PLAIN
            cells.append(f"{value:.3g}" if plain else f"{value:.2%}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines.append("\n## Against four cameras, sizes\n")
    lines += against_truth(views, cameras, true)
    text = "\n".join(lines) + "\n"
    publish(text, out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="what demo_videos/fetch_more.py fetched")
    parser.add_argument("videos", type=Path, nargs="*", help="further videos")
    parser.add_argument("-o", "--out", type=Path, default=Path("outputs/detector_noise.md"))
    add_flip_test(parser)
    given = parser.parse_args()
    try:
        main(given.folder, given.videos, given.out, given.flip_test)
    except VidposeError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
