"""Paths of results and of the files next to them, and a check that a result fits into memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from vidpose.errors import UsageError, VidposeError
from vidpose.events import Report, Warn

# Nothing large is imported here: paths are checked before the slow imports.
if TYPE_CHECKING:
    from vidpose.detect.cache import DetectionCache
    from vidpose.options import InferOptions
    from vidpose.poses import ResultMetadata

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
MOST_NAMES = 8
"""Files to name in a warning."""


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


def warn_of_older_files(
    target: Path, before: ResultMetadata | None, report: Report, *, same_2d: bool = False
) -> None:
    """Warn of files next to a new result that vidpose wrote before it, probably for an earlier one.

    They are not removed, since they may be wanted, and not written again, since their options are
    unknown. There is no warning if the new result is the same as the earlier one.

    Args:
        target: the result.
        before: metadata of the earlier result, if there was one.
        report: called with the warning.
        same_2d: files of 2D joints are still valid: the result was made from them, or lifted again.
    """
    from vidpose.export import exported_files
    from vidpose.keypoints import mmpose, npz
    from vidpose.poses import read_metadata, section
    from vidpose.utils.marks import holds_mark
    from vidpose.video import is_ours
    from vidpose.viewer.page import is_page

    now = read_metadata(target)
    if now is None or (before is not None and before.meta == now.meta):
        return
    kinds: dict[str, Callable[[Path], bool]] = {".mp4": is_ours, ".html": is_page}
    if not same_2d:
        kinds |= {".2d.npz": npz.is_2d, ".mmpose.json": lambda path: holds_mark(path, mmpose.MARK)}
    found = []
    for suffix, ours in kinds.items():
        path = target.with_suffix(suffix)
        with suppress(OSError):  # not readable
            if path.is_file() and ours(path):
                found.append(path)
    found += exported_files(target.with_suffix(""))
    # An export can be lifted.
    source = section(now.meta, "keypoints").get("path")
    written = target.stat().st_mtime
    older = [
        path.name
        for path in found
        if path.stat().st_mtime < written and str(path.resolve()) != source
    ]
    if older:
        names = ", ".join(older[:MOST_NAMES])
        more = f" and {len(older) - MOST_NAMES} more" if len(older) > MOST_NAMES else ""
        report(
            Warn(
                f"{target} is new, and files next to it are older and may show an earlier result: "
                f"{names}{more}; write them again, or delete them."
            )
        )


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
