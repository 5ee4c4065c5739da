"""Copy the sound of a video into a new one."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
from av.audio.resampler import AudioResampler
from av.container import OutputContainer

from vidpose.video.streams import LENIENT

COPIED = {"aac", "mp3", "opus", "flac"}
"""Codecs that browsers play in an MP4. Others are re-encoded as AAC."""
AAC_RATES = {96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000}
OTHER_RATE = 48000
AAC_FRAME = 1024


class Sound:
    """Copies the first sound track of a video, packet by packet, in step with the frames.

        with Sound("walk.mp4", start_s=8.0) as sound:
            sound.add_to(container)
            for ...:
                sound.mux_until(time_s)

    AAC, MP3, Opus and FLAC are copied; others are re-encoded as AAC, without their gaps. The sound
    begins at the start and ends at the last `mux_until`, to the precision of a packet, some
    hundredths of a second.

    Args:
        path: the video; may have no sound.
        start_s: the container's time, seconds, that becomes 0.
    """

    warning: str | None = None
    """A sentence if some of the sound could not be copied."""

    def __init__(self, path: str | Path, start_s: float = 0.0) -> None:
        self.path = Path(path)
        self._start_s = start_s
        self._source = av.open(str(self.path.absolute()), **LENIENT)
        self._track = next(iter(self._source.streams.audio), None)
        self._packets: Iterator[Any] = iter(())
        self._waiting: Any = None
        """A packet after the last `mux_until`."""

    def __enter__(self) -> Sound:
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()

    def add_to(self, container: OutputContainer) -> None:
        """Add the track to an output file, before its first packet."""
        track = self._track
        if track is None:
            return
        self._container = container
        try:
            if track.codec_context is None:
                raise ValueError("its codec is unknown")
            if track.codec_context.codec.canonical_name in COPIED:
                self._out: Any = container.add_stream_from_template(track)
                self._packets = self._copied()
            else:
                rate = track.rate if track.rate in AAC_RATES else OTHER_RATE
                layout = "mono" if track.layout.nb_channels == 1 else "stereo"
                self._out = container.add_stream("aac", rate=rate, layout=layout)
                self._packets = self._encoded()
        except (av.FFmpegError, ValueError) as error:
            self._give_up(error)

    def mux_until(self, time_s: float) -> None:
        """Write the sound up to a time of the new video, seconds."""
        try:
            while (packet := self._waiting or next(self._packets, None)) is not None:
                if packet.pts * packet.time_base >= time_s:
                    self._waiting = packet
                    return
                self._waiting = None
                self._container.mux(packet)
        except (av.FFmpegError, ValueError) as error:
            if isinstance(error, OSError):  # such as a full disk
                raise
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._packets, self._waiting = iter(()), None
        self.warning = f"The sound of {self.path} could not be kept, or not all of it ({error})."

    def _copied(self) -> Iterator[Any]:
        last = None
        for packet in self._source.demux(self._track):
            if packet.pts is None or packet.dts is None:  # also the last, empty one
                continue
            start = round(self._start_s / packet.time_base)
            packet.pts, packet.dts = packet.pts - start, packet.dts - start
            # Packets before 0 only prime the decoder; and times in a file must increase.
            if packet.pts < 0 or (last is not None and packet.dts <= last):
                continue
            last = packet.dts
            packet.stream = self._out
            yield packet

    def _encoded(self) -> Iterator[Any]:
        context = self._out.codec_context
        resampler = AudioResampler("fltp", context.layout, context.rate, AAC_FRAME)
        samples: int | None = None  # the new track's clock: it has no gaps
        for frame in chain(self._source.decode(self._track), [None]):
            if frame is not None and (frame.time is None or frame.time < self._start_s):
                continue
            if samples is None:
                if frame is None:
                    break
                samples = round((frame.time - self._start_s) * context.rate)
            for piece in resampler.resample(frame):
                piece.pts, piece.time_base = samples, Fraction(1, context.rate)
                samples += piece.samples
                yield from self._out.encode(piece)
        yield from self._out.encode(None)
