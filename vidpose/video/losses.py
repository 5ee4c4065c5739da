"""Find out whether parts of a video were lost, damaged or not read, from counts of its frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.video.frame import VideoFrame

from vidpose.utils.gaps import LONGEST_STEP_S
from vidpose.video.stated import Stated
from vidpose.video.streams import is_cut_off_transport_stream

PACKETS_TO_THE_END = {"flv", "apng"}
"""Containers with hardly any data after the last packet ..."""
UNREAD_SHARE, UNREAD_BYTES = 0.1, 500
"""... so more than this means that the file has another video, which is not read."""
SKIP_FRAMES, SKIP_ROUNDING_S = 1.5, 2e-3
"""A step between frames longer than this many durations of the frame is a skip, if all other steps
equal the duration, except for rounding ..."""
SKIP_SHARE = 0.1
"""... unless the share of such steps is larger than this: then the frame rate varies."""


class Tally:
    """Counts packets, frames, and the steps between frames of a video."""

    def __init__(self) -> None:
        self.decoded = 0
        self.interlaced = False
        self.restarts = 0
        """Of the clock."""
        self._damaged_packets = self._damaged_frames = 0
        self._sent = self._discarded = 0
        self._read_bytes = 0
        self._first_decoded_s = float("inf")
        self._reached_s = 0.0  # of all streams: audio may outlast the picture
        self._steps = self._even_steps = self._skips = self._gaps = 0
        self._longest_skip_s = 0.0

    def packet(self, packet: Any, frame_s: float | None) -> None:
        """Count a packet of any stream; `frame_s` is the frame duration, if it is the video's."""
        self._damaged_packets += packet.is_corrupt
        if packet.pos is not None:
            self._read_bytes = max(self._read_bytes, packet.pos + packet.size)
        if packet.dts is not None and packet.time_base:
            decoded_s = float(packet.dts * packet.time_base)
            self._first_decoded_s = min(self._first_decoded_s, decoded_s)
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is not None and packet.time_base:
            lasts = float((packet.duration or 0) * packet.time_base)
            if frame_s is not None:  # the last packet often has no duration
                lasts = max(lasts, frame_s)
            self._reached_s = max(self._reached_s, float(stamp * packet.time_base) + lasts)
        if frame_s is not None and packet.size:
            self._discarded += packet.is_discard
            self._sent += not packet.is_discard

    def unreadable(self) -> None:
        """Count a packet of the video that could not be decoded."""
        self._damaged_packets += 1

    def frame(self, frame: VideoFrame) -> None:
        """Count a frame that left the decoder."""
        self.decoded += 1
        self._damaged_frames += frame.is_corrupt
        self.interlaced |= frame.interlaced_frame

    def step(self, step_s: float, lasts_s: float) -> None:
        """Count the step from one frame to the next; `lasts_s` is the duration of the first."""
        if step_s > LONGEST_STEP_S:
            self._gaps += 1
            return  # gaps have a warning of their own
        self._steps += 1
        self._even_steps += abs(step_s - lasts_s) <= SKIP_ROUNDING_S
        if SKIP_FRAMES * lasts_s + SKIP_ROUNDING_S < step_s:
            self._skips += 1
            self._longest_skip_s = max(self._longest_skip_s, step_s)

    def sentence(
        self, path: Path, container: InputContainer, stated: Stated, *, ended: bool
    ) -> str | None:
        """Say what was damaged, missing or unread; None if nothing was.

        Args:
            path: the video.
            container: of the video, still open.
            stated: what the container states.
            ended: everything was read.
        """
        lost = self._lost(stated) if ended else 0
        # A length that includes jumps of the clock does not tell the number of frames.
        jumps = self._gaps + self.restarts > 0 and not stated.counts_frames
        all_frames = 0 if jumps else stated.all_frames or 0
        expected = max(all_frames, self.decoded + lost)
        damaged = self._damaged_packets + self._damaged_frames > 0
        early = ended and self._ended_early(path, container, stated)
        if damaged or lost or early:
            what = "damaged" if damaged and not early else "damaged or cut off"
            known = ended and all_frames >= self.decoded
            of_all = f" of {expected}" if known or lost else ""
            errors = ", some of them with errors in the picture" if self._damaged_frames else ""
            return f"{path} is {what}: {self.decoded}{of_all} frames could be read{errors}."
        if ended and stated.counts_frames and self.decoded > (stated.all_frames or self.decoded):
            return (
                f"{path} states {frames_text(stated.all_frames or 0)}, but {self.decoded} were "
                "read; it may be several videos in one file."
            )
        if ended and self._goes_on_unread(path, container):
            return (
                f"{path} has more data after the end of its video; it may be several videos in "
                "one file, of which only the first is read."
            )
        if self._skips_stand_out(stated.fps):
            places = "one place" if self._skips == 1 else f"{self._skips} places"
            return (
                f"{path} has irregular steps in {places}: frames are up to "
                f"{self._longest_skip_s:.2f} s apart there, and {1 / stated.fps:.3f} s elsewhere; "
                "some may be missing."
            )
        return None

    def _goes_on_unread(self, path: Path, container: InputContainer) -> bool:
        if container.format.name not in PACKETS_TO_THE_END:
            return False
        size = path.stat().st_size
        return size - self._read_bytes > max(UNREAD_BYTES, UNREAD_SHARE * size)

    def _skips_stand_out(self, fps: float) -> bool:
        """Whether there are a few skips among even steps; else the frame rate varies."""
        if self._longest_skip_s <= SKIP_FRAMES / fps:
            return False  # not the step is long, but the duration that a frame states is short
        few = 0 < self._skips <= max(1, SKIP_SHARE * self._steps)
        return few and self._even_steps + self._skips == self._steps

    def _lost(self, stated: Stated) -> int:
        """Return how many frames of the file did not come out of the decoder."""
        if self.interlaced or self.restarts:  # a packet may be half a frame
            return 0
        counted = (stated.all_frames or 0) - self._discarded if stated.counts_frames else 0
        return max(0, self._sent - self.decoded, counted - self.decoded)

    def _ended_early(self, path: Path, container: InputContainer, stated: Stated) -> bool:
        if container.format.name == "mpegts" and is_cut_off_transport_stream(path):
            return True
        if stated.length_s is None:
            return False
        promised = (container.start_time or 0) / av.time_base + stated.length_s
        if stated.in_pieces or container.format.name == "flv":
            # FLV and fragmented MP4 (DASH) count from the decoding time of their first packet.
            promised = min(promised, self._first_decoded_s + stated.length_s)
        # Sound may end a little before the container does.
        alone = len(container.streams) == 1
        slack = 0.75 / stated.fps if alone else max(0.2, 1.5 / stated.fps)
        slack = min(slack, LONGEST_STEP_S)
        return self._reached_s < promised - slack


def frames_text(count: int) -> str:
    """`1 frame` and `2 frames`."""
    return "1 frame" if count == 1 else f"{count} frames"
