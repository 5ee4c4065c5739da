"""2D joints from elsewhere, and ours for elsewhere: one file per format.

`read_keypoints` turns any of them into `Pose2D` in h36m17. docs/keypoints.md describes the formats.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vidpose.errors import UsageError
from vidpose.keypoints import alphapose, assemble, coco, mmpose, npz, openpose
from vidpose.keypoints.base import Item, KeypointFile, check_exists, read_json
from vidpose.poses import Pose2D
from vidpose.skeleton import CONVERSIONS, H36M17, SKELETONS, Skeleton

__all__ = ["FORMATS", "SKELETON_NAMES", "read_keypoints", "write_2d", "write_mmpose"]

FORMATS = ("auto", "mmpose", "coco", "openpose", "alphapose", "npz")
SKELETON_NAMES = (H36M17.name, *(source for source, target in CONVERSIONS if target == H36M17.name))
"""The skeletons that can be lifted."""

SLOWEST_FPS, FASTEST_FPS = 0.1, 10_000.0

_JSON = {module.NAME: module for module in (mmpose, coco, openpose, alphapose)}

write_2d = npz.write
write_mmpose = mmpose.write


def read_keypoints(
    path: str | Path,
    format: str = "auto",
    *,
    skeleton: str | None = None,
    fps: float | None = None,
    size: tuple[int, int] | None = None,
) -> tuple[Pose2D, dict[str, Any]]:
    """Read 2D joints from a file, or from OpenPose's folder.

    Args:
        path: the file or folder.
        format: one of `FORMATS`; auto tells by the content. coco takes MMPose's JSON, too.
        skeleton: whose joints they are, one of `SKELETON_NAMES`; only where the file cannot tell.
        fps: frames a second; only where the file does not tell.
        size: width and height in pixels; only where the file does not tell.

    Returns:
        All people on one time line in h36m17, and what the result file tells about where they
        come from: JSON values.

    Raises:
        KeypointsError: the file cannot be used; the sentence names the file and the key.
        UsageError: an option is missing or contradicts the file.
    """
    path = Path(path)
    asked = _skeleton(skeleton)
    if format not in FORMATS:
        raise UsageError(f"--format {format}: choose {', '.join(FORMATS)}.")
    check_exists(path)
    numpy = path.suffix.lower() in (".npz", ".npy")
    if format == npz.NAME or (format == "auto" and numpy):
        if path.suffix.lower() != ".npy" and npz.is_ours(path):
            poses, meta = npz.read(path, asked)
            _must_agree("--fps", fps, poses.fps, path)
            _must_agree("--size", size, poses.frame_size, path)
            return assemble.in_h36m17(poses, path), {
                "format": npz.NAME,
                "skeleton": poses.skeleton.name,
                "meta": meta,
            }
        found = npz.read_bare(path, asked)
    elif path.is_dir():
        if format not in ("auto", openpose.NAME):
            raise UsageError(f"{path} is a folder; {format} is a file.")
        found = openpose.read_folder(path, asked)
    else:
        item = read_json(path)
        found = _module(item, format).read(item, asked)
    fps, size = _known(found, fps, size)
    poses = assemble.to_poses(found, fps, size)
    return poses, {"format": found.format, "skeleton": found.skeleton.name}


def _module(item: Item, format: str) -> Any:
    """The adapter for a JSON file.

    Raises:
        KeypointsError: the content is of no known format, or not of the format asked for.
    """
    if item.value == []:  # any format without anybody
        return _JSON.get(format, coco)
    matching = [module for module in _JSON.values() if module.matches(item)]
    if format == "auto":
        if not matching:
            item.fail("holds 2D joints in no format known here; docs/keypoints.md lists them")
        return matching[0]
    # MMPose's JSON holds COCO's joints, and many call it COCO JSON.
    if format == coco.NAME and mmpose in matching:
        return mmpose
    if matching and _JSON[format] not in matching:
        item.fail(f"is not of the format {format}, but {matching[0].NAME}")
    return _JSON[format]


def _skeleton(name: str | None) -> Skeleton | None:
    if name is None:
        return None
    if name not in SKELETON_NAMES:
        raise UsageError(f"--skeleton {name}: choose {', '.join(SKELETON_NAMES)}.")
    return SKELETONS[name]


def _known(
    found: KeypointFile, fps: float | None, size: tuple[int, int] | None
) -> tuple[float, tuple[int, int]]:
    """Frame rate and picture size, from the file or the options.

    Raises:
        UsageError: nobody tells, or both do and differ.
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
        raise UsageError(f"{option}: {path} itself says {shown}; leave the option away.")
