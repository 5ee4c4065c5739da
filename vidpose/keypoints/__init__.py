"""Read 2D joints of other programs, and write ours for them: one file per format.

`read_keypoints` converts any of them to `Pose2D` in h36m17; docs/keypoints.md has the formats.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vidpose.errors import KeypointsError, UsageError
from vidpose.keypoint_formats import NAMES
from vidpose.keypoints import (
    alphapose,
    assemble,
    coco,
    deeplabcut,
    folder,
    mediapipe,
    mmpose,
    npz,
    openpose,
    table,
    tables,
    vitpose,
    yolo,
)
from vidpose.keypoints.base import Asked, Item, KeypointFile, check_exists, read_json
from vidpose.keypoints.other_files import refuse_other_files, text_kind
from vidpose.poses import Pose2D
from vidpose.skeleton import CONVERSIONS, H36M17, SKELETONS, Skeleton

__all__ = ["FORMATS", "SKELETON_NAMES", "read_keypoints", "write_2d", "write_mmpose"]

FORMATS = NAMES
SKELETON_NAMES = (H36M17.name, *(source for source, target in CONVERSIONS if target == H36M17.name))
"""The skeletons that can be lifted."""

SLOWEST_FPS, FASTEST_FPS = 0.1, 10_000.0

_JSON: dict[str, folder.JsonReader] = {
    module.NAME: module for module in (vitpose, mmpose, coco, openpose, alphapose, yolo, mediapipe)
}
"""The readers of JSON. The first whose `matches` accepts the content reads it."""
_TABLES = {module.NAME: module for module in (deeplabcut, table)}
_IN_FOLDERS = ("openpose", "mmpose", "alphapose", "yolo", "mediapipe")
"""The formats that may be a folder with a file for every frame."""

write_2d = npz.write
write_mmpose = mmpose.write


def read_keypoints(
    path: str | Path,
    format: str = "auto",
    *,
    skeleton: str | None = None,
    fps: float | None = None,
    size: tuple[int, int] | None = None,
    video_name: str | None = None,
) -> tuple[Pose2D, dict[str, Any]]:
    """Read 2D joints from a file, or from a folder with a file for every frame.

    Args:
        path: the file or folder.
        format: one of `FORMATS`; auto detects it from the content. coco takes MMPose's JSON, too.
        skeleton: skeleton of the joints, one of `SKELETON_NAMES`; only if the file does not state
            it.
        fps: frames a second; only if the file does not state them.
        size: width and height in pixels; only if the file does not state them.
        video_name: which video (or camera), if the file holds several.

    Returns:
        All people on one time line in h36m17, and their provenance for the result file: JSON
        values, including `warnings` for the user if there are any.

    Raises:
        KeypointsError: the file cannot be used; the message names the file and the key.
        UsageError: an option is missing or contradicts the file.
    """
    path = Path(path)
    asked = Asked(_skeleton(skeleton), video_name)
    if format not in FORMATS:
        raise UsageError(f"--format {format}: choose {', '.join(FORMATS)}.")
    check_exists(path)
    numpy = path.suffix.lower() in (".npz", ".npy") and not path.is_dir()
    if numpy and format in ("auto", npz.NAME) and npz.is_ours(path):
        poses, meta = npz.read(path, asked.skeleton)
        _must_agree("--fps", fps, poses.fps, path)
        _must_agree("--size", size, poses.frame_size, path)
        _check_video_name(video_name, path, known=False)
        return assemble.in_h36m17(poses, path), {
            "format": npz.NAME,
            "skeleton": poses.skeleton.name,
            "meta": meta,
        }
    found = assemble.with_usable_ids(_read(path, format, asked))
    _check_video_name(video_name, path, known=found.video is not None)
    fps, size = _known(found, fps, size)
    poses = assemble.to_poses(found, fps, size)
    about: dict[str, Any] = {"format": found.format, "skeleton": found.skeleton.name}
    if found.video is not None:
        about["video_name"] = found.video
    if found.normalised:
        about["normalised"] = True
    if found.warnings:
        about["warnings"] = list(found.warnings)
    return poses, about


def _read(path: Path, format: str, asked: Asked) -> KeypointFile:
    """Read a file or folder of another program."""
    if path.is_dir():
        return _read_folder(path, format, asked)
    suffix = path.suffix.lower()
    if format == npz.NAME or (format == "auto" and suffix in (".npz", ".npy")):
        return npz.read_bare(path, asked)
    refuse_other_files(path)
    kind = text_kind(path) if format == "auto" else format
    if kind == yolo.NAME and suffix == ".txt":
        return yolo.read_texts(path, asked)
    if kind in _TABLES:
        rows = tables.read_rows(path)
        return _table_reader(path, rows, format).read(path, rows, asked)
    if kind is None:
        raise KeypointsError(
            f"{path} is not in a known format of 2D joints; docs/keypoints.md lists the formats."
        )
    item = read_json(path)
    return _json_reader(item, format).read(item, asked)


def _read_folder(path: Path, format: str, asked: Asked) -> KeypointFile:
    if format not in ("auto", *_IN_FOLDERS):
        raise UsageError(f"{path} is a folder; {format} is a file.")
    if yolo.text_files(path) and not folder.json_files(path) and format in ("auto", yolo.NAME):
        return yolo.read_texts(path, asked)
    chosen = _IN_FOLDERS if format == "auto" else (format,)
    return folder.read(path, [_JSON[name] for name in chosen], asked)


def _table_reader(path: Path, rows: list[list[str]], format: str) -> Any:
    """Choose the reader of a table.

    Raises:
        KeypointsError: it is no table, or not of the requested format.
    """
    matching = next((one for one in _TABLES.values() if one.matches(rows)), None)
    if matching is None:
        raise KeypointsError(
            f"{path} has no line that names its columns, such as frame, nose_x, nose_y, "
            "nose_score ...; docs/keypoints.md shows the tables that are read."
        )
    if format not in ("auto", matching.NAME):
        raise KeypointsError(f"{path} is not of the format {format}, but {matching.NAME}.")
    return matching


def _json_reader(item: Item, format: str) -> folder.JsonReader:
    """Choose the reader of a JSON file.

    Raises:
        KeypointsError: the content is of no known format, or not of the requested format.
    """
    if item.value == []:  # any format, without people
        return _JSON.get(format, coco)
    matching = [module for module in _JSON.values() if module.matches(item)]
    if format == "auto":
        if not matching:
            item.fail("is not in a known format of 2D joints; docs/keypoints.md lists the formats")
        return matching[0]
    # MMPose's JSON holds COCO's joints, and many people call it COCO JSON.
    if format == coco.NAME and _JSON[mmpose.NAME] in matching:
        return _JSON[mmpose.NAME]
    if format not in _JSON:
        item.fail(f"is not of the format {format}")
    if matching and _JSON[format] not in matching:
        item.fail(f"is not of the format {format}, but {matching[0].NAME}")
    return _JSON[format]


def _check_video_name(asked: str | None, path: Path, *, known: bool) -> None:
    if asked is not None and not known:
        raise UsageError(f"--video-name {asked}: {path} names no videos; leave the option out.")


def _skeleton(name: str | None) -> Skeleton | None:
    if name is None:
        return None
    if name not in SKELETON_NAMES:
        raise UsageError(f"--skeleton {name}: choose {', '.join(SKELETON_NAMES)}.")
    return SKELETONS[name]


def _known(
    found: KeypointFile, fps: float | None, size: tuple[int, int] | None
) -> tuple[float, tuple[int, int]]:
    """Return frame rate and frame size, from the file or the options.

    Raises:
        UsageError: neither states them, or both do and differ.
    """
    _must_agree("--fps", fps, found.fps, found.path)
    _must_agree("--size", size, found.frame_size, found.path)
    fps, size = found.fps or fps, found.frame_size or size
    missing = [
        option
        for option, value in (("--fps FRAMES_A_SECOND", fps), ("--size WIDTHxHEIGHT", size))
        if value is None
    ]
    if fps is None or size is None:
        raise UsageError(
            f"{found.path} does not tell the video's {_of(missing)}; give {' and '.join(missing)}."
        )
    if not SLOWEST_FPS <= fps <= FASTEST_FPS:
        raise UsageError(f"{found.path}: {fps:g} frames a second are no video's; see --fps.")
    return fps, size


def _of(missing: list[str]) -> str:
    names = {"--fps FRAMES_A_SECOND": "frame rate", "--size WIDTHxHEIGHT": "size in pixels"}
    return " and ".join(names[option] for option in missing)


def _must_agree(option: str, given: object, own: object, path: Path) -> None:
    if given is not None and own is not None and given != own:
        shown = "x".join(map(str, own)) if isinstance(own, tuple) else f"{own:g}"
        raise UsageError(f"{option}: {path} itself says {shown}; leave the option out.")
