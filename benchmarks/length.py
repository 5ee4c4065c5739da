"""Memory and time over the length of a video: `vidpose infer` on the same one, again and again."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
from measuring import Settings, Table

from vidpose.poses import load


def table(settings: Settings) -> Table:
    rows: list[tuple[str, ...]] = []
    first = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for minutes in (0.25, 0.5) if settings.quick else (1, 4, 16, 60):
            video = looped(settings.video, minutes, folder / f"{minutes:g}.mp4")
            seconds, peak = _infer(video, folder)
            out = folder / f"{video.stem}.npz"
            result = load(out)
            # ru_maxrss is the whole process, result arrays included.
            arrays = sum(v.nbytes for v in vars(result).values() if hasattr(v, "nbytes")) / 2**20
            rest = peak - arrays
            first = first or rest
            cells = f"{minutes:g}", str(result.frames), f"{result.frames / seconds:.1f}"
            rows.append((*cells, f"{peak:.0f}", f"{arrays:.1f}", f"{rest / first:.2f}"))
            video.unlink()
            out.unlink()
    return Table(
        title="Length of the video",
        note="The video repeated without encoding it again, each length in a process of its own, "
        "once. Frames/s include the start of Python, models and all.",
        header=(
            "minutes", "frames", "frames/s", "peak memory, MiB", "result arrays, MiB",
            "peak without them, relative",
        ),
        rows=rows,
    )  # fmt: skip


def looped(video: Path, minutes: float, out: Path) -> Path:
    """The video's packets, repeated until it is as long."""
    with av.open(str(video)) as source, av.open(str(out), "w") as target:
        stream = source.streams.video[0]
        base = stream.time_base
        assert base is not None
        copy = target.add_stream_from_template(stream)
        shift, wanted = 0, minutes * 60 / float(base)
        while shift < wanted:
            source.seek(0)
            end = 0
            for packet in source.demux(stream):
                if packet.pts is None or packet.dts is None:
                    continue
                end = max(end, packet.pts + (packet.duration or 0))
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                packet.stream = copy
                target.mux(packet)
            shift += end
    return out


def _infer(video: Path, folder: Path) -> tuple[float, float]:
    """Seconds and peak MiB of `vidpose infer` in a process of its own."""
    command = [sys.executable, "-m", "vidpose", "infer", str(video), "-o", str(folder)]
    command += ["--detector", "mediapipe"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB on Linux
    return time.perf_counter() - start, usage.ru_maxrss * unit / 2**20
