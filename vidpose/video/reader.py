"""Read the frames of a video as a stream, each with its exact time.

Memory does not grow with the length of a video. Times are the container's own; no frame is
silently dropped, duplicated or reordered, and `warnings` lists what could not be read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame

from vidpose.errors import VideoError
from vidpose.video.clock import Clock, is_usable
from vidpose.video.colours import Image, ToRGB
from vidpose.video.deinterlace import Combing, Decoded, deinterlaced
from vidpose.video.losses import Tally, frames_text
from vidpose.video.orientation import Orientation, Shown, Size, eyes, place
from vidpose.video.pictures import PictureSequence
from vidpose.video.stamps import Stamped, Stamps
from vidpose.video.stated import Stated
from vidpose.video.streams import (
    PixelAspect,
    no_frame,
    of_fields,
    open_container,
    square_pixels,
    video_stream,
)

SHOWN_SIZES = 3
"""Maximum number of sizes in a message."""
MOST_ACROSS, MOST_PIXELS = 32_000, 1 << 28
"""OpenCV and FFmpeg take no larger images: pixels along a side, and in total."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a video."""

    index: int
    """Position in the source video, counted from its first readable frame."""
    time_s: float
    """When it is shown, seconds, from the container."""
    image: Image
    """(H, W, 3) RGB, upright, square pixels; of the size that was requested from the reader."""
    duration_s: float
    """How long it is shown, seconds; one average frame if the container has no duration."""


class VideoReader:
    """Reads the frames of a video, upright, in display order, once.

        with VideoReader("walk.mp4") as video:
            for frame in video:
                ...

    Stored rotation and mirroring are applied, pixels are made square, interlaced frames are
    deinterlaced, HDR is tone-mapped to SDR, and frames of another size or shape are fitted into
    that of the first one, with black bars. A damaged part is skipped, and reading continues after
    it with true times; a truncated video ends where it is cut. The last three add a sentence to
    `warnings`, which is complete when the iteration has ended. If a container states neither its
    length nor its number of frames (MPEG-TS), a cut between two packets goes unnoticed.

    Of several video streams the default one is read; attached pictures, such as covers, and small
    previews do not count.

    Args:
        path: the video; or a folder of pictures, which are its frames in the order of the numbers
            in their names.
        start_s, end_s: keep the frames with start_s <= time since the first frame < end_s.
            Earlier frames are decoded, too, so that `Frame.index` is exact.
        skip: skip this many of these frames; they are decoded, too, so that times, indices and
            warnings do not change.
        picture_size: width and height of the images, instead of `size`. Scaling during colour
            conversion takes less than half the time of scaling afterwards.
        fps: frames a second of a folder of pictures, or of a video without a container that has no
            frame rate. It is ignored for other videos.

    Raises:
        VideoError: the path is missing, no video or without a readable frame; or
            (while iterating) no frame lies between start_s and end_s.
        UsageError: it is a folder of pictures and `fps` is missing.
    """

    size: tuple[int, int]
    """Width and height in pixels as displayed; for a folder of pictures the most frequent size."""
    fps: float
    """Average frames a second."""
    first_s: float
    """The time of the first frame, seconds, as `Frame.time_s` counts them."""
    duration_s: float | None
    """Length of the whole video, seconds; None if the container does not state it."""
    expected_frames: int | None
    """Estimated number of frames between start and end, from the container."""
    time_base: Fraction
    """The container's tick, seconds."""
    warnings: list[str]
    """Problems of the video, one sentence each."""

    def __init__(
        self,
        path: str | Path,
        start_s: float | None = None,
        end_s: float | None = None,
        *,
        skip: int = 0,
        picture_size: tuple[int, int] | None = None,
        fps: float | None = None,
    ) -> None:
        self.path = Path(path)
        self._skip = skip
        self._picture_size = picture_size
        self.warnings = []
        self._start_s = start_s or 0.0
        self._end_s = float("inf") if end_s is None else end_s
        self._tally = Tally()
        self._combing = Combing()
        self._clock = Clock()
        self._to_rgb = ToRGB()
        self._pictures: PictureSequence | None = None
        self._aspect: PixelAspect | None = None
        self._fields = False
        self._orientation = Orientation()
        self._rotation: int | None = None
        self._sizes: Counter[Size] = Counter()
        with ExitStack() as on_error:
            if self.path.is_dir():
                self._pictures = PictureSequence(self.path, fps)
                self._stated = Stated.of_pictures(self._pictures)
                self._frames = deinterlaced(self._counted(self._pictures.frames()))
            else:
                self._open_stream(on_error, fps)
                # FFmpeg returns H.264's fields in pairs, but HEVC's as single frames with a mark.
                self._fields = self._stream.codec_context.name == "hevc"
                self._frames = deinterlaced(self._decode(), self._combing, self._fields)
            self._stamps = Stamps(self._stated.time_base, self._stated.fps)
            stamped = self._stamps.by_decoding if self._stated.by_decoding else self._stamps.of
            self._stamped = stamped(self._frames)
            first = next(self._stamped, None)
            if first is None:
                raise VideoError(no_frame(self.path))
            self._describe(first)
            self._selected = self._select(first)
            on_error.pop_all()

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of pictures."""
        return self._pictures is not None

    @property
    def takes_fps(self) -> bool:
        """Whether it has no frame rate of its own, so that `fps` is used."""
        return self.is_folder or self._stated.without_rate

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        # Closing the generators frees the decoder's frames now, not at garbage collection.
        self._selected.close()
        self._stamped.close()
        self._frames.close()
        if self._pictures is None:
            self._container.close()

    def __iter__(self) -> Iterator[Frame]:
        return self._selected

    def _describe(self, first: Stamped) -> None:
        """Set the attributes that are known with the first frame."""
        stated = self._stated
        self.time_base, self.fps = stated.time_base, stated.fps
        self.duration_s = stated.duration_s
        source: Any = first.frame.source
        self.size = source.opaque.size
        if self._pictures is not None:
            self.size = self._pictures.usual_size() or self.size
        if max(self.size) > MOST_ACROSS or self.size[0] * self.size[1] > MOST_PIXELS:
            raise VideoError(
                f"{self.path} has frames of {self.size[0]}x{self.size[1]} pixels, which is too "
                "large to process; scale it down first."
            )
        if self._pictures is None and (how := eyes(source)):
            self.warnings.append(
                f"{self.path} is a 3D film with an image for each eye, {how}, so people are found "
                "twice; extract one eye's images first, as with FFmpeg's filter stereo3d."
            )
        self.first_s = first.stamp_s if is_usable(first.stamp_s) else 0.0
        self.expected_frames = stated.all_frames
        if stated.all_frames is not None:
            until = min(stated.all_frames, np.ceil(self._end_s * self.fps - 1e-6))
            self.expected_frames = max(0, int(until - np.ceil(self._start_s * self.fps - 1e-6)))

    def _open_stream(self, opened: ExitStack, fps: float | None) -> None:
        self._container = opened.enter_context(open_container(self.path))
        self._stream = video_stream(self._container, self.path, self.warnings)
        # Frame threading loses the damage flag of some frames, of others in each run.
        self._stream.thread_type = "SLICE"
        self._stated = Stated.of_stream(
            self._container, self._stream, self.path, fps, self.warnings
        )
        self._aspect = PixelAspect(self._stream)

    def _decode(self) -> Generator[VideoFrame, None, None]:
        """Yield every readable frame; count and skip what cannot be read."""
        frame_s = 1 / self._stated.fps
        try:
            for packet in self._container.demux():
                is_videos = packet.stream is self._stream
                self._tally.packet(packet, frame_s if is_videos else None)
                if is_videos:
                    yield from self._decoded_from(packet)
        except av.FFmpegError:
            self._tally.unreadable()
            yield from self._decoded_from(None)

    def _decoded_from(self, packet: Any) -> Iterator[VideoFrame]:
        try:
            frames = self._stream.decode(packet)
        except av.FFmpegError:
            self._tally.unreadable()
            return
        yield from self._counted(frames)

    def _counted(self, frames: Iterable[VideoFrame]) -> Generator[VideoFrame, None, None]:
        for frame in frames:
            self._tally.frame(frame)
            shown = self._shown(frame)
            self._sizes[shown.size] += 1
            frame.opaque = shown
            yield frame

    def _shown(self, frame: VideoFrame) -> Shown:
        # Each picture of a folder has its own orientation. In a video that of a key frame holds for
        # the frames after it. Reading it is slow, so it is read when the angle changes.
        angle = frame.rotation
        changed = self._rotation is None or (frame.key_frame and angle != self._rotation)
        if changed or self._pictures is not None:
            self._orientation, self._rotation = Orientation.of(frame), angle
        aspect = None if self._aspect is None else self._aspect.of(frame)
        if self._fields and frame.interlaced_frame:
            aspect = of_fields(aspect)
        size = self._orientation.size(square_pixels(frame, aspect))
        return Shown(self._orientation, size)

    def _select(self, first: Stamped) -> Generator[Frame, None, None]:
        since = before = lasts = 0.0
        selected = 0
        now: Stamped | None = first
        for index in count():
            if now is None:
                break
            following = next(self._stamped, None)
            duration = self._stamps.duration(now.frame.source)
            corrected = self._clock.corrected
            time = self._clock(now.stamp_s, duration, following and following.stamp_s)
            if self._clock.corrected > corrected:
                lasts += duration
            else:
                if index:
                    self._tally.step(time - before, lasts)
                before, lasts = time, duration
            since = round(time - self.first_s, 6)  # 0.7 - 0.2 is 0.5
            if since >= self._end_s:
                break
            if time < self._stated.end_s < float("inf"):
                # With B-frames the last frame carries the duration of another one.
                left = self._stated.end_s - time
                complete = following is None and self._tally.decoded == self._stated.all_frames
                duration = left if complete else min(duration, left)
            if since >= self._start_s:
                selected += 1
                if selected > self._skip:
                    yield Frame(index, time, self._image(now.frame), duration)
            now = following
        if not selected:
            until = "" if np.isinf(self._end_s) else f" and before {self._end_s:g} s"
            raise VideoError(
                f"{self.path} has no frame from {self._start_s:g} s on{until}; the last one "
                f"read is at {since:.2f} s: choose another start or end."
            )
        self._conclude(ended=now is None)

    def _image(self, frame: Decoded) -> Image:
        source: Any = frame.source
        shown: Shown = source.opaque
        picture = self._picture_size or self.size
        x, y, width, height = place(shown.size, self.size, picture)
        size = shown.orientation.size((width, height))
        image = shown.orientation(self._to_rgb(frame.image, size))
        if (width, height) == picture:
            return image
        whole = np.zeros((picture[1], picture[0], 3), np.uint8)
        whole[y : y + height, x : x + width] = image
        return whole

    def _conclude(self, ended: bool) -> None:
        self.warnings += [f"{self.path}: {warning}" for warning in self._to_rgb.warnings]
        if self._fields and self._tally.interlaced:
            self.warnings.append(
                f"{self.path} is interlaced and stores each field separately; each field becomes a "
                "frame of full height, so there are two for every frame."
            )
        if self._combing.found:
            self.warnings.append(
                f"{self.path} is interlaced but not marked as such; all frames except the first "
                "moving ones were deinterlaced."
            )
        if self._clock.restarts:
            times = "once" if self._clock.restarts == 1 else f"{self._clock.restarts} times"
            self.warnings.append(
                f"{self.path}: its clock restarts {times}, as in concatenated files; time "
                "continues from where it was."
            )
        corrected = self._clock.corrected + self._stamps.filled
        if corrected and not self._stated.without_rate:  # else no frame has a stamp
            one = corrected == 1
            self.warnings.append(
                f"{self.path} has {frames_text(corrected)} without a usable time stamp; "
                + ("its time is" if one else "their times are")
                + f" estimated from {'its' if one else 'their'} neighbours."
            )
        self._conclude_sizes()
        if self._pictures is not None:
            self._pictures.conclude(ended)
            self.warnings += self._pictures.warnings
            return
        self._tally.restarts = self._clock.restarts
        lost = self._tally.sentence(self.path, self._container, self._stated, ended=ended)
        if lost is not None:
            self.warnings.append(lost)

    def _conclude_sizes(self) -> None:
        """Add a warning if frames had to be fitted."""
        others = [(size, n) for size, n in self._sizes.most_common() if size != self.size]
        if not others:
            return
        sizes = [f"{width}x{height}" for (width, height), _ in others]
        if len(sizes) > SHOWN_SIZES:
            sizes[SHOWN_SIZES - 1 :] = [f"{len(sizes) - SHOWN_SIZES + 1} other sizes"]
        fitted = sum(n for _, n in others)
        self.warnings.append(
            f"{self.path} changes in size: it is {self.size[0]}x{self.size[1]} pixels, but "
            f"{' or '.join(sizes)} in {fitted} of its {self._tally.decoded} frames; these are "
            "fitted in, with black bars where their aspect ratio differs."
        )
