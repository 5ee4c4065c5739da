"""Cameras and network streams: frames as they come, each at the time its source gives it.

PyAV opens both, as it opens files: it is here already, gives the driver's or the sender's own time
stamps, and says within seconds that nothing comes any more.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import av
from av.video.frame import VideoFrame

from vidpose.errors import UsageError, VideoError
from vidpose.video.clock import Clock
from vidpose.video.colours import Image, ToRGB
from vidpose.video.reader import VideoReader
from vidpose.video.streams import LENIENT

OPEN_S, READ_S = 10.0, 5.0
"""A source that sends nothing for so long cannot be opened, or has ended."""
POLL_S = 0.005
"""Some cameras say that there is no frame yet, in place of waiting for it."""
PROBE_US = 1_000_000
"""A stream is looked at for so many microseconds to find out what is in it; with FFmpeg's 5 s the
first frame would be shown late."""


@dataclass(frozen=True)
class Shot:
    """A frame whose picture is made when it is wanted: many are not."""

    index: int
    """Counts all frames that came, those that nobody took too."""
    time_s: float
    """Seconds, as the source says: of a file as its container counts, else from the first frame."""
    picture: Callable[[], Image]
    """(H, W, 3) RGB, of the source's size."""


class Source(Protocol):
    """Where frames come from, once."""

    name: str
    """For messages; without passwords."""
    size: tuple[int, int]
    """Width and height in pixels."""
    fps: float
    """Frames a second, as far as the source says."""
    recorded: bool
    """It is a file: it waits for whoever reads it, and has its own pace nevertheless."""
    warnings: list[str]
    """What was wrong with it, one sentence each; complete when `shots` has ended."""

    def shots(self) -> Iterator[Shot]:
        """The frames, up to the end of the source."""
        ...

    def close(self) -> None: ...


def open_source(name: str, size: tuple[int, int] | None = None) -> Source:
    """Open a camera by its number, a stream by its address, or a file by its path.

    Args:
        name: `0`, `rtsp://...`, `clip.mp4`.
        size: width and height that a camera is asked for.

    Raises:
        UsageError: a size is given for what is no camera.
        VideoError: it cannot be opened, or gives no picture.
    """
    if size is not None and not name.isdecimal():
        raise UsageError(f"--size is for cameras; {without_password(name)} has its own size.")
    return FileSource(Path(name)) if is_file(name) else Capture(name, size)


def is_file(name: str) -> bool:
    """Whether a source is a file's path: neither a camera's number nor an address."""
    return not name.isdecimal() and "://" not in name


def without_password(address: str) -> str:
    """`rtsp://me:secret@host/` -> `rtsp://***@host/`."""
    return re.sub(r"(://)[^/?#]*@", r"\1***@", address)


class FileSource:
    """A video file in place of a camera; see `Source`."""

    recorded = True

    def __init__(self, path: Path) -> None:
        self.name, self.path = str(path), path
        self._reader = VideoReader(path)
        self.size, self.fps, self.warnings = (
            *(self._reader.size, self._reader.fps),
            self._reader.warnings,
        )

    def shots(self) -> Iterator[Shot]:
        """See `Source`; times are the container's."""
        for frame in self._reader:
            yield Shot(frame.index, frame.time_s, partial(_as_it_is, frame.image))

    def close(self) -> None:
        """See `Source`."""
        self._reader.close()


def _as_it_is(image: Image) -> Image:
    return image


class Capture:
    """A camera or a network stream; see `Source`.

    Pixels are taken to be square. A size that changes on the way is brought to that of the first
    frame. Frames that cannot be decoded are left out.
    """

    def __init__(self, name: str, size: tuple[int, int] | None = None) -> None:
        self.name = f"camera {name}" if name.isdecimal() else without_password(name)
        self.warnings: list[str] = []
        self._container = _open_device(name, size) if name.isdecimal() else _open_address(name)
        try:
            streams = self._container.streams.video
            if not streams:
                raise VideoError(f"{self.name} sends no pictures; give one that does.")
            self._stream = streams[0]
            self._stream.thread_type = "SLICE"  # threads over frames hold frames back
            self._frames = self._decoded()
            first = next(self._frames, None)
            if first is None:
                raise VideoError(f"{self.name} sends no picture; see whether it plays elsewhere.")
        except BaseException:
            self._container.close()
            raise
        self._first: VideoFrame | None = first
        self.size = first.width, first.height
        rate = self._stream.average_rate or self._stream.guessed_rate
        self.fps = float(rate) if rate and 1 <= rate <= 1000 else 30.0
        self.recorded = bool(self._container.duration) and not name.isdecimal()

    def shots(self) -> Iterator[Shot]:
        """See `Source`."""
        assert self._first is not None, "a source is read once"
        frames = chain([self._first], self._frames)
        self._first = None
        clock, zero_s = Clock(), None
        to_rgb = ToRGB()
        for index, frame in enumerate(frames):
            time_s = clock(frame.time if frame.time is not None else time.monotonic(), 1 / self.fps)
            zero_s = time_s if zero_s is None else zero_s
            picture = partial(to_rgb, frame, self.size)
            yield Shot(index, round(time_s - zero_s, 6), picture)

    def close(self) -> None:
        """See `Source`."""
        self._frames.close()
        self._container.close()

    def _decoded(self) -> Generator[VideoFrame, None, None]:
        while True:
            try:
                for packet in self._container.demux(self._stream):
                    yield from _frames_of(self._stream, packet)
                return
            except av.BlockingIOError:
                time.sleep(POLL_S)
            except (av.FFmpegError, OSError) as error:
                self.warnings.append(f"{self.name} has stopped sending pictures ({_why(error)}).")
                return


def _frames_of(stream: Any, packet: Any) -> Iterator[VideoFrame]:
    try:
        yield from stream.decode(packet)
    except av.FFmpegError:
        return  # damaged on the way


def _open_address(address: str) -> Any:
    options = {"analyzeduration": str(PROBE_US)}
    if address.lower().startswith("rtsp"):
        options["rtsp_transport"] = "tcp"  # with UDP, what gets lost damages pictures
    try:
        return av.open(address, options=options, timeout=(OPEN_S, READ_S), **LENIENT)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise VideoError(
            f"{without_password(address)} cannot be opened ({_why(error)}); see whether the "
            "address is right and plays elsewhere."
        ) from None


def _open_device(number: str, size: tuple[int, int] | None) -> Any:
    device, format, options = _device(number)
    if size is not None:
        options["video_size"] = f"{size[0]}x{size[1]}"
    try:
        return av.open(device, format=format, options=options, timeout=(OPEN_S, READ_S))
    except (av.FileNotFoundError, av.error.InvalidDataError):
        raise VideoError(
            f"There is no camera {number}; cameras count from 0. See whether it is plugged in."
        ) from None
    except av.PermissionError:
        raise VideoError(
            f"Camera {number} may not be used; allow it in the system's settings (on Linux, be in "
            "the group `video`)."
        ) from None
    except (av.FFmpegError, OSError, ValueError) as error:
        raise VideoError(
            f"Camera {number} cannot be opened ({_why(error)}); see whether another program uses "
            "it" + (" and whether it has this --size." if size else ".")
        ) from None


def _device(number: str) -> tuple[str, str, dict[str, str]]:
    """A camera's name, the format that FFmpeg reads it with, and its options."""
    if sys.platform == "darwin":
        return number, "avfoundation", {"framerate": "30"}  # its own default fits few cameras
    if sys.platform == "win32":
        cameras = [
            device.name
            for device in av.enumerate_input_devices("dshow")
            if "video" in getattr(device, "media_types", ["video"])
        ]
        if int(number) >= len(cameras):
            raise VideoError(
                f"There is no camera {number}; there are {len(cameras)}, counted from 0."
            )
        return f"video={cameras[int(number)]}", "dshow", {}
    return f"/dev/video{number}", "v4l2", {}


def _why(error: BaseException) -> str:
    if isinstance(error, av.ExitError):  # PyAV's time limit
        return "nothing comes"
    return (getattr(error, "strerror", None) or type(error).__name__).lower()
