"""Paths of results and of the files next to them, and a check that a result fits into memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from vidpose.errors import UsageError, VidposeError

# Nothing large is imported here: paths are checked before the slow imports.
if TYPE_CHECKING:
    from vidpose.detect.cache import DetectionCache
    from vidpose.options import InferOptions

SUFFIXES = {
    "save_2d": ".2d.npz",
    "save_mmpose": ".mmpose.json",
    "render": ".mp4",
    "view_html": ".html",
}
"""Of the files next to a result, by the option that requests each."""
BYTES, PICTURE_BYTES, WORLD_BYTES = 490, 560, 460
"""Memory for one person in one frame: to compute and hold the arrays of a result, to draw it, and
to transform it to the world frame."""


def result_path(video: Path, out: str | Path, within: str | Path = "") -> Path:
    """Path of a video's result: `out` itself if it is an .npz, else a file in the folder `out`,
    or in its subfolder `within`.

    Raises:
        UsageError: `out` has the extension of a video.
    """
    out = Path(out)
    if out.suffix.lower() in (".mp4", ".mov", ".mkv", ".avi", ".webm"):
        raise UsageError(f"-o {out}: give a folder; results take their names from the videos.")
    name = _folder_name(video) if os.path.isdir(video) else video.stem
    return out if out.suffix == ".npz" else out / within / f"{name}.npz"


def lifted_path(keypoints: Path, out: str | Path) -> Path:
    """Path of the result of a file of 2D joints: `clip.2d.npz` becomes `clip.npz`."""
    out = Path(out)
    if out.suffix == ".npz":
        return out
    name = _folder_name(keypoints) if os.path.isdir(keypoints) else keypoints.stem
    return out / f"{name.removesuffix('.2d').removesuffix('.mmpose')}.npz"


def _folder_name(folder: Path) -> str:
    """The name as given, so that a link keeps its own; `.` and `..` are resolved."""
    return folder.name if folder.name not in ("", "..") else folder.resolve().name


def files_next_to(target: Path, options: InferOptions) -> dict[str, Path]:
    """Requested files next to a result, except exports, by the option that requests each."""
    chosen = options.output.to_dict() | options.render.to_dict()
    return {name: target.with_suffix(suffix) for name, suffix in SUFFIXES.items() if chosen[name]}


def check_memory(
    people: int, frames: int, options: InferOptions, cache: DetectionCache | None
) -> None:
    """Check that a result fits into free memory.

    Arrays have one row per person, each as long as the video. If people keep coming and going,
    arrays grow with the square of the video's length.

    Raises:
        VidposeError: it does not fit.
    """
    each = BYTES + options.render.render * PICTURE_BYTES + options.postprocess.world * WORLD_BYTES
    needed, free = people * frames * each, psutil.virtual_memory().available
    if needed > free:
        kept = cache is not None and cache.frames > 0
        raise VidposeError(
            f"the poses of {people} people in {frames} frames would take {needed / 1e9:.1f} GB of "
            f"memory, and {free / 1e9:.1f} GB are free; keep only the N people who are seen "
            "longest with --longest N, or process a part of the video with --start and --end."
            + (" Detections so far are kept." if kept else "")
        )
