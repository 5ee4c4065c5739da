"""Cameras and network streams: frames as they arrive, with the time stamps of the source.

PyAV opens both, as it does files: it is a dependency already, keeps the time stamps of the driver
or the sender, and times out within seconds when no more data arrive.
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
"""Timeouts for opening a source and for reading its next data."""
POLL_S = 0.005
"""Interval for polling cameras that do not block until the next frame."""
PROBE_US = 1_000_000
"""Microseconds for probing a stream; with FFmpeg's 5 s the first frame would be shown late."""


@dataclass(frozen=True)
class Shot:
    """A frame that is converted to RGB only on demand: many frames are dropped."""

    index: int
    """Position among all frames that arrived, including dropped ones."""
    time_s: float
    """Seconds: the container's time of a file, else since the first frame."""
    picture: Callable[[], Image]
    """Returns (H, W, 3) RGB, of the source's size."""


class Source(Protocol):
    """A source of frames, to be read once."""

    name: str
    """For messages; without passwords."""
    size: tuple[int, int]
    """Width and height in pixels."""
    fps: float
    """Nominal frames a second."""
    recorded: bool
    """Whether it is a recording, which can be read at any speed."""
    warnings: list[str]
    """Problems, one sentence each; complete when `shots` has ended."""

    def shots(self) -> Iterator[Shot]:
        """Yield the frames up to the end of the source."""
        ...

    def close(self) -> None: ...


def open_source(name: str, size: tuple[int, int] | None = None) -> Source:
    """Open a camera by its number, a stream by its address, or a file by its path.

    Args:
        name: `0`, `rtsp://...`, `clip.mp4`.
        size: width and height to request from a camera.

    Raises:
        UsageError: a size is given, and the source is no camera.
        VideoError: it cannot be opened, or has no frame.
    """
    if size is not None and not name.isdecimal():
        raise UsageError(f"--size is for cameras; {without_password(name)} has its own size.")
    return FileSource(Path(name)) if is_file(name) else Capture(name, size)


def is_file(name: str) -> bool:
    """Whether a source is a path, not a camera's number or an address."""
    return not name.isdecimal() and "://" not in name


def without_password(address: str) -> str:
    """`rtsp://me:secret@host/` -> `rtsp://***@host/`."""
    return re.sub(r"(://)[^/?#]*@", r"\1***@", address)


class FileSource:
    """A video file as a `Source`."""

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
    """A camera or a network stream as a `Source`.

    Pixels are taken to be square. Frames of another size are scaled to that of the first one.
    Frames that cannot be decoded are skipped.
    """

    def __init__(self, name: str, size: tuple[int, int] | None = None) -> None:
        self.name = f"camera {name}" if name.isdecimal() else without_password(name)
        self.warnings: list[str] = []
        self._container = _open_device(name, size) if name.isdecimal() else _open_address(name)
        try:
            streams = self._container.streams.video
            if not streams:
                raise VideoError(f"{self.name} sends no video; give a camera or stream with video.")
            self._stream = streams[0]
            self._stream.thread_type = "SLICE"  # threads over frames hold frames back
            self._frames = self._decoded()
            first = next(self._frames, None)
            if first is None:
                raise VideoError(
                    f"{self.name} sent no image; check whether it plays in another program."
                )
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
        return  # damaged in transmission


def _open_address(address: str) -> Any:
    options = {"analyzeduration": str(PROBE_US)}
    if address.lower().startswith("rtsp"):
        options["rtsp_transport"] = "tcp"  # with UDP, lost packets damage frames
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
    """Return a camera's name, FFmpeg's input format for it, and its options."""
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
