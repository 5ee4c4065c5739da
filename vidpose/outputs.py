"""Where results go, what is written next to them, and whether they fit into memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from vidpose.errors import UsageError, VidposeError

if TYPE_CHECKING:
    from vidpose.detect.cache import DetectionCache
    from vidpose.options import InferOptions
    from vidpose.poses import Pose2D

BYTES, PICTURE_BYTES, WORLD_BYTES = 490, 560, 460
"""Memory for one person in one frame: a result's arrays and what it takes to make them; to draw
them; and to turn them into the world's axes."""


def result_path(video: Path, out: str | Path, within: str | Path = "") -> Path:
    """Where the result of a video goes: `out` itself if it is an .npz, else into that folder,
    or a folder `within` it.

    Raises:
        UsageError: `out` looks like the name of a video.
    """
    out = Path(out)
    if out.suffix.lower() in (".mp4", ".mov", ".mkv", ".avi", ".webm"):
        raise UsageError(f"-o {out}: give a folder; results take their names from the videos.")
    name = _folder_name(video) if os.path.isdir(video) else video.stem
    return out if out.suffix == ".npz" else out / within / f"{name}.npz"


def lifted_path(keypoints: Path, out: str | Path) -> Path:
    """Where the result of a file of 2D joints goes: `clip.2d.npz` gives `clip.npz`."""
    out = Path(out)
    if out.suffix == ".npz":
        return out
    name = _folder_name(keypoints) if os.path.isdir(keypoints) else keypoints.stem
    return out / f"{name.removesuffix('.2d').removesuffix('.mmpose')}.npz"


def _folder_name(folder: Path) -> str:
    """What it is called where it was named: a link has its own name, `.` and `..` have none."""
    return folder.name if folder.name not in ("", "..") else folder.resolve().name


def files_2d(target: Path) -> dict[str, Path]:
    """Where the 2D joints go that are written next to a result, by the option that asks for it."""
    return {
        "save_2d": target.with_suffix(".2d.npz"),
        "save_mmpose": target.with_suffix(".mmpose.json"),
    }


def write_files_2d(poses: Pose2D, files: dict[str, Path], meta: dict[str, Any]) -> None:
    """Write some of `files_2d`; `meta` says where the joints come from."""
    # Here, since where a result goes is told before anything large is imported.
    from vidpose.keypoints import write_2d, write_mmpose
    from vidpose.provenance import metadata_2d

    if path := files.get("save_2d"):
        write_2d(poses, path, metadata_2d(meta))
    if path := files.get("save_mmpose"):
        write_mmpose(poses, path)


def check_memory(
    people: int, frames: int, options: InferOptions, cache: DetectionCache | None
) -> None:
    """Refuse a result that would not fit into the memory that is free.

    Arrays have a row for everybody, as long as the video. Where many come and go in a long one they
    grow with the square of its length.

    Raises:
        VidposeError: it would not.
    """
    each = BYTES + options.render.render * PICTURE_BYTES + options.postprocess.world * WORLD_BYTES
    needed, free = people * frames * each, psutil.virtual_memory().available
    if needed > free:
        kept = cache is not None and cache.frames > 0
        raise VidposeError(
            f"the poses of {people} people in {frames} frames would take {needed / 1e9:.1f} GB of "
            f"memory, and {free / 1e9:.1f} GB are free; --longest N keeps the N people who are "
            "seen longest, and --start and --end do a part of the video."
            + (" What was detected is kept." if kept else "")
        )
