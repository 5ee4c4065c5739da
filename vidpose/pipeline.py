"""The main job: video -> detect -> track -> lift -> result file; and its second half alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import av
import cv2
import numpy as np
import psutil
import scipy
import torch
from numpy.typing import NDArray

import vidpose
from vidpose.ahead import LiftAhead
from vidpose.camera import assumed_focal_px
from vidpose.detect import open_detector
from vidpose.detect.base import Detector, Sight, sights
from vidpose.detect.cache import DetectionCache, Past
from vidpose.errors import NoPersonError, UsageError, VidposeError
from vidpose.keypoints import read_keypoints, write_2d, write_mmpose
from vidpose.lifting.lifter import Lifter, lift_joints, load_lifter_checkpoint, place_people
from vidpose.poses import Pose2D, Pose3D, extent, load, save, told_by
from vidpose.postprocess.body_height import Heights
from vidpose.postprocess.ground_plane import Horizon
from vidpose.postprocess.quality import trust_report
from vidpose.postprocess.steps import Finish
from vidpose.tracking.collector import PoseCollector
from vidpose.utils.devices import choose_device, choose_precision
from vidpose.utils.files import check_writable, sha256
from vidpose.utils.progress import Progress, silent, told_if_long
from vidpose.utils.threads import ahead
from vidpose.video import VideoReader
from vidpose.zoo.registry import find_weights

TOLD_OF_2D = ("vidpose", "detector", "options", "source", "warnings")
"""What the `meta` of 2D joints holds, and that of a result among others."""
RATE_TOLERANCE = 0.01
FRAMES_AHEAD = 4
"""Pictures that wait for the detector; a detector's batch is no larger."""
DETECTIONS_AHEAD = 32
ASSUMED = "assumed: the picture's longer side"


def infer(
    video: str | Path,
    out: str | Path | None = None,
    *,
    detector: str = "auto",
    weights: str | Path = "default",
    device: str = "auto",
    start: float | None = None,
    end: float | None = None,
    focal_px: float | None = None,
    flip: bool = True,
    rigid: bool = True,
    precision: str = "auto",
    people: int = 8,
    longest: int | None = None,
    pose_weights: str | Path | None = None,
    person_weights: str | Path | None = None,
    detect_every: int | None = None,
    half: bool | Literal["auto"] = "auto",
    flip_test: bool | None = None,
    save_2d: bool = False,
    save_mmpose: bool = False,
    world: bool = False,
    camera_pitch: float | None = None,
    camera_roll: float | None = None,
    horizon: Horizon | None = None,
    height_cm: Heights | None = None,
    smooth: str | None = None,
    render: bool = False,
    view: str = "three-quarter",
    relift: bool = False,
    report: Callable[[str], None] = lambda line: None,
    progress: Progress = silent,
) -> Pose3D:
    """Turn a video of people into 3D joints.

    Args:
        video: any file that FFmpeg reads.
        out: where to write the result too: an .npz, or a folder in which it takes the video's
            name.
        detector: auto, mediapipe, hrnet or cpn; see `vidpose.detect.open_detector`.
        weights: name of weights that come with vidpose, or a checkpoint's path.
        device: auto, cpu or cuda; where the lifter computes.
        start, end: seconds from the video's first frame; only what lies between is read.
        focal_px: the camera's focal length in pixels; by default the picture's longer side.
        flip: lift the mirror image too and average.
        rigid: give every bone of a person one length, see `vidpose.postprocess.bone_lengths`.
        precision: what the lifter computes in: fp32, bf16, or auto: bf16 where the hardware does.
        people: no more people than this are followed at a time.
        longest: only so many people are kept, those who are seen longest, and numbered from 1;
            by default everybody.
        pose_weights, person_weights: files or names in the cache, for hrnet and cpn; by default
            the best that is in the cache.
        detect_every: frames from one look for people to the next, for hrnet and cpn.
        half: whether hrnet and cpn compute in 16 bits; auto: where the hardware does.
        flip_test: whether the detector looks at the mirrored person, too; by default mediapipe
            does.
        save_2d: write the 2D joints beside the result, too: <name>.2d.npz, for `lift_file`.
        save_mmpose: write them as MMPose's prediction JSON, too: <name>.mmpose.json.
        world: find up and the floor, too: `camera_to_world`, `joints_world()`, and in `meta` how
            sure they are. The camera must have stood still.
        camera_pitch, camera_roll, horizon: what is known about the camera, see
            `postprocess.ground_plane.place_in_world`; by default up is found from their motion.
        height_cm: how tall people are, centimetres: everybody, or by person id; their poses and
            places are scaled to it. By default ordinary adults.
        smooth: none, savgol or one-euro, see `postprocess.smoothing`; by default the result is not
            smoothed, and the pictures with savgol.
        render: write the video with its skeletons beside the result, too: <name>.mp4.
        view: where it looks at the scene from, see `vidpose.render.parse_view`.
        relift: take the 2D joints from the result that is there, if it is this video's, and only
            lift them again; the options of detection must be the ones it was made with.
        report: takes lines for the user: first what is used and why, then warnings and files.
        progress: wraps the stream of frames.

    Returns:
        Everybody in the video, frame by frame.

    While a long video is worked on, what was found so far lies beside the result, in the folder
    `.<name>.partial`. If the work is interrupted, however hard, the same call goes on from there
    and ends with the same result. The folder is removed when all files are written.

    Raises:
        NoPersonError: nobody was found.
        VidposeError: the video, the weights, the device or an option cannot be used.
    """
    video = Path(video)
    _check_options(start=start, end=end, focal_px=focal_px, longest=longest)
    finish = Finish(
        world=world,
        camera_pitch=camera_pitch,
        camera_roll=camera_roll,
        horizon=horizon,
        height_cm=height_cm,
        smooth=smooth,
    )
    if out is None and (save_2d or save_mmpose or render or relift):
        raise UsageError("2D joints, pictures and results to lift again need a place: give out.")
    target = None if out is None else result_path(video, out)
    picture = target.with_suffix(".mp4") if target is not None and render else None
    if target is not None:
        check_writable(target)
    if picture is not None:
        from vidpose.render import check_out, parse_view

        parse_view(view)
        check_out(picture)
    torch_device, why = choose_device(device)
    lifter = Lifter(load_lifter_checkpoint(weights), torch_device, flip=flip, precision=precision)
    with_what = (
        f"Weights: {lifter.checkpoint.path} "
        f"({'named by you' if str(weights) != 'default' else 'the default'}). "
        f"Device: {torch_device.type} ({why})."
    )
    seen = {"start": start, "end": end, "people": int(people)}
    options = seen | {"longest": longest}
    cache: DetectionCache | None = None
    if relift and target is not None and target.exists():
        poses, meta = _detected_before(video, target, detector, flip_test, options)
        report(f"2D joints: {target} (lifted again). {with_what}")
    else:
        with VideoReader(video, start, end):
            pass  # whatever is no video is told first
        with told_if_long(report, f"Reading {video} for its SHA-256"):
            source = _describe_file(video)  # now, for it may be gone at the end of a long run
        if target is not None:
            _check_not_anothers(target, source)
        found, sentence = open_detector_for(
            detector=detector,
            people=people,
            pose_weights=pose_weights,
            person_weights=person_weights,
            detect_every=detect_every,
            device=device,
            half=half,
            flip_test=flip_test,
        )
        with found:
            report(f"Detector: {sentence}. {with_what}")
            if target is not None:
                cache = DetectionCache(target, _cache_key(source, found, seen, torch_device))

            def make_room(people: int, left_out: int, frames: int) -> None:
                if left_out:
                    report(f"Those {people} of {people + left_out} people who are seen longest.")
                kept = cache is not None and cache.past.frames > 0
                _check_memory(people, frames, pictures=render, world=world, kept=kept)

            with _told_if_stopped(cache, report):
                poses, warnings = _detect(
                    video,
                    start,
                    end,
                    longest,
                    make_room,
                    found,
                    cache,
                    lifter,
                    focal_px,
                    report,
                    progress,
                )
        for warning in warnings:
            report(f"Warning: {warning}")
        if not poses.people:
            if cache is not None:
                cache.remove()
            raise NoPersonError(
                f"Nobody was found in any frame of {video}; vidpose needs people of whom most of "
                "the body is seen, at least about 30 pixels tall."
            )
        meta = {
            "vidpose": vidpose.__version__,
            "detector": found.description,
            "options": options,
            "source": source,
            "warnings": warnings,
        }
    with _told_if_stopped(cache, report):
        if target is not None:
            asked = {"save_2d": save_2d, "save_mmpose": save_mmpose}
            files = {name: path for name, path in files_2d(target).items() if asked[name]}
            write_files_2d(poses, files, meta)
        result = finish(_lift(poses, lifter, rigid, focal_px, meta, progress), report)
        if target is not None:
            with told_if_long(report, f"Writing {target}"):
                save(result, target)
            report(f"{extent(result.people, result.frames)}: {target}")
        if picture is not None:
            from vidpose.render import render_video

            render_video(result, video, picture, view=view, progress=progress)
            report(f"Video with skeletons: {picture}")
    if cache is not None:
        cache.remove()
    return result


@contextmanager
def _told_if_stopped(cache: DetectionCache | None, report: Callable[[str], None]) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        if cache is not None and cache.past.frames:
            report(f"Stopped; {cache.past.frames} frames are kept for the same command.")
        raise


def open_detector_for(
    *,
    detector: str = "auto",
    people: int = 8,
    pose_weights: str | Path | None = None,
    person_weights: str | Path | None = None,
    detect_every: int | None = None,
    device: str = "auto",
    half: bool | Literal["auto"] = "auto",
    flip_test: bool | None = None,
) -> tuple[Detector, str]:
    """The detector that `infer` uses with these options; see there and `open_detector`."""
    return open_detector(
        detector,
        num_people=people,
        pose_weights=pose_weights,
        person_weights=person_weights,
        detect_every=detect_every,
        device=choose_device(device)[0],
        half=half,
        flip_test=flip_test,
    )


def lift_file(
    keypoints: str | Path,
    out: str | Path | None = None,
    *,
    format: str = "auto",
    skeleton: str | None = None,
    fps: float | None = None,
    size: tuple[int, int] | None = None,
    weights: str | Path = "default",
    device: str = "auto",
    focal_px: float | None = None,
    flip: bool = True,
    rigid: bool = True,
    precision: str = "auto",
    world: bool = False,
    camera_pitch: float | None = None,
    camera_roll: float | None = None,
    horizon: Horizon | None = None,
    height_cm: Heights | None = None,
    smooth: str | None = None,
    report: Callable[[str], None] = lambda line: None,
    progress: Progress = silent,
) -> Pose3D:
    """Lift the 2D joints of a file to 3D; no video is needed.

    Args:
        keypoints: MMPose, COCO, OpenPose (a folder), AlphaPose, or NumPy: ours or a bare array.
        out: where to write the result too: an .npz, or a folder in which it takes the file's
            name.
        format: one of `vidpose.keypoints.FORMATS`; auto tells by the content.
        skeleton: whose joints they are, if the file cannot tell: h36m17, coco17 ...
        fps: frames a second, if the file does not tell.
        size: width and height of the picture in pixels, if the file does not tell.
        weights: name of weights that come with vidpose, or a checkpoint's path.
        device: auto, cpu or cuda.
        focal_px: the camera's focal length in pixels; by default the picture's longer side.
        flip: lift the mirror image too and average.
        rigid: give every bone of a person one length, see `vidpose.postprocess.bone_lengths`.
        precision: what the lifter computes in: fp32, bf16, or auto: bf16 where the hardware does.
        world, camera_pitch, camera_roll, horizon, height_cm, smooth: see `infer`.
        report: takes lines for the user: what is used and why.
        progress: wraps the frames of each person.

    Returns:
        Everybody in the file, frame by frame.

    Raises:
        VidposeError: the file, the weights, the device or an option cannot be used.
    """
    keypoints = Path(keypoints)
    _check_options(fps=fps, focal_px=focal_px)
    finish = Finish(
        world=world,
        camera_pitch=camera_pitch,
        camera_roll=camera_roll,
        horizon=horizon,
        height_cm=height_cm,
        smooth=smooth,
    )
    target = None if out is None else lifted_path(keypoints, out)
    if target is not None:
        if target.resolve() == keypoints.resolve():
            raise UsageError(f"the result would overwrite {keypoints}; choose another -o.")
        check_writable(target)
    torch_device, why = choose_device(device)
    lifter = Lifter(load_lifter_checkpoint(weights), torch_device, flip=flip, precision=precision)
    poses, told = read_keypoints(keypoints, format, skeleton=skeleton, fps=fps, size=size)
    report(
        f"2D joints: {keypoints} ({told['format']}, {told['skeleton']}). "
        f"Weights: {lifter.checkpoint.path}. Device: {torch_device.type} ({why})."
    )
    before = told.pop("meta", {})
    if target is not None:
        _check_not_anothers(target, before.get("source"))
    meta = {
        "vidpose": vidpose.__version__,
        "detector": before.get("detector", {"name": told["format"]}),
        "keypoints": told | _describe_file(keypoints),
        "options": {"fps": fps, "size": size},
        "source": before.get("source"),
        "warnings": before.get("warnings", []),
    }
    result = finish(_lift(poses, lifter, rigid, focal_px, meta, progress), report)
    if target is not None:
        save(result, target)
    return result


BYTES = 490
"""Of one person in one frame: a result's arrays and what it takes to make them;"""
PICTURE_BYTES = 560
"""to draw them, smoothed and at their places; and"""
WORLD_BYTES = 460
"""to put them into the world."""


def _check_memory(people: int, frames: int, *, pictures: bool, world: bool, kept: bool) -> None:
    """Refuse a result that would not fit into the memory that is free.

    Arrays have a row for everybody, as long as the video, so where many come and go in a long one
    they grow with the square of its length. `kept`: the detections are, for the next run.

    Raises:
        VidposeError: it would not.
    """
    each = BYTES + pictures * PICTURE_BYTES + world * WORLD_BYTES
    needed, free = people * frames * each, psutil.virtual_memory().available
    if needed > free:
        raise VidposeError(
            f"the poses of {people} people in {frames} frames would take {needed / 1e9:.1f} GB of "
            f"memory, and {free / 1e9:.1f} GB are free; --longest N keeps the N people who are "
            "seen longest, and --start and --end do a part of the video."
            + (" What was detected is kept." if kept else "")
        )


def _check_not_anothers(target: Path, source: dict[str, Any] | None) -> None:
    """Refuse to replace what is not a result of the same video.

    Raises:
        UsageError: it would be.
    """
    if not target.exists():
        return
    told = told_by(target)
    if told is None:
        raise UsageError(f"{target} is there already and is no vidpose result; choose another -o.")
    theirs = told[0].get("source") or {}
    if theirs.get("sha256") not in (None, (source or {}).get("sha256")):
        raise UsageError(
            f"{target} is the result of another video; choose another -o, or delete it."
        )


def files_2d(target: Path) -> dict[str, Path]:
    """Where the 2D joints go that are written beside a result, by the option that asks for it."""
    return {
        "save_2d": target.with_suffix(".2d.npz"),
        "save_mmpose": target.with_suffix(".mmpose.json"),
    }


def write_files_2d(poses: Pose2D, files: dict[str, Path], meta: dict[str, Any]) -> None:
    """Write some of `files_2d`; `meta` tells where the joints come from."""
    if path := files.get("save_2d"):
        write_2d(poses, path, {key: meta[key] for key in TOLD_OF_2D})
    if path := files.get("save_mmpose"):
        write_mmpose(poses, path)


def would_tell(video: Path, detector: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """What the `meta` of a result would hold that decides what else is in it.

    Args:
        video: the video.
        detector: the detector's description.
        options: of `infer`.

    Raises:
        WeightsError: the lifter's weights are not there.
    """
    focal_px = options.get("focal_px")
    camera = {"focal": ASSUMED} if focal_px is None else {"focal_px": float(focal_px)}
    lifter = {
        "sha256": sha256(find_weights(options.get("weights", "default"))),
        "flip": options.get("flip", True),
        "rigid": options.get("rigid", True),
        "precision": choose_precision(
            options.get("precision", "auto"), choose_device(options.get("device", "auto"))[0]
        ),
    }
    return {
        "vidpose": vidpose.__version__,
        "source": {"sha256": _describe_file(video)["sha256"]} if video.is_file() else None,
        "detector": detector,
        "options": {
            "start": options.get("start"),
            "end": options.get("end"),
            "people": int(options.get("people", 8)),
            "longest": options.get("longest"),
        },
        "lifter": lifter,
        "camera": camera,
        **Finish.of(options).told(),
    }


def _detected_before(
    video: Path, target: Path, detector: str, flip_test: bool | None, options: dict[str, Any]
) -> tuple[Pose2D, dict[str, Any]]:
    """The 2D joints of a result, and what it tells about them.

    Raises:
        UsageError: it is another video's, or was made with other options.
        VideoError: the video is not there.
    """
    with VideoReader(video):
        source = _describe_file(video)
    _check_not_anothers(target, source)
    before = load(target)
    about = before.meta.get("detector", {})
    name, flipped = about.get("name"), about.get("options", {}).get("flip_test", False)
    asked = options | {"detector": detector, "flip_test": flip_test}
    theirs = before.meta.get("options", {})
    differ = [key for key in options if theirs.get(key) != options[key]]
    if detector not in ("auto", name):
        differ.append("detector")
    if flip_test not in (None, flipped):
        differ.append("flip_test")
    if differ:
        told = theirs | {"detector": name, "flip_test": flipped}
        raise UsageError(
            f"{target} was made with {_told(told, differ)}, not {_told(asked, differ)}; leave out "
            "--relift, or give the options it was made with."
        )
    fields = {name: getattr(before, name) for name in Pose2D.__dataclass_fields__}
    kept = ("detector", "warnings")
    meta = {"vidpose": vidpose.__version__, "options": options, "source": source}
    return Pose2D(**fields), meta | {key: before.meta.get(key) for key in kept}


def _told(options: dict[str, Any], keys: list[str]) -> str:
    return ", ".join(f"{key} {options.get(key)}" for key in keys)


def _cache_key(
    source: dict[str, Any], detector: Detector, options: dict[str, Any], device: torch.device
) -> dict[str, Any]:
    """All that detections depend on."""
    return {
        "source": source["sha256"],
        "detector": detector.description,
        "options": options,
        "device": device.type,
        "versions": {
            "vidpose": vidpose.__version__,
            "av": av.__version__,
            "numpy": np.__version__,
            "opencv": cv2.__version__,
            "torch": torch.__version__,
        },
    }


def lifted_path(keypoints: Path, out: str | Path) -> Path:
    """Where the result of a file of 2D joints goes: `clip.2d.npz` gives `clip.npz`."""
    out = Path(out)
    if out.suffix == ".npz":
        return out
    name = keypoints.resolve().name if keypoints.is_dir() else keypoints.stem
    return out / f"{name.removesuffix('.2d').removesuffix('.mmpose')}.npz"


def _lift(
    poses: Pose2D,
    lifter: Lifter,
    rigid: bool,
    focal_px: float | None,
    meta: dict[str, Any],
    progress: Progress,
) -> Pose3D:
    """Lift, and tell with what: `meta` says where the 2D joints come from."""
    focal = float(assumed_focal_px(poses.frame_size) if focal_px is None else focal_px)
    meta = meta | {
        "versions": {
            "torch": torch.__version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        },
        "lifter": _describe(lifter) | {"rigid": rigid},
        "camera": {
            "focal_px": focal,
            "focal": ASSUMED if focal_px is None else "given",
            "principal_point": "assumed: the middle of the picture",
        },
    }
    apart = np.full(poses.present.shape, np.nan, np.float32)
    result = lift_joints(poses, lifter, focal, progress, apart)
    trust = trust_report(result, apart)  # before bones get one length, or there is nothing to see
    place_people(result, focal, rigid=rigid)
    return replace(result, meta=meta | {"trust": trust})


def _describe_file(path: Path) -> dict[str, Any]:
    """A folder has no hash."""
    whole = path.is_file()
    return {
        "path": str(path.resolve()),
        "bytes": path.stat().st_size if whole else None,
        "sha256": sha256(path) if whole else None,
    }


def result_path(video: Path, out: str | Path, within: str | Path = "") -> Path:
    """Where the result of a video goes: `out` itself if it is an .npz, else into that folder,
    or a folder `within` it.

    Raises:
        UsageError: `out` looks like the name of a video.
    """
    out = Path(out)
    if out.suffix.lower() in (".mp4", ".mov", ".mkv", ".avi", ".webm"):
        raise UsageError(f"-o {out}: give a folder; results take their names from the videos.")
    return out if out.suffix == ".npz" else out / within / f"{video.stem}.npz"


def _check_options(
    *,
    start: float | None = None,
    end: float | None = None,
    fps: float | None = None,
    focal_px: float | None = None,
    longest: int | None = None,
) -> None:
    if longest is not None and longest < 1:
        raise UsageError(f"--longest {longest}: give a number of people, at least 1.")
    for name, value in (("fps", fps), ("focal-px", focal_px)):
        if value is not None and not 0 < value < float("inf"):
            raise UsageError(f"--{name} {value:g}: give a positive number.")
    if start is not None and not 0 <= start < float("inf"):
        raise UsageError(f"--start {start:g}: seconds count from the video's first frame, 0.")
    if end is not None and not (start or 0) < end < float("inf"):
        raise UsageError(f"--end {end:g} is not after --start {start or 0:g}.")


def _detect(
    video: Path,
    start: float | None,
    end: float | None,
    longest: int | None,
    before: Callable[[int, int, int], None],
    detector: Detector,
    cache: DetectionCache | None,
    lifter: Lifter,
    focal_px: float | None,
    report: Callable[[str], None],
    progress: Progress,
) -> tuple[Pose2D, list[str]]:
    """Find and follow everybody, and lift ahead what is plain already.

    Decoding, detecting and lifting have a thread each; this one collects. Memory grows with the
    joints found, not with pictures. `before` is `PoseCollector.finish`'s.

    Returns:
        Everybody, and what was wrong with the video.
    """
    past = Past() if cache is None else cache.past
    collector = PoseCollector()
    with ExitStack() as stages:
        reader = stages.enter_context(VideoReader(video, start, end, skip=past.frames))
        focal = float(assumed_focal_px(reader.size) if focal_px is None else focal_px)
        lifting = stages.enter_context(LiftAhead(lifter, collector, reader.size, focal))
        seen: Iterable[Sight] = ()
        if past.frames and cache is not None:
            report(f"Going on after {past.frames} frames that an interrupted run has left.")
            seen = cache.sights(detector.skeleton)
        if past.warnings is None:  # else the video had been read to its end
            frames = stages.enter_context(ahead(reader, FRAMES_AHEAD, "decode"))
            new = _kept(sights(detector, frames), reader, detector, cache)
            seen = chain(seen, stages.enter_context(ahead(new, DETECTIONS_AHEAD, "detect")))
        for sight in progress(seen, reader.expected_frames, "detecting"):
            collector.add(*sight)
            lifting.look()
    with told_if_long(report, "Finishing the tracks"):
        poses = collector.finish(reader.fps, reader.size, longest, before)
    warnings = reader.warnings if past.warnings is None else list(past.warnings)
    return replace(poses, fps=_average_rate(poses.timestamps, reader.fps)), warnings


def _kept(
    new: Iterable[Sight], reader: VideoReader, detector: Detector, cache: DetectionCache | None
) -> Iterator[Sight]:
    """What is found in frame after frame; the cache keeps it, whatever ends this."""
    if cache is None:
        yield from new
        return
    if cache.past.frames:
        detector.remember(cache.past.memory)
    long = cache.past.frames > 0  # else it is not worth a file
    ended = False
    try:
        for sight in new:
            cache.add(sight)
            if cache.due():
                cache.write(detector.memory())
                long = True
            yield sight
        ended = True
    finally:
        if long:
            cache.write(detector.memory(), reader.warnings if ended else None)


def _average_rate(timestamps: NDArray[np.float64], told: float) -> float:
    """Frames a second: the container's word if the stamps bear it out, else the stamps'."""
    if len(timestamps) < 2:
        return told
    measured = float((len(timestamps) - 1) / (timestamps[-1] - timestamps[0]))
    return told if abs(measured / told - 1) < RATE_TOLERANCE else measured


def _describe(lifter: Lifter) -> dict[str, Any]:
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
