"""Find the videos of a batch, and the result file of each."""

from __future__ import annotations

import os
from glob import glob, has_magic
from pathlib import Path

from vidpose.errors import UsageError
from vidpose.outputs import result_path
from vidpose.video import is_ours, pictures_in

VIDEO_SUFFIXES = (
    *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"),
    *(".mts", ".mxf", ".ogv", ".ts", ".webm", ".wmv"),
)
"""Suffixes of videos in a folder; a file given by name may have any suffix."""


def find_videos(sources: list[str | Path], out: str | Path) -> tuple[list[tuple[Path, Path]], bool]:
    """Find the videos of a batch, and the result file of each.

    Args:
        sources: videos; folders, searched recursively; patterns such as `clips/*.mp4` (`**` for
            any folders in between); or .txt files with one path per line, relative to the list,
            where empty lines and lines that start with # are ignored. A folder with images and
            without a video is one video; so is each folder of images in a folder without a video.
        out: folder for the results; those of folders and patterns keep their subfolders.

    Returns:
        (video, result file) pairs, those of folders and patterns sorted by name; and whether any
        of them came from a folder, pattern or list. For result files of several videos see
        `shared_results`.

    Raises:
        UsageError: there is no video, or `out` is a single result file for several videos.
    """
    out = Path(out)
    found: dict[Path, Path] = {}
    looked = False
    for source in map(Path, sources):
        # os.path returns False where pathlib raises: names too long, folders locked.
        pattern = not os.path.exists(source) and has_magic(str(source))
        if os.path.isdir(source) or pattern:
            root = _root(source) if pattern else source
            paths = map(Path, glob(str(source), recursive=True)) if pattern else source.rglob("*")
            videos = [path for path in sorted(paths) if _is_source(path, root, pattern)]
            videos = videos or ([] if pattern else _folders_of_pictures(source))
            if not videos:
                raise UsageError(f"{source} {'matches' if pattern else 'holds'} no video.")
            looked = looked or videos != [source]
            for video in videos:
                within = Path() if video == source else video.parent.relative_to(root)
                found[video] = result_path(video, out, within)
        elif source.suffix.lower() == ".txt" and os.path.isfile(source):
            looked = True
            for video in _listed(source):
                found[video] = result_path(video, out)
        else:
            found[source] = result_path(source, out)
    if out.suffix == ".npz" and len(found) > 1:
        raise UsageError(f"-o {out}: {len(found)} videos need a folder; give its name.")
    return list(found.items()), looked


def shared_results(found: list[tuple[Path, Path]]) -> dict[Path, str]:
    """Find the videos whose result file is also that of another video, such as `a.mov` and `a.mp4`.

    Args:
        found: see `find_videos`.

    Returns:
        Each of these videos, with one sentence that says what to do.
    """
    videos_of: dict[Path, list[Path]] = {}
    for video, target in found:
        videos_of.setdefault(target, []).append(video)
    return {
        video: f"{video}: {_other(videos, video)} would be written to the same {target}; rename "
        "one of them, or run them separately, each with its own -o."
        for target, videos in videos_of.items()
        if len(videos) > 1
        for video in videos
    }


def _other(videos: list[Path], video: Path) -> Path:
    return videos[1] if video == videos[0] else videos[0]


def _folders_of_pictures(folder: Path) -> list[Path]:
    """List the folder itself if it has images; else those of its subfolders that have."""
    if pictures_in(folder):
        return [folder]
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_dir()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and pictures_in(path)
    ]


def _root(pattern: Path) -> Path:
    """Return the folder that a pattern searches: the part before its first wildcard."""
    plain = []
    for part in pattern.parts[:-1]:
        if has_magic(part):
            break
        plain.append(part)
    return Path(*plain)


def _is_source(path: Path, root: Path, pattern: bool) -> bool:
    """Whether a path found in a search is a video, and not an overlay video of ours."""
    inner = path.relative_to(root)
    hidden = any(part.startswith(".") for part in inner.parts)
    video = pattern or path.suffix.lower() in VIDEO_SUFFIXES
    return video and not hidden and path.is_file() and not is_ours(path)


def _listed(source: Path) -> list[Path]:
    try:
        # Not splitlines(), which also splits names at rare line separators.
        lines = source.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError):
        raise UsageError(
            f"{source} cannot be read as a list of videos; write one path per line, in UTF-8."
        ) from None
    paths = [line.strip() for line in lines]
    videos = [source.parent / path for path in paths if path and not path.startswith("#")]
    if not videos:
        raise UsageError(f"{source} lists no video.")
    if not any(map(os.path.exists, videos)):
        raise UsageError(
            f"{source} was read as a list of videos, but none of its paths exist, such as "
            f"{videos[0]}; give one path per line, relative to the list."
        )
    return videos
