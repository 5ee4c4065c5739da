"""How memory grows with the length of a video.

    python benchmarks/memory.py [--minutes 1 60] [--detector fake|mediapipe] [--stay S]
        [--longest N] [--render] [--width 256] [--folder DIR]

Plays a video forwards and backwards, so that fewer of its people are new ones every time, and loops
that (without encoding it again); runs `vidpose.infer` on each length in a process of its own, and
says how high its memory rose at most, and how high without the result's arrays. `fake` finds the
same two people in every frame in no time, which leaves everything else as it is; with `--stay` two
others come every S seconds, for arrays have a row for everybody.

The embedded detector takes hours for an hour. With `--folder` the videos and the results stay
there, and a run that was interrupted goes on; the peak is then that of the last process.
"""

from __future__ import annotations

import argparse
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

import vidpose
from vidpose import pipeline
from vidpose.detect import Detections
from vidpose.skeleton import COCO17
from vidpose.utils.progress import bar
from vidpose.video import Frame, VideoReader, VideoWriter

DEMO = Path(__file__).parents[1] / "demo_videos" / "demo.mp4"


def looped(video: Path, out: Path, minutes: float) -> Path:
    """The video again and again, until it is as long as that; its packets are copied."""
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
    """Two people who sway, at no cost; they go after `stay_s` seconds, and two others come."""

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
    """Infer in this process: the peak of its memory, and what the result's arrays take, bytes."""
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
        options: of this script's command line.
    """
    rows = []
    for length in minutes:
        path = looped(video, folder / f"{length:g}min.mp4", length)
        command = [sys.executable, __file__, "--one", str(path), "--folder", str(folder), *options]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows.append({"minutes": length, **json.loads(done.stdout.splitlines()[-1])})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 60])
    parser.add_argument("--detector", choices=["fake", "mediapipe"], default="fake")
    parser.add_argument("--stay", type=float, default=float("inf"), metavar="S", dest="stay_s")
    parser.add_argument("--video", type=Path, default=DEMO)
    parser.add_argument("--width", type=int, default=256, help="of the video that is looped")
    parser.add_argument("--weights", default="default")
    parser.add_argument("--longest", type=int, help="as of `vidpose infer`, as is --render")
    parser.add_argument("--render", action="store_true")
    parser.add_argument("--folder", type=Path, help="for videos and results, which stay there")
    parser.add_argument("--one", type=Path, help="only measure this video, here")
    options = parser.parse_args()
    if options.one:
        found = measure(
            options.one,
            options.folder / "results",
            options.detector,
            options.stay_s,
            weights=options.weights,
            longest=options.longest,
            render=options.render,
        )
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = options.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        video = small(options.video, folder / "small.mp4", options.width)
        more = [f"--detector={options.detector}", f"--stay={options.stay_s}"]
        more += [f"--weights={options.weights}"] + ["--render"] * options.render
        more += [] if options.longest is None else [f"--longest={options.longest}"]
        rows = memory_over_length(video, options.minutes, folder, *more)
    first = rows[0]["peak"] - rows[0]["arrays"]
    print("| minutes | frames | people | peak, MB | result arrays, MB | without them | ratio |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        rest = row["peak"] - row["arrays"]
        print(
            f"| {row['seconds'] / 60:.1f} | {row['frames']} | {row['people']} "
            f"| {row['peak'] / 1e6:.0f} "
            f"| {row['arrays'] / 1e6:.1f} | {rest / 1e6:.0f} | {rest / first:.2f} |"
        )


if __name__ == "__main__":
    main()
