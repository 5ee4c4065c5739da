"""The whole pipeline against the detector alone, on the same video, in alternating runs.

    python benchmarks/pipeline.py [VIDEO] [--runs 3] [--weights NAME|PATH]

The detector alone decodes and detects, one after the other. Each run is a process of its own; what
is timed begins when the detector is open, and ends when the last file is written.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DEMO = Path(__file__).parents[1] / "demo_videos" / "demo.mp4"
WAYS = ("detector alone", "infer", "infer --render")


def one_run(video: Path, way: str, weights: str) -> dict[str, float]:
    """Frames/s and seconds of processor time of one run, here and now."""
    import vidpose
    from vidpose.detect import open_detector
    from vidpose.video import VideoReader

    if way == "detector alone":
        detector, _ = open_detector("mediapipe")
        start, busy = time.perf_counter(), time.process_time()
        with detector, VideoReader(video) as reader:
            frames = sum(1 for _ in detector.detect(reader))
    else:
        begun: list[tuple[float, float]] = []

        def report(line: str) -> None:
            if line.startswith("Detector: "):
                begun.append((time.perf_counter(), time.process_time()))

        with tempfile.TemporaryDirectory() as folder:
            frames = vidpose.infer(
                video,
                folder,
                detector="mediapipe",
                weights=weights,
                render=way.endswith("--render"),
                report=report,
            ).frames
        start, busy = begun[0]
    seconds = time.perf_counter() - start
    return {"fps": frames / seconds, "busy_s": time.process_time() - busy, "seconds": seconds}


def alternating(video: Path, runs: int, weights: str = "default") -> dict[str, dict[str, float]]:
    """Medians of each way's runs, which take turns."""
    environment = {"OMP_WAIT_POLICY": "passive", **os.environ}
    measured: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(runs):
        for way in WAYS:
            command = [sys.executable, __file__, str(video), "--one", way, "--weights", weights]
            done = subprocess.run(
                command, check=True, capture_output=True, text=True, env=environment
            )
            measured[way].append(json.loads(done.stdout.splitlines()[-1]))
    return {
        way: {key: statistics.median(run[key] for run in some) for key in some[0]}
        for way, some in measured.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path, nargs="?", default=DEMO)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--weights", default="default")
    parser.add_argument("--one", choices=WAYS, help="only one run, here")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one_run(options.video, options.one, options.weights)))
        return
    rows = alternating(options.video, options.runs, options.weights)
    print("| | frames/s | of the detector's | processor seconds |")
    print("|---|---|---|---|")
    for way, row in rows.items():
        share = row["fps"] / rows["detector alone"]["fps"]
        print(f"| {way} | {row['fps']:.1f} | {share:.0%} | {row['busy_s']:.1f} |")


if __name__ == "__main__":
    main()
