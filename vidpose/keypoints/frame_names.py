"""Find the frame number and the video of each image from the names of all images.

A name has more than a frame number in it: `0007_cam2.jpg`, `clip2_0007_jpg.rf.4e73a.jpg`,
`cam1/0007.png`. So names are compared: the frame is the number that varies most, and the other
differences distinguish videos. If several numbers are unique for each image, the one after a word
such as `frame` is the frame: 70 in `sample_0007_frame_00070.jpg`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Sized
from pathlib import Path
from typing import NoReturn

from vidpose.errors import KeypointsError, UsageError

SUFFIX = re.compile(
    r"(_keypoints)?\.(json|txt|jpe?g|png|bmp|tiff?|webp|ppm|pgm|heic|avif|gif|exr|jp2)$", re.I
)
ROBOFLOW = re.compile(r"([_.](jpe?g|png|bmp|tiff?|webp))?\.rf\.[0-9a-z]+$", re.I)
"""Roboflow appends the old suffix and a hash, which may contain digits."""
LABEL_STUDIO = re.compile(r"(?<![^/])[0-9a-f]{8}-(?=[^/]*$)")
"""Label Studio prepends a part of a hash, different for each image."""
WORD = re.compile(r"(frames?|images?|img|frm)[_\-. ]?$", re.I)
"""The number after it is the frame's."""
LARGEST = 2_000_000
"""A larger number after such a word is a time or an ID."""
SHOWN = 6
"""Maximum number of videos in a message."""
LONGEST_NUMBER = 19
"""Digits; a longer number is not a frame number."""
SPARSEST = 2
"""If only the position of a number in the name identifies the frames, the numbers may span at most
this many times the number of images; otherwise they are parts of hashes."""

Texts = tuple[str, ...]
Numbers = tuple[int, ...]


def frame_numbers(names: Iterable[str], path: Path, video: str | None = None) -> dict[str, int]:
    """Return the frame of every image of one video, without images of other videos.

    Args:
        names: paths or names of images, or of files for images, with or without suffix.
        path: the file with the names, for messages.
        video: which video, if there are several.

    Raises:
        KeypointsError: the frames cannot be found from the names.
        UsageError: there are several videos and none was chosen, or there is no such video.
    """
    videos = _videos(sorted(set(names)), path)
    if not videos or (video is None and len(videos) == 1):
        return next(iter(videos.values()), {})
    return videos[chosen_video(videos, path, video)]


def chosen_video(videos: Mapping[str, Sized], path: Path, video: str | None) -> str:
    """Return the name of the video to read.

    Args:
        videos: the frames of every video, by the videos' names.
        path: the file with the videos, for messages.
        video: the requested one.

    Raises:
        UsageError: there is no such video, or there are several and none was requested.
    """
    if video is not None and video in videos:
        return video
    if video is None and len(videos) == 1:
        return next(iter(videos))
    listed = ", ".join(f"{name} ({len(of)} frames)" for name, of in list(videos.items())[:SHOWN])
    listed += f" and {len(videos) - SHOWN} more" if len(videos) > SHOWN else ""
    if video is not None:
        raise UsageError(f"--video-name {video}: {path} holds {listed}.")
    raise UsageError(
        f"{path} holds {len(videos)} videos: {listed}; choose one with "
        f"--video-name '{next(iter(videos))}'."
    )


def _videos(names: Sequence[str], path: Path) -> dict[str, dict[str, int]]:
    """Return the frames of all images, by the names of videos and images."""
    alike: dict[Texts, dict[str, Numbers]] = defaultdict(dict)
    for name, stem in sorted(_stems(names).items(), key=lambda one: one[1]):
        texts, numbers = _split(stem)
        if not numbers:
            raise KeypointsError(
                f"{path}: {name[-80:]!r} is a name without a frame number; number the images "
                "as in 000012.jpg."
            )
        alike[texts][name] = numbers
    if len(names) > 1 and len(alike) > len(names) / 2:
        return {path.stem: _by_position(alike, path)}
    videos: dict[str, dict[str, int]] = {}
    for texts, group in alike.items():
        frame, labels = _columns(texts, list(group.values()))
        for name, numbers in group.items():
            label = _label(texts, numbers, labels) or path.stem
            frames = videos.setdefault(label, {})
            frames[name] = numbers[frame]
    for frames in videos.values():
        if len(set(frames.values())) < len(frames):
            _fail_same(frames, path)
    return videos


def _stems(names: Sequence[str]) -> dict[str, str]:
    """Remove what labelling programs add to names."""
    stems = {name: ROBOFLOW.sub("", SUFFIX.sub("", name.replace("\\", "/"))) for name in names}
    hashes = {match[0] for stem in stems.values() if (match := LABEL_STUDIO.search(stem))}
    # Dates have eight digits, too, and a prefix shared by several images may be a video's name.
    if len(hashes) < len(names) or not re.search("[a-f]", "".join(hashes)):
        return stems
    return {name: LABEL_STUDIO.sub("", stem) for name, stem in stems.items()}


def _split(stem: str) -> tuple[Texts, Numbers]:
    """Split a name into texts and the numbers between them."""
    pieces = re.split("([0-9]+)", stem)
    # Longer numbers are cut; the rest is still too large for a frame.
    numbers = tuple(int(n.lstrip("0")[:LONGEST_NUMBER] or "0") for n in pieces[1::2])
    return tuple(pieces[::2]), numbers


def _columns(texts: Texts, rows: Sequence[Numbers]) -> tuple[int, list[int]]:
    """Find which number is the frame's, and which belong to the video's name.

    The frame's number has the most distinct values, preferably after a word such as `frame` if it
    is unique for each image, then in the smallest range. Numbers that differ in (nearly) every
    image, such as times and hashes, do not belong to the video's name; nor do varying numbers
    after a frame number that is unique for each image.
    """
    columns = [set(column) for column in zip(*rows, strict=True)]

    def likely(c: int) -> tuple[int, bool, int, int]:
        low, high, values = min(columns[c]), max(columns[c]), len(columns[c])
        called = values == len(rows) and high < LARGEST and WORD.search(texts[c]) is not None
        return values, called, low - high, c

    frame = max(range(len(columns)), key=likely)
    labels = [c for c in range(len(columns)) if c != frame]
    if len(columns[frame]) == len(rows) > 1:
        labels = [c for c in labels if len(columns[c]) == 1 or c < frame]
    return frame, [c for c in labels if 2 * len(columns[c]) <= max(len(rows), 2)]


def _label(texts: Texts, numbers: Numbers, columns: Sequence[int]) -> str:
    """Return a video's name: that of its images without the frame number."""
    kept = [str(number) if c in columns else "" for c, number in enumerate(numbers)]
    label = "".join(text + number for text, number in zip(texts, [*kept, ""], strict=True))
    return label.strip("_-. /")


def _by_position(alike: Mapping[Texts, Mapping[str, Numbers]], path: Path) -> dict[str, int]:
    """Find the frames if the text differs from image to image: the number after a word such as
    `frame`, else the first or the last.
    """
    rows = {name: numbers for group in alike.values() for name, numbers in group.items()}
    called = {
        name: numbers[c]
        for texts, group in alike.items()
        for name, numbers in group.items()
        for c in range(len(numbers))
        if WORD.search(texts[c]) and numbers[c] < LARGEST
    }
    if len(set(called.values())) == len(rows):
        return called
    found = []
    for place in (0, -1):
        frames = {name: numbers[place] for name, numbers in rows.items()}
        span = max(frames.values()) - min(frames.values())
        if len(set(frames.values())) == len(frames) and span <= SPARSEST * len(frames):
            found.append((span, frames))
    if not found:
        raise KeypointsError(
            f"{path}: the names of its images do not tell their order ("
            f"{', '.join(name[-60:] for name in list(rows)[:2])} ...); number them as in "
            "000012.jpg."
        )
    return min(found, key=lambda one: one[0])[1]


def _fail_same(frames: Mapping[str, int], path: Path) -> NoReturn:
    taken: dict[int, str] = {}
    for name, number in frames.items():
        if number in taken:
            raise KeypointsError(
                f"{path}: {taken[number][-60:]!r} and {name[-60:]!r} are both frame {number}; "
                "number the images as in 000012.jpg."
            )
        taken[number] = name
    raise AssertionError("no number stands twice")
