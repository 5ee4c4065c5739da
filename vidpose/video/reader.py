"""A video's frames as a stream, each at its exact time.

Memory does not grow with the length of a video. Times are the container's own; no frame is
dropped, doubled or reordered unseen, and `warnings` says what could not be read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.video.frame import VideoFrame

from vidpose.errors import VideoError
from vidpose.utils.gaps import LONGEST_STEP_S, NEAREST_S
from vidpose.video.clock import Clock, is_usable
from vidpose.video.colours import Image, ToRGB
from vidpose.video.deinterlace import Combing, Decoded, deinterlaced
from vidpose.video.orientation import Orientation, Shown, Size, eyes, place
from vidpose.video.pictures import PictureSequence, rate_of
from vidpose.video.streams import (
    PixelAspect,
    has_another_mp4,
    is_cut_off_transport_stream,
    no_frame,
    of_fields,
    open_container,
    square_pixels,
    video_stream,
)

USUAL_TICKS = 90_000
"""Ticks a second where the container does not say, as in MPEG-TS."""
ASSUMED_RATE = Fraction(25)
"""FFmpeg's own for coded pictures without a container, where `BARE` are the names of such."""
BARE = {
    *("av1", "avs2", "avs3", "cavsvideo", "dirac", "dnxhd", "evc", "h261", "h263", "h264", "hevc"),
    *("ingenient", "m4v", "mjpeg", "mjpeg_2000", "mpegvideo", "obu", "vc1", "vvc"),
}
STAMPS_ALONE = {"mpegts", "mpeg"}
"""The length of these is taken from the stamps that are there, and promises nothing."""
PACKETS_TO_THE_END = {"flv", "apng"}
"""These have hardly anything after their last packet ..."""
UNREAD_SHARE, UNREAD_BYTES = 0.1, 500
"""... and with more than so much of the file there is another video in it, which is not read."""
WAITING_FRAMES = 8
"""So many frames without a stamp are held until there is one."""
LONGEST_DURATION_S = 1e7
"""A frame that lasts longer (four months) has no usable duration."""
SHOWN_SIZES = 3
"""That many sizes are listed in a message."""
SKIP_FRAMES, SKIP_ROUNDING_S = 1.5, 2e-3
"""Frames that are further apart than so many of their own durations skip something, if all others
are as far apart as they last, to rounding ..."""
SKIP_SHARE = 0.1
"""... unless it is more of them than this: then the frame rate varies."""
MOST_ACROSS, MOST_PIXELS = 32_000, 1 << 28
"""OpenCV and FFmpeg take no larger pictures."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a video."""

    index: int
    """Position in the source video, counted from its first readable frame."""
    time_s: float
    """When it is shown, seconds, as the container says."""
    image: Image
    """(H, W, 3) RGB, upright, square pixels; of the size that the reader was asked for."""
    duration_s: float
    """How long it is shown, seconds; one average frame where the container does not say."""


class _Stamped(NamedTuple):
    """A frame, and when the container says it is shown, seconds; None if it does not."""

    frame: Decoded
    stamp_s: float | None


class VideoReader:
    """The frames of a video, upright, in the order they are shown, once.

        with VideoReader("walk.mp4") as video:
            for frame in video:
                ...

    Stored rotation and mirroring are applied, pixels are made square, interlaced frames are
    deinterlaced, HDR is brought to what an ordinary screen shows, and frames of another size
    or shape are fitted into that of the first one, with black bars. A damaged part is skipped and
    reading goes on after it with true times; a video that is cut off ends where it is cut. The
    last three leave a sentence in `warnings`, complete when the iteration has ended. A container
    with neither its length nor its number of frames (MPEG-TS) cannot show that its end is missing,
    if it is cut between two packets.

    Of several video streams it is the default one; pictures that are attached, such as covers, and
    small previews are none.

    Args:
        path: the video; or a folder of pictures, which are its frames in the order of the numbers
            in their names.
        start_s, end_s: keep the frames with start_s <= time since the first frame < end_s.
            Frames before are decoded all the same, so that `Frame.index` is exact.
        skip: leave out as many of these frames; they are decoded, too, so that times, indices
            and warnings are what they are without it.
        picture_size: width and height of the images, in place of `size`. Scaling while colours
            are converted takes less than half the time of scaling afterwards.
        fps: frames a second of a folder of pictures, or of a video without a container that does
            not say them. Other videos say their own, and this changes nothing.

    Raises:
        VideoError: the path is missing, no video or without a readable frame; or
            (while iterating) no frame lies between start_s and end_s.
        UsageError: it is a folder of pictures and `fps` is missing.
    """

    size: tuple[int, int]
    """Width and height in pixels as displayed; of pictures in a folder the most frequent one."""
    fps: float
    """Average frames a second."""
    first_s: float
    """The time of the first frame, seconds, as `Frame.time_s` counts them."""
    duration_s: float | None
    """Length of all of the video, seconds; None where the container does not say."""
    expected_frames: int | None
    """How many frames there are between start and end, as far as the container says."""
    time_base: Fraction
    """The container's tick, seconds."""
    warnings: list[str]
    """What was wrong with the video, one sentence each."""

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
        self._decoded = self._damaged_packets = self._damaged_frames = 0
        self._sent = self._discarded = 0
        self._interlaced = False
        self._combing = Combing()
        self._steps = self._even_steps = self._skips = self._gaps = 0
        self._longest_skip_s = 0.0
        self._read_bytes = 0
        self._first_decoded_s = float("inf")
        self._reached_s = 0.0  # of all streams: audio may outlast the picture
        self._clock = Clock()
        self._to_rgb = ToRGB()
        self._pictures: PictureSequence | None = None
        self.duration_s = None
        self._all_frames: int | None = None
        self._aspect: PixelAspect | None = None
        self._fields = False
        self._orientation = Orientation()
        self._rotation: int | None = None
        self._sizes: Counter[Size] = Counter()
        self._end_of_stream_s = float("inf")
        self._length_s: float | None = None
        self._by_decoding = self._without_rate = False
        with ExitStack() as on_error:
            if self.path.is_dir():
                self._frames = deinterlaced(self._open_pictures(fps))
            else:
                frames = self._open_stream(on_error, fps)
                # FFmpeg gives H.264's fields in pairs, and marks HEVC's fields only.
                self._fields = self._stream.codec_context.name == "hevc"
                self._frames = deinterlaced(frames, self._combing, self._fields)
            self._stamps = self._stamped()
            first = next(self._stamps, None)
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
        """Whether it does not say its frame rate itself, so that `fps` does."""
        return self.is_folder or self._without_rate

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        # Ended, the generators free the decoder's frames now, not when garbage is collected.
        self._selected.close()
        self._stamps.close()
        self._frames.close()
        if self._pictures is None:
            self._container.close()

    def __iter__(self) -> Iterator[Frame]:
        return self._selected

    def _describe(self, first: _Stamped) -> None:
        """What is known with the first frame."""
        source: Any = first.frame.source
        self.size = source.opaque.size
        if self._pictures is not None:
            self.size = self._pictures.usual_size() or self.size
        if max(self.size) > MOST_ACROSS or self.size[0] * self.size[1] > MOST_PIXELS:
            raise VideoError(
                f"{self.path} has pictures of {self.size[0]}x{self.size[1]} pixels, which is too "
                "large to be worked on; scale it down first."
            )
        if self._pictures is None and (how := eyes(source)):
            self.warnings.append(
                f"{self.path} is a 3D film with a picture for each eye, {how}; people count twice: "
                "keep one eye's pictures first, as with FFmpeg's filter stereo3d."
            )
        self.first_s = first.stamp_s if is_usable(first.stamp_s) else 0.0
        self.expected_frames = self._all_frames
        if self._all_frames is not None:
            until = min(self._all_frames, np.ceil(self._end_s * self.fps - 1e-6))
            self.expected_frames = max(0, int(until - np.ceil(self._start_s * self.fps - 1e-6)))

    def _open_pictures(self, fps: float | None) -> Iterator[VideoFrame]:
        self._pictures = pictures = PictureSequence(self.path, fps)
        self._all_frames = frames = len(pictures.paths)
        self.time_base = 1 / pictures.rate
        self.duration_s = float(frames * self.time_base)
        self.fps = float(pictures.rate)
        return self._counted(pictures.frames())

    def _open_stream(self, opened: ExitStack, fps: float | None) -> Iterator[VideoFrame]:
        self._container = opened.enter_context(open_container(self.path))
        self._stream = video_stream(self._container, self.path, self.warnings)
        # Threads over frames lose the damage flag of some frames, another one each time.
        self._stream.thread_type = "SLICE"
        self._describe_stream(fps)
        return self._decode()

    def _describe_stream(self, fps: float | None) -> None:
        stream, container = self._stream, self._container
        self.time_base = stream.time_base or Fraction(1, USUAL_TICKS)
        if stream.duration:
            end = (stream.duration + (stream.start_time or 0)) * self.time_base
            self._end_of_stream_s = float(end)
            self.duration_s = float(stream.duration * self.time_base)
        elif container.duration:
            self.duration_s = container.duration / av.time_base
        if container.duration and container.format.name not in STAMPS_ALONE:
            start, length = container.start_time or 0, container.duration
            if "matroska" in container.format.name and 0 < start < length:
                length -= start  # it says when it ends
                if not stream.duration:
                    self.duration_s = length / av.time_base
            self._length_s = length / av.time_base

        self._aspect = PixelAspect(stream)
        self._by_decoding = container.format.name == "avi"
        # AVI's own rate counts empty chunks, too.
        rates = [stream.average_rate, stream.guessed_rate]
        if self._by_decoding:
            rates.reverse()
        elif container.format.name in BARE:
            rates = [stream.codec_context.framerate]
        elif not stream.average_rate and stream.guessed_rate == 1 / self.time_base >= 1000:
            rates = []  # a tick of such a clock is no frame
        rate = next((rate for rate in rates if rate and 0 < rate < 1 / NEAREST_S), None)
        self._without_rate = rate is None and container.format.name in BARE
        if self._without_rate and fps is not None:
            rate = rate_of(fps)
            self.time_base *= ASSUMED_RATE / rate
        if rate is None:
            rate = ASSUMED_RATE
            told = "; give another with --fps" if self._without_rate else ""
            self.warnings.append(
                f"{self.path} does not say its frame rate; {rate} frames/s are assumed{told}."
            )
        self.fps = float(rate)

        mp4 = "mp4" in container.format.name
        if mp4 and has_another_mp4(self.path):
            self.warnings.append(
                f"{self.path} is several videos, one after another, and only the first of them is "
                "read; give them one by one, or join them with a video editor."
            )
        # Only these containers count the frames themselves; those before and after the part that
        # an edit list shows, too.
        edited = self.duration_s is not None and self.duration_s * self.fps < stream.frames - 1.5
        self._counts_frames = mp4 and stream.frames > 0 and not edited
        if self._counts_frames or not (self._by_decoding or mp4):
            self._all_frames = stream.frames or None
        if self._all_frames is None and self.duration_s is not None:
            self._all_frames = max(1, round(self.duration_s * self.fps))

    def _decode(self) -> Generator[VideoFrame, None, None]:
        """Every readable frame; what cannot be read is counted and skipped."""
        try:
            for packet in self._container.demux():
                self._note(packet)
                if packet.stream is self._stream:
                    yield from self._decoded_from(packet)
        except av.FFmpegError:
            self._damaged_packets += 1
            yield from self._decoded_from(None)

    def _decoded_from(self, packet: Any) -> Iterator[VideoFrame]:
        if packet is not None and packet.size:
            self._discarded += packet.is_discard
            self._sent += not packet.is_discard
        try:
            frames = self._stream.decode(packet)
        except av.FFmpegError:
            self._damaged_packets += 1
            return
        yield from self._counted(frames)

    def _counted(self, frames: Iterable[VideoFrame]) -> Generator[VideoFrame, None, None]:
        for frame in frames:
            self._decoded += 1
            self._damaged_frames += frame.is_corrupt
            self._interlaced |= frame.interlaced_frame
            shown = self._shown(frame)
            self._sizes[shown.size] += 1
            frame.opaque = shown
            yield frame

    def _shown(self, frame: VideoFrame) -> Shown:
        # Each picture of a folder says its own. In a video what a key frame says holds for those
        # after it; a look at it takes long, the angle is at hand.
        angle = frame.rotation
        turned = self._rotation is None or (frame.key_frame and angle != self._rotation)
        if turned or self._pictures is not None:
            self._orientation, self._rotation = Orientation.of(frame), angle
        aspect = None if self._aspect is None else self._aspect.of(frame)
        if self._fields and frame.interlaced_frame:
            aspect = of_fields(aspect)
        size = self._orientation.size(square_pixels(frame, aspect))
        return Shown(self._orientation, size)

    def _note(self, packet: Any) -> None:
        self._damaged_packets += packet.is_corrupt
        if packet.pos is not None:
            self._read_bytes = max(self._read_bytes, packet.pos + packet.size)
        if packet.dts is not None and packet.time_base:
            decoded_s = float(packet.dts * packet.time_base)
            self._first_decoded_s = min(self._first_decoded_s, decoded_s)
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is not None and packet.time_base:
            lasts = float((packet.duration or 0) * packet.time_base)
            if packet.stream is self._stream:  # the last packet often does not say
                lasts = max(lasts, 1 / self.fps)
            self._reached_s = max(self._reached_s, float(stamp * packet.time_base) + lasts)

    def _stamped(self) -> Generator[_Stamped, None, None]:
        """Every frame with its stamp. The first ones are counted back from a later one if they have
        none, others are put between those that have one; what is left is for the clock.
        """
        if self._by_decoding:
            yield from self._stamped_by_decoding()
            return
        before: float | None = None
        first = True
        held: list[_Stamped] = []
        for frame in self._frames:
            pts = frame.source.pts
            now = _Stamped(frame, None if pts is None else float(pts * self.time_base))
            held.append(now)
            if is_usable(now.stamp_s):
                if first or before is not None:
                    self._fill(held, before, now.stamp_s)
                before = now.stamp_s
            elif len(held) == WAITING_FRAMES:
                before = None
            else:
                continue
            first = False
            yield from held
            held.clear()
        yield from held

    def _fill(self, held: list[_Stamped], before: float | None, stamp_s: float) -> None:
        """Give stamps to all but the last of some frames.

        Args:
            held: the frames.
            before: the stamp of the frame before them; None if they are the first ones.
            stamp_s: the stamp of the last of them.
        """
        step = self._duration(held[-1].frame.source)
        if before is not None:
            step = min(step, (stamp_s - before) / len(held))
        if len(held) == 1 or step < NEAREST_S:
            return
        start = stamp_s - step * len(held) if before is None else before
        for n, (frame, _) in enumerate(held[:-1], 1):
            held[n - 1] = _Stamped(frame, start + n * step)
        self._clock.corrected += len(held) - 1

    def _stamped_by_decoding(self) -> Iterator[_Stamped]:
        """The stamps of AVI, which are of the order of decoding. What FFmpeg makes of them is wrong
        where frames are reordered; but frames leave the decoder as evenly as packets enter it.
        """
        first = last = None
        step = max(1, round(1 / self.fps / self.time_base))
        for frame in self._frames:
            dts = frame.source.dts
            if dts is None:  # after the last packet
                dts = 0 if last is None else last + step
            elif last is not None:
                step = dts - last
            first = dts if first is None else first
            last = dts
            yield _Stamped(frame, float((dts - first) * self.time_base))

    def _duration(self, frame: VideoFrame) -> float:
        """How long a frame is shown, as far as it says, seconds."""
        stated = float((frame.duration or 0) * self.time_base)
        return stated if NEAREST_S <= stated <= LONGEST_DURATION_S else max(1 / self.fps, NEAREST_S)

    def _select(self, first: _Stamped) -> Generator[Frame, None, None]:
        since = before = lasts = 0.0
        selected = 0
        now: _Stamped | None = first
        for index in count():
            if now is None:
                break
            following = next(self._stamps, None)
            duration = self._duration(now.frame.source)
            corrected = self._clock.corrected
            time = self._clock(now.stamp_s, duration, following and following.stamp_s)
            if self._clock.corrected > corrected:
                lasts += duration
            else:
                if index:
                    self._note_step(time - before, lasts)
                before, lasts = time, duration
            since = round(time - self.first_s, 6)  # 0.7 - 0.2 is 0.5
            if since >= self._end_s:
                break
            if time < self._end_of_stream_s < float("inf"):
                # With B-frames the last frame carries another one's duration.
                left = self._end_of_stream_s - time
                complete = following is None and self._decoded == self._all_frames
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

    def _note_step(self, step_s: float, lasts_s: float) -> None:
        if step_s > LONGEST_STEP_S:
            self._gaps += 1
            return  # a gap, which is told by itself
        self._steps += 1
        self._even_steps += abs(step_s - lasts_s) <= SKIP_ROUNDING_S
        if SKIP_FRAMES * lasts_s + SKIP_ROUNDING_S < step_s:
            self._skips += 1
            self._longest_skip_s = max(self._longest_skip_s, step_s)

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
        if self._fields and self._interlaced:
            self.warnings.append(
                f"{self.path} is interlaced and holds each field as a picture of its own; each is "
                "shown in full height, so there are two for every frame."
            )
        if self._combing.found:
            self.warnings.append(
                f"{self.path} is interlaced and does not say so; all but its first moving frames "
                "were deinterlaced."
            )
        if self._clock.restarts:
            times = "once" if self._clock.restarts == 1 else f"{self._clock.restarts} times"
            self.warnings.append(
                f"{self.path}: its clock starts anew {times}, as in files that were put together; "
                "time goes on from where it was."
            )
        if self._clock.corrected and not self._without_rate:  # else none has a stamp
            one = self._clock.corrected == 1
            self.warnings.append(
                f"{self.path} has {_frames(self._clock.corrected)} without a usable time stamp; "
                + ("its time is" if one else "their times are")
                + f" estimated from {'its' if one else 'their'} neighbours."
            )
        self._conclude_sizes()
        if self._pictures is not None:
            self._pictures.conclude(ended)
            self.warnings += self._pictures.warnings
        else:
            self._conclude_loss(ended)

    def _conclude_sizes(self) -> None:
        """Say which frames had to be fitted."""
        others = [(size, n) for size, n in self._sizes.most_common() if size != self.size]
        if not others:
            return
        sizes = [f"{width}x{height}" for (width, height), _ in others]
        if len(sizes) > SHOWN_SIZES:
            sizes[SHOWN_SIZES - 1 :] = [f"{len(sizes) - SHOWN_SIZES + 1} other sizes"]
        self.warnings.append(
            f"{self.path} changes in size: it is {self.size[0]}x{self.size[1]} pixels, but "
            f"{' or '.join(sizes)} in {sum(n for _, n in others)} of its {self._decoded} frames; "
            "these are fitted in, with black bars where their shape is another."
        )

    def _conclude_loss(self, ended: bool) -> None:
        """Say what was damaged, is missing or too much."""
        lost = self._lost() if ended else 0
        # A length with jumps of the clock in it says nothing about frames.
        jumps = self._gaps + self._clock.restarts > 0 and not self._counts_frames
        all_frames = 0 if jumps else self._all_frames or 0
        expected = max(all_frames, self._decoded + lost)
        damaged = self._damaged_packets + self._damaged_frames > 0
        early = ended and self._ended_early()
        if damaged or lost or early:
            what = "damaged" if damaged and not early else "damaged or cut off"
            known = ended and all_frames >= self._decoded
            of_all = f" of {expected}" if known or lost else ""
            self.warnings.append(
                f"{self.path} is {what}: {self._decoded}{of_all} frames could be read"
                + (", some of them with errors in the picture." if self._damaged_frames else ".")
            )
        elif ended and self._counts_frames and self._decoded > (self._all_frames or np.inf):
            self.warnings.append(
                f"{self.path} says that it has {_frames(self._all_frames or 0)}, but "
                f"{self._decoded} were read; it may be several videos in one file."
            )
        elif ended and self._goes_on_unread():
            self.warnings.append(
                f"{self.path} goes on after the end of its video; it may be several videos in one "
                "file, of which only the first is read."
            )
        elif self._skips_stand_out():
            places = "one place" if self._skips == 1 else f"{self._skips} places"
            self.warnings.append(
                f"{self.path} skips something in {places}: frames are up to "
                f"{self._longest_skip_s:.2f} s apart there, and {1 / self.fps:.3f} s elsewhere; "
                "some may be missing."
            )

    def _goes_on_unread(self) -> bool:
        if self._container.format.name not in PACKETS_TO_THE_END:
            return False
        size = self.path.stat().st_size
        return size - self._read_bytes > max(UNREAD_BYTES, UNREAD_SHARE * size)

    def _skips_stand_out(self) -> bool:
        """Whether there are a few skips among even steps; else the frame rate varies."""
        few = 0 < self._skips <= max(1, SKIP_SHARE * self._steps)
        return few and self._even_steps + self._skips == self._steps

    def _lost(self) -> int:
        """How many frames were in the file and did not come out of the decoder."""
        if self._interlaced or self._clock.restarts:  # a packet may be half a frame
            return 0
        told = (self._all_frames or 0) - self._discarded if self._counts_frames else 0
        return max(0, self._sent - self._decoded, told - self._decoded)

    def _ended_early(self) -> bool:
        container = self._container
        if container.format.name == "mpegts" and is_cut_off_transport_stream(self.path):
            return True
        if self._length_s is None:
            return False
        promised = (container.start_time or 0) / av.time_base + self._length_s
        pieces = "mp4" in container.format.name and not self._stream.frames
        if pieces or container.format.name == "flv":
            # FLV, and pieces of MP4 (DASH), count from when their first packet is decoded.
            promised = min(promised, self._first_decoded_s + self._length_s)
        # Sound may well end a little before the container does.
        alone = len(container.streams) == 1
        slack = 0.75 / self.fps if alone else max(0.2, 1.5 / self.fps)
        slack = min(slack, LONGEST_STEP_S)
        return self._reached_s < promised - slack


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count} frames"
