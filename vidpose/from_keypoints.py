"""Lift 2D joints from a file or an array, without a video."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidpose.camera import assumed_focal_px, pixels_to_rays
from vidpose.errors import UsageError
from vidpose.events import Report, Setup, Warn, ignore
from vidpose.keypoints import FASTEST_FPS, SLOWEST_FPS, read_keypoints
from vidpose.keypoints.assemble import SMALLEST_PX
from vidpose.lifting.lifter import lift_poses, open_lifter
from vidpose.options import LiftOptions, PostprocessOptions, as_json, check_names
from vidpose.outputs import lifted_path, warn_of_older_files
from vidpose.poses import Pose3D, read_metadata, save, seen_joints
from vidpose.postprocess import postprocess
from vidpose.postprocess.refinement import refine_track
from vidpose.provenance import (
    check_same_source,
    describe_file,
    detection_metadata,
    given_focal_px,
    with_lifting_metadata,
)
from vidpose.utils.devices import choose_device
from vidpose.utils.files import check_writable
from vidpose.utils.gaps import gaps_sentence
from vidpose.utils.outside import number
from vidpose.utils.progress import Progress, silent


def lift_file(
    keypoints: str | Path,
    out: str | Path | None = None,
    *,
    format: str = "auto",
    skeleton: str | None = None,
    fps: float | None = None,
    size: tuple[int, int] | None = None,
    video_name: str | None = None,
    report: Report = ignore,
    progress: Progress = silent,
    **options: Any,
) -> Pose3D:
    """Lift the 2D joints of a file to 3D; no video is needed.

    Args:
        keypoints: a file, or a folder with a file for every frame, in one of the formats of
            docs/keypoints.md. A vidpose result keeps its given focal length.
        out: where to write the result: an .npz, or a folder, where it takes the file's name.
        format: one of `vidpose.keypoints.FORMATS`; auto detects it from the content.
        skeleton: the skeleton, if the file does not record it: h36m17, coco17 ...
        fps: frames per second, if the file does not record it.
        size: width and height of the frame in pixels, if the file does not record them.
        video_name: which video or camera, if the file holds several.
        report: called with each message.
        progress: wraps the frames of each person.
        options: the fields of `vidpose.options.LiftOptions` and `PostprocessOptions`.

    Returns:
        The poses of everybody in the file.

    Raises:
        VidposeError: the file, the weights, the device or an option cannot be used.
    """
    keypoints = Path(keypoints)
    if fps is not None and not 0 < fps < float("inf"):
        raise UsageError(f"--fps {fps:g}: give a positive number.")
    if size is not None:
        width, height = size  # an array or a list, too
        size = int(width), int(height)
    check_names(options, (LiftOptions, PostprocessOptions))
    lift, after = LiftOptions.pick(options), PostprocessOptions.pick(options)
    target = None if out is None else lifted_path(keypoints, out)
    if target is not None:
        if os.path.realpath(target) == os.path.realpath(keypoints):
            raise UsageError(f"the result would overwrite {keypoints}; choose another -o.")
        check_writable(target)
    device, why = choose_device(lift.device)
    lifter = open_lifter(lift)
    poses, about = read_keypoints(
        keypoints, format, skeleton=skeleton, fps=fps, size=size, video_name=video_name
    )
    unit = ", parts of width and height" if about.get("normalised") else ""
    report(
        Setup(
            f"2D joints: {keypoints} ({about['format']}, {about['skeleton']}{unit}). "
            f"Weights: {lifter.checkpoint.path}. Device: {device.type} ({why})."
        )
    )
    warnings = about.pop("warnings", [])
    for warning in warnings:
        report(Warn(warning))
    before = about.pop("meta", {})
    if lift.focal_px is None:
        lift = replace(lift, focal_px=given_focal_px(before))
    if target is not None:
        check_same_source(target, before.get("source"))
    detector = before.get("detector", {"name": about["format"]})
    first_s = before.get("first_frame_s")
    first_s = float(first_s) if isinstance(first_s, int | float) else 0.0
    warnings = [*(before.get("warnings") or []), *warnings]
    if (gaps := gaps_sentence(poses.timestamps, first_s)) and not before:
        warnings.append(f"{keypoints}: {gaps}")
        report(Warn(warnings[-1]))
    asked = {"fps": as_json(fps), "size": size}
    meta = detection_metadata(detector, asked, before.get("source"), warnings, first_s)
    meta["keypoints"] = about | describe_file(keypoints)
    lifted = lift_poses(poses, lifter, lift.focal_px, progress)
    if lifter.batches.note:
        report(Warn(lifter.batches.note))
    result = postprocess(with_lifting_metadata(lifted, meta, lifter, lift, after), after, report)
    if target is not None:
        earlier = read_metadata(target)
        save(result, target)
        warn_of_older_files(target, earlier, report, same_2d=True)
    return result


def lift(
    keypoints_2d: NDArray[np.floating],
    frame_size: tuple[int, int],
    fps: float,
    scores: NDArray[np.floating] | None = None,
    weights: str | Path = "default",
    device: str = "auto",
    focal_px: float | None = None,
    precision: str = "auto",
    rigid: bool = True,
) -> NDArray[np.float32]:
    """Lift one person's 2D joints to 3D.

    Every frame gets a pose. In frames without any joint it is interpolated, however long the person
    is absent; give each stretch on its own, or use `lift_file`, which leaves absences of more than
    half a second out.

    Args:
        keypoints_2d: (T, 17, 2) pixels, h36m17 order; NaN = missing.
        frame_size: width and height in pixels.
        fps: frames per second, 0.1 to 10,000.
        scores: (T, 17) confidence, 0 to 1; joints at 0 count as missing.
        weights: name of weights that come with vidpose, or a checkpoint's path.
        device: auto, cpu or cuda.
        focal_px: focal length in pixels; by default the longer side of the frame.
        precision: fp32, bf16, or auto: bf16 if the hardware supports it.
        rigid: move joints closer to their lines of sight and keep bone lengths constant, see
            `vidpose.postprocess.refinement`.

    Returns:
        (T, 17, 3) metres, camera frame (x right, y down, z away from the camera), root at 0.

    Raises:
        ValueError: an array has the wrong shape, a number is out of range, no joint is known, or
            the joints are fractions of the image instead of pixels.
        VidposeError: the weights, the device or the precision cannot be used.
    """
    keypoints_2d = np.asarray(keypoints_2d, dtype=np.float64)
    sides = np.asarray(frame_size, dtype=np.float64)
    if sides.shape != (2,) or not ((sides > 0) & np.isfinite(sides)).all():
        raise ValueError(f"frame_size: expected width and height in pixels, got {frame_size}")
    if focal_px is None:
        focal_px = assumed_focal_px(frame_size)
    if keypoints_2d.ndim != 3 or keypoints_2d.shape[1:] != (17, 2) or not len(keypoints_2d):
        raise ValueError(f"keypoints_2d: expected (T, 17, 2), got {keypoints_2d.shape}")
    fps = number("fps", fps, SLOWEST_FPS, FASTEST_FPS)
    if not 0 < focal_px < np.inf:
        raise ValueError(f"focal_px: expected a positive number, got {focal_px}")
    scores = np.ones(keypoints_2d.shape[:2]) if scores is None else np.asarray(scores)
    if scores.shape != keypoints_2d.shape[:2]:
        raise ValueError(f"scores: expected (T, 17), got {scores.shape}")
    seen = seen_joints(keypoints_2d, scores)
    known = seen[np.isfinite(seen)]
    if known.size and np.abs(known).max() <= SMALLEST_PX:
        raise ValueError(
            f"keypoints_2d: expected pixels, got numbers up to {np.abs(known).max():.4g}; multiply "
            "fractions of the image by its width and height"
        )
    lifter = open_lifter(LiftOptions(weights=weights, device=device, precision=precision))
    timestamps = np.arange(len(seen)) / fps
    joints = lifter(seen, timestamps, frame_size, focal_px).joints
    if rigid:
        rays = pixels_to_rays(seen, frame_size, focal_px)
        joints = refine_track(joints, rays, timestamps)
    return joints
