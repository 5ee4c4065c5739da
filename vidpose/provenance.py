"""Provenance of results: their `meta`, and checks against what a command would produce."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import scipy
import torch

import vidpose
from vidpose.errors import UsageError
from vidpose.lifting.lifter import LiftedPoses, Lifter
from vidpose.options import (
    DetectorOptions,
    InferOptions,
    LiftOptions,
    Options,
    PostprocessOptions,
    flag,
    options_of,
)
from vidpose.poses import ResultMetadata, read_metadata, section
from vidpose.utils.devices import choose_device, choose_precision
from vidpose.utils.files import sha256
from vidpose.video import content_hash, pictures_in
from vidpose.zoo.registry import find_weights

ASSUMED, GIVEN = "assumed: the picture's longer side", "given"


def describe_file(path: Path) -> dict[str, Any]:
    """Path, size and SHA-256 of a file; a folder has only a path."""
    is_file = path.is_file()
    return {
        "path": str(path.resolve()),
        "bytes": path.stat().st_size if is_file else None,
        "sha256": sha256(path) if is_file else None,
    }


def describe_video(video: Path) -> dict[str, Any]:
    """Path, size and SHA-256 of a video, or of the images in a folder; see `content_hash`."""
    files = pictures_in(video) if video.is_dir() else [video]
    return {
        "path": str(video.resolve()),
        "bytes": sum(path.stat().st_size for path in files),
        "sha256": content_hash(video),
    }


def metadata_2d(meta: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a result's `meta` that describes its 2D joints."""
    kept = {
        key: meta.get(key) for key in ("vidpose", "detector", "source", "warnings", "first_frame_s")
    }
    options = recorded_options(meta)
    return kept | {"options": {name: options.get(name) for name in options_of(DetectorOptions)}}


def describe_lifter(lifter: Lifter) -> dict[str, Any]:
    """The lifter's network, weights and precision."""
    checkpoint = lifter.checkpoint
    return {
        "model": checkpoint.model.name,
        "frames": checkpoint.model.config.frames,
        "weights": checkpoint.path.name if checkpoint.path else None,
        "sha256": checkpoint.sha256,
        "normalisation": checkpoint.normalisation,
        "fps": checkpoint.fps,
        "flip": lifter.flip,
        "precision": lifter.precision,
        "device": lifter.device.type,
    }


def given_focal_px(meta: Mapping[str, Any]) -> float | None:
    """The focal length that was given for a result; None if it was assumed."""
    camera = section(meta, "camera")
    return camera["focal_px"] if camera.get("focal") == GIVEN else None


def detection_metadata(
    detector: Any,
    options: Mapping[str, Any],
    source: Any,
    warnings: Any,
    first_frame_s: float | None = None,
) -> dict[str, Any]:
    """The `meta` of 2D joints.

    Args:
        detector: the detector's description.
        options: the detection options.
        source: from `describe_video`; None if the video is unknown.
        warnings: warnings about the video.
        first_frame_s: timestamp of the video's first frame; 0 by default.
    """
    return {
        "vidpose": vidpose.__version__,
        "detector": detector,
        "options": dict(options),
        "source": source,
        "warnings": warnings,
        "first_frame_s": first_frame_s or 0.0,
    }


def with_lifting_metadata(
    lifted: LiftedPoses,
    detected: Mapping[str, Any],
    lifter: Lifter,
    lift: LiftOptions,
    postprocess: PostprocessOptions,
) -> LiftedPoses:
    """Add `meta`: that of the 2D joints, and how they were lifted."""
    meta = dict(detected) | {
        "versions": {
            "torch": torch.__version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        },
        "lifter": describe_lifter(lifter),
        "camera": {
            "focal_px": lifted.focal_px,
            "focal": ASSUMED if lift.focal_px is None else GIVEN,
            "principal_point": "assumed: the middle of the picture",
        },
        "options": detected["options"] | lift.to_dict() | postprocess.to_dict(),
    }
    return lifted._replace(poses=replace(lifted.poses, meta=meta))


def cache_key(
    source: Mapping[str, Any],
    detector: Mapping[str, Any],
    options: DetectorOptions,
    device: torch.device,
    fps: float | None = None,
) -> dict[str, Any]:
    """Everything that the detections of a video, or of an image folder, depend on."""
    return {
        "source": source["sha256"],
        "detector": dict(detector),
        "options": {name: getattr(options, name) for name in ("start", "end", "people")}
        | ({} if fps is None else {"fps": fps}),
        "device": device.type,
        "versions": {
            "vidpose": vidpose.__version__,
            "av": av.__version__,
            "numpy": np.__version__,
            "opencv": cv2.__version__,
            "torch": torch.__version__,
        },
    }


def recorded_options(meta: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a result was made with, by name.

    Early versions recorded some of them in other sections of `meta`.
    """
    lifter, world, scale = (section(meta, name) for name in ("lifter", "world", "scale"))
    camera, smoothing = section(world, "asked"), section(meta, "smoothing")
    smooth = smoothing.get("data")
    earlier = {
        "flip": lifter.get("flip"),
        "rigid": lifter.get("rigid"),
        "focal_px": given_focal_px(meta),
        "world": bool(world),
        "camera_pitch": camera.get("pitch"),
        "camera_roll": camera.get("roll"),
        "horizon": camera.get("horizon"),
        "height_cm": scale.get("height_cm"),
        # By default, the result is not smoothed, but its drawings are.
        "smooth": smooth if smooth == smoothing.get("pictures") else None,
    }
    return earlier | section(meta, "options")


def is_up_to_date(
    found: ResultMetadata, video: Path, options: InferOptions, detector: Mapping[str, Any]
) -> bool:
    """Whether `vidpose.infer` would produce the same result for a video now.

    Args:
        found: metadata of the result.
        video: the video.
        options: the options requested.
        detector: description of the detector that would be used.

    Raises:
        WeightsError: the lifter's weights are missing.
    """
    lift, lifter = options.lift, section(found.meta, "lifter")
    precision = choose_precision(lift.precision, choose_device(lift.device)[0])
    return (
        lifter.get("precision") == precision
        and lifter.get("sha256") == sha256(find_weights(lift.weights))
        and _comes_out_again(found, video, detector, options, lift, options.postprocess)
    )


def finds_nobody_again(
    found: ResultMetadata, video: Path, options: InferOptions, detector: Mapping[str, Any]
) -> bool:
    """Whether `vidpose.infer` would find nobody in a video now, as it did before.

    Args:
        found: of the record that nobody was found.
        video, options, detector: see `is_up_to_date`.
    """
    return _comes_out_again(found, video, detector, options)


def _comes_out_again(
    found: ResultMetadata,
    video: Path,
    detector: Mapping[str, Any],
    options: InferOptions,
    *later: Options,
) -> bool:
    """Whether the version, the detector, the video and the options of input, of detection and of
    `later` stages are those of a record.
    """
    meta = found.meta
    wanted: dict[str, Any] = {}
    for stage in (options.input, options.detector, *later):
        wanted |= stage.identity()
    recorded = recorded_options(meta)
    if recorded.get("longest") is None and found.people <= (wanted["longest"] or 0):
        wanted["longest"] = None  # everybody is among the N
    return (
        meta.get("vidpose") == vidpose.__version__
        and meta.get("detector") == detector
        and all(recorded.get(name) == value for name, value in wanted.items())
        and video.exists()
        and section(meta, "source").get("sha256") == content_hash(video)
    )


def check_same_source(target: Path, source: Mapping[str, Any] | None) -> None:
    """Check that a target path is free or holds a result of the same file.

    Raises:
        UsageError: the file there was made from another file, or is not a result.
    """
    if not target.exists():
        return
    found = read_metadata(target)
    if found is None:
        raise UsageError(f"{target} exists and is not a vidpose result; choose another -o.")
    theirs = section(found.meta, "source").get("sha256")
    if theirs not in (None, (source or {}).get("sha256")):
        raise UsageError(f"{target} was made from another file; choose another -o, or delete it.")


def check_same_detection(target: Path, meta: Mapping[str, Any], *asked: Options) -> None:
    """Check that a result's 2D joints were made with the requested options, before `--relift`.

    Args:
        target: the result.
        meta: its metadata.
        asked: options of input and detection; those left at their default are not compared.

    Raises:
        UsageError: a given option differs from the one that the result was made with.
    """
    detector, recorded = section(meta, "detector"), recorded_options(meta)
    how = section(detector, "options")
    recorded |= {
        "detector": detector.get("name"),
        "flip_test": how.get("flip_test", False),
        # Early versions did not record it.
        "detector_size": how.get("size", "full" if detector.get("name") == "mediapipe" else None),
    }
    given = {name: value for stage in asked for name, value in stage.given().items()}
    differ = [name for name, value in given.items() if recorded.get(name) != value]
    if differ:
        theirs = ", ".join(f"{flag(name)} {_shown(recorded.get(name))}" for name in differ)
        ours = ", ".join(f"{flag(name)} {_shown(given[name])}" for name in differ)
        raise UsageError(
            f"{target} was made with {theirs}, not {ours}; leave out --relift, or give the options "
            "it was made with."
        )


def _shown(value: Any) -> str:
    return "at its default" if value is None else str(value)
