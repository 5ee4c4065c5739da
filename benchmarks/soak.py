"""What takes too long for the tests: many kills, and many videos.

    python benchmarks/soak.py kills [--times 20] [--seconds 8] [--seed 0]
    python benchmarks/soak.py crowd [--videos 50] [--ways jobs ray]

`kills` runs `vidpose infer` with the embedded detector, kills it (SIGKILL) at a random moment, runs
it again to the end, and compares the file with that of an undisturbed run, byte by byte. `crowd`
makes many short videos, two of them broken, and runs them through two processes and through Ray:
all others must have a result, the two must be named, the exit code be 1, and a second run do only
the two again. Either ends with exit code 1 if anything is not as it should be.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import cv2

from vidpose.video import VideoReader

DEMO = Path(__file__).parents[1] / "demo_videos" / "demo.mp4"
OFTEN = (
    "import vidpose.detect.cache as cache; cache.STRETCH_S = 0.5; "
    "from vidpose.cli import main; main()"
)
"""`vidpose`, but detections are written twice a second, so that there is something to go on from
in a run of a few seconds."""


def clip(video: Path, out: Path, start_s: float, seconds: float, width: int = 884) -> Path:
    """A part of a video, made smaller."""
    with (
        VideoReader(video, start_s, start_s + seconds) as reader,
        av.open(str(out), "w") as container,
    ):
        stream = container.add_stream("libx264", rate=round(reader.fps))
        size = width, width * reader.size[1] // reader.size[0] // 2 * 2
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for frame in reader:
            image: Any = cv2.resize(frame.image, size)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))
    return out


def kills(folder: Path, times: int, seconds: float, seed: int) -> bool:
    """Whether the file was the same every time."""
    video = clip(DEMO, folder / "clip.mkv", 0, seconds)

    def command(out: Path) -> list[str]:
        return [sys.executable, "-c", OFTEN, "infer", str(video), "-o", str(out)]

    start = time.monotonic()
    subprocess.run(command(folder / "whole"), check=True, capture_output=True)
    took = time.monotonic() - start
    expected = (folder / "whole" / "clip.npz").read_bytes()
    print(f"undisturbed: {took:.1f} s", flush=True)
    moments = random.Random(seed)
    well = True
    for n in range(times):
        out = folder / f"killed-{n}"
        moment = moments.uniform(0, took)
        job = subprocess.Popen(command(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moment)
        job.kill()
        job.wait()
        left = sorted(path.name for path in out.glob(".*.partial/*"))
        again = subprocess.run(command(out), check=True, capture_output=True, text=True)
        same = (out / "clip.npz").read_bytes() == expected
        alone = [path.name for path in out.iterdir()] == ["clip.npz"]
        went_on = next((line for line in again.stdout.splitlines() if "Going on" in line), "")
        print(
            f"killed after {moment:5.1f} s: {'the same' if same else 'ANOTHER'} result, "
            f"{len(left):2} files were left, {'none' if alone else 'SOME'} are now. {went_on}",
            flush=True,
        )
        well = well and same and alone
    return well


def crowd(folder: Path, count: int, ways: list[str]) -> bool:
    """Whether all went as it should."""
    videos = folder / "videos"
    videos.mkdir()
    for n in range(count - 2):
        clip(DEMO, videos / f"{n:03d}.mkv", 0.12 * n, 0.4)
    (videos / "broken.mp4").write_bytes(DEMO.read_bytes()[:100_000])
    (videos / "text.mp4").write_text("this is no video")
    well = True
    for way in ways:
        out = folder / way
        command = [sys.executable, "-m", "vidpose", "infer", str(videos), "-o", str(out)]
        command += ["--jobs", "2"] if way == "jobs" else ["--ray", "local"]
        for run, expected in (
            ("first", f"{count - 2} done, 0 was there, 2 failed"),
            ("second", f"0 done, {count - 2} was there, 2 failed"),
        ):
            start = time.monotonic()
            done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
            sums = (done.stdout.splitlines() or [""])[-1]
            named = all(f"{name}.mp4" in done.stderr for name in ("broken", "text"))
            results = len(list(out.glob("*.npz")))
            fine = (
                sums == expected
                and named
                and done.returncode == 1
                and results == count - 2
                and not list(out.glob(".*"))
            )
            print(
                f"{way}, {run} run: {sums}; exit code {done.returncode}, {results} results, the "
                f"broken ones are {'named' if named else 'NOT NAMED'}, "
                f"{time.monotonic() - start:.0f} s: {'well' if fine else 'NOT WELL'}",
                flush=True,
            )
            if not fine:
                print(done.stdout, done.stderr)
            well = well and fine
    return well


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    killing = commands.add_parser("kills")
    killing.add_argument("--times", type=int, default=20)
    killing.add_argument("--seconds", type=float, default=8.0, help="of video")
    killing.add_argument("--seed", type=int, default=0)
    many = commands.add_parser("crowd")
    many.add_argument("--videos", type=int, default=50)
    many.add_argument("--ways", nargs="+", choices=["jobs", "ray"], default=["jobs", "ray"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if options.command == "kills":
            well = kills(Path(name), options.times, options.seconds, options.seed)
        else:
            well = crowd(Path(name), options.videos, options.ways)
    raise SystemExit(0 if well else 1)


if __name__ == "__main__":
    main()
