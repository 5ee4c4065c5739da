"""The small copy of the video to embed in a page, or its link."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

import cv2

from vidpose.poses import Pose3D, section
from vidpose.render.compose import check_size, frames_of, wrong_video
from vidpose.utils.gaps import shown_s, shown_times
from vidpose.utils.progress import Progress
from vidpose.video import VideoReader, VideoWriter, content_hash

LONG_SIDE_PX = 640
CRF = 27
KEY_FRAMES = 12
"""Keyframe interval of the copy, short for fast seeking."""


def check_video(result: Pose3D, video: Path) -> None:
    """Check that a result was made from a video, by frame size and SHA-256.

    Raises:
        VideoError: it was not, or the video cannot be read.
    """
    with VideoReader(video, fps=result.fps) as reader:
        check_size(result, reader)
    known = section(result.meta, "source").get("sha256")
    if known is not None and content_hash(video) != known:
        raise wrong_video(video, "it has another SHA-256")


def small_copy(result: Pose3D, video: Path, progress: Progress) -> bytes:
    """Encode the result's frames as an H.264 MP4 that starts at 0 s; see `shown_times`.

    Raises:
        VideoError: a frame is missing or has another time.
    """
    width, height = result.frame_size
    scale = min(1.0, LONG_SIDE_PX / max(width, height))
    size = max(2, round(width * scale)), max(2, round(height * scale))
    start = float(result.timestamps[0])
    with TemporaryDirectory() as folder, VideoReader(video, fps=result.fps) as reader:
        copy = Path(folder) / "copy.mp4"
        with VideoWriter(
            copy, size, time_base=reader.time_base, crf=CRF, key_frames=KEY_FRAMES
        ) as writer:
            frames = frames_of(result, reader)
            shown = shown_times(result.timestamps)
            cut = shown is not result.timestamps
            for t, frame in enumerate(progress(frames, result.frames, "copying the video")):
                image: Any = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)
                time = float(shown[t]) if cut else frame.time_s
                writer.write(image, time - start, shown_s(frame.duration_s))
        return copy.read_bytes()


def address(video: Path, page: Path) -> str:
    """Link from a page to a video: relative, or absolute if on another drive."""
    video, folder = video.resolve(), page.resolve().parent
    try:
        return quote(os.fsencode(Path(os.path.relpath(video, folder)).as_posix()))
    except ValueError:
        return video.as_uri()
