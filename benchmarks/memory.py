"""Memory of `vidpose.infer` over the length of a video.

    python benchmarks/memory.py [--minutes 1 60] [--detector fake|mediapipe] [--stay S]
        [--longest N] [--render] [--width 256] [--folder DIR]

Plays a video forwards and backwards, so that few new people appear in each round, and repeats that
without reencoding. Runs `vidpose.infer` on each length in a separate process. The table has the
peak memory in MB, with and without the result's arrays, and the ratio to the first length; the last
line has the growth. `fake` detects the same two people in every frame at no cost; everything else
is unchanged. With `--stay` two other people replace them every S seconds: the arrays have a row for
each person.

The embedded detector takes hours for an hour of video. `--folder` keeps the videos and results, and
an interrupted run resumes; the peak is then that of the last process.
`python benchmarks/run.py --only memory` also reports frames/s.

`one_process.py` measures the memory of one process over many videos.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from common import DEMO, Settings, Table, argument_parser, markdown_table, run_script

import vidpose
from vidpose import pipeline
from vidpose.detect import Detections
from vidpose.skeleton import COCO17
from vidpose.utils.progress import bar
from vidpose.video import Frame, VideoReader, VideoWriter


def looped(video: Path, out: Path, minutes: float) -> Path:
    """Repeat the video for so many minutes by copying its packets."""
    with av.open(str(video)) as source:
        stream = source.streams.video[0]
        packets = [
            (bytes(packet), packet.pts, packet.dts, packet.is_keyframe)
            for packet in source.demux(stream)
            if packet.pts is not None
        ]
        length = max(pts for _, pts, _, _ in packets) - min(pts for _, pts, _, _ in packets)
        length += round(1 / stream.average_rate / stream.time_base)
        rounds = max(1, round(minutes * 60 / float(length * stream.time_base)))
        with av.open(str(out), "w") as target:
            copy = target.add_stream_from_template(stream)
            for n in range(rounds):
                for data, pts, dts, key in packets:
                    packet = av.Packet(data)
                    packet.stream = copy
                    packet.time_base = stream.time_base
                    packet.pts, packet.dts = pts + n * length, dts + n * length
                    packet.is_keyframe = key
                    target.mux(packet)
    return out


def small(video: Path, out: Path, width: int = 256) -> Path:
    """The video at a size that decodes quickly, forwards and then backwards."""
    with VideoReader(video) as reader:
        height = round(width * reader.size[1] / reader.size[0])
        size = (width + width % 2, height + height % 2)
        frames: list[tuple[Any, float]]
        frames = [(cv2.resize(frame.image, size), frame.time_s) for frame in reader]
        (_, first), (_, last) = frames[0], frames[-1]
        turn = last + (last - first) / (len(frames) - 1)
        frames += [(image, turn + last - time_s) for image, time_s in reversed(frames)]
        with VideoWriter(out, size, time_base=reader.time_base) as writer:
            for image, time_s in frames:
                writer.write(image, time_s)
    return out


class FakeDetector:
    """Two swaying people at no cost; two others replace them after `stay_s` seconds."""

    name = "fake"
    skeleton = COCO17
    description: dict[str, Any] = {"name": "fake"}  # noqa: RUF012

    def __init__(self, stay_s: float = float("inf")) -> None:
        self._stay_s = stay_s

    def detect(self, frames: Iterable[Frame]) -> Iterator[Detections]:
        random = np.random.default_rng(0)
        body = random.uniform(0, 1, (17, 2)) * (60, 100)
        for frame in frames:
            sway = np.sin(frame.time_s + np.arange(17))[:, None] * 3
            people = np.stack([body + sway + (20, 20), body - sway + (150, 20)])
            if frame.time_s % (self._stay_s + 1) > self._stay_s:
                people = people[:0]
            scores = np.full(people.shape[:2], 0.9, np.float32)
            yield Detections(people.astype(np.float32), scores, COCO17)

    def reset(self) -> None:
        pass

    def memory(self) -> Any:
        return None

    def remember(self, memory: Any) -> None:
        pass

    def close(self) -> None:
        pass

    def __enter__(self) -> FakeDetector:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def measure(video: Path, out: Path, detector: str, stay_s: float, **options: Any) -> dict[str, Any]:
    """Run `infer` in this process; return its peak memory and the result's array sizes, bytes."""
    if detector == "fake":
        vars(pipeline)["open_detector"] = lambda *_, **__: (FakeDetector(stay_s), "a stand-in")
        detector = "auto"
    begun = time.monotonic()
    result = vidpose.infer(
        video, out, detector=detector, flip=False, progress=bar("frames"), **options
    )
    # ru_maxrss is in KiB on Linux and in bytes on macOS.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    arrays = [getattr(result, name) for name in result.__dataclass_fields__]
    return {
        "frames": result.frames,
        "took": time.monotonic() - begun,
        "people": result.people,
        "seconds": float(result.timestamps[-1] - result.timestamps[0]),
        "peak": peak * (1 if sys.platform == "darwin" else 1024),
        "arrays": sum(array.nbytes for array in arrays if isinstance(array, np.ndarray)),
    }


def memory_over_length(
    video: Path, minutes: list[float], folder: Path, *options: str
) -> list[dict[str, Any]]:
    """`measure` on the video looped to each length, each in a process of its own.

    Args:
        options: options of this script.
    """
    rows = []
    for length in minutes:
        path = looped(video, folder / f"{length:g}min.mp4", length)
        command = [sys.executable, __file__, "--one", str(path), "--folder", str(folder), *options]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows.append({"minutes": length, **json.loads(done.stdout.splitlines()[-1])})
    return rows


def table(settings: Settings) -> Table:
    minutes = [0.25, 0.5] if settings.quick else [1.0, 60.0]
    with tempfile.TemporaryDirectory() as name:
        video = small(settings.video, Path(name) / "small.mp4")
        found = memory_over_length(video, minutes, Path(name))
    rows: list[tuple[str, ...]] = []
    for row, ratio in zip(found, growth(found), strict=True):
        cells = f"{row['minutes']:g}", str(row["frames"]), f"{row['peak'] / 1e6:.0f}"
        rate = row["frames"] / row["took"]
        rows.append((*cells, f"{row['arrays'] / 1e6:.1f}", f"{ratio:.2f}", f"{rate:.0f}"))
    return Table(
        title="Length of the video",
        note="The video at a small size, forwards and backwards, repeated without reencoding; a "
        "fake detector with two people in every frame; each length once, in a separate process.",
        header=(
            *("minutes", "frames", "peak memory, MB", "result arrays, MB"),
            *("peak without them, relative", "frames/s"),
        ),
        rows=rows,
    )


def without_arrays(row: dict[str, Any]) -> float:
    """Bytes at the peak, without the result's arrays."""
    return float(row["peak"] - row["arrays"])


def growth(rows: list[dict[str, Any]]) -> list[float]:
    """Peak memory without the result's arrays, relative to the first row's."""
    return [without_arrays(row) / without_arrays(rows[0]) for row in rows]


def report(rows: list[dict[str, Any]]) -> str:
    """The table as Markdown, and a sentence about the growth of memory."""
    header = ("minutes", "frames", "people", "peak, MB", "result arrays, MB", "without them")
    cells = [
        (
            *(f"{row['seconds'] / 60:.3g}", f"{row['frames']}", f"{row['people']}"),
            *(f"{row['peak'] / 1e6:.0f}", f"{row['arrays'] / 1e6:.1f}"),
            *(f"{without_arrays(row) / 1e6:.0f}", f"{ratio:.2f}"),
        )
        for row, ratio in zip(rows, growth(rows), strict=True)
    ]
    first, last = rows[0], rows[-1]
    more = (without_arrays(last) - without_arrays(first)) / 1e6
    return (
        f"{markdown_table((*header, 'ratio'), cells)}\n"
        f"From {first['seconds'] / 60:.3g} to {last['seconds'] / 60:.3g} minutes memory grows by "
        f"{more:.0f} MB without the result's arrays ({growth(rows)[-1]:.2f} times)."
    )


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 60])
    parser.add_argument("--detector", choices=["fake", "mediapipe"], default="fake")
    parser.add_argument("--stay", type=float, default=float("inf"), metavar="S", dest="stay_s")
    parser.add_argument("--video", type=Path, default=DEMO)
    parser.add_argument("--width", type=int, default=256, help="of the repeated video")
    parser.add_argument("--weights", default="default")
    parser.add_argument("--longest", type=int, help="as of `vidpose infer`, as is --render")
    parser.add_argument("--render", action="store_true")
    parser.add_argument("--folder", type=Path, help="for videos and results, which are kept")
    parser.add_argument("--one", type=Path, help="only measure this video, in this process")
    given = parser.parse_args()
    options = {"weights": given.weights, "longest": given.longest, "render": given.render}
    if given.one:
        out = given.folder / "results"
        print(json.dumps(measure(given.one, out, given.detector, given.stay_s, **options)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = given.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        video = small(given.video, folder / "small.mp4", given.width)
        more = [f"--detector={given.detector}", f"--stay={given.stay_s}"]
        more += [f"--weights={given.weights}"] + ["--render"] * given.render
        more += [] if given.longest is None else [f"--longest={given.longest}"]
        print(report(memory_over_length(video, given.minutes, folder, *more)))


if __name__ == "__main__":
    run_script(main)
