"""All benchmarks, as Markdown tables with the machine they were taken on.

    python benchmarks/run.py [-o outputs/benchmarks.md] [--quick] [--runs N] [--cpu-time]
        [--only NAME ...]

Whatever is compared is measured side by side in this one run, in turns, and the median counts.
Ratios travel between machines; absolute times do not. A benchmark is a module here whose `table`
takes `Settings` and gives a `Table`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import crowd
import cv2
import drawing
import length
import lifting_speed
import torch
import training
import weights_speed
import whole
import windows
from measuring import Settings, machine

import vidpose
from vidpose.utils.files import check_writable, replacing

BENCHMARKS = {
    "lifting_speed": lifting_speed,
    "weights_speed": weights_speed,
    "drawing": drawing,
    "whole": whole,
    "windows": windows,
    "training": training,
    "length": length,
    "crowd": crowd,
}


def main(out: Path, names: list[str], settings: Settings) -> None:
    check_writable(out)
    if settings.cpu_time:
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
    about = f"vidpose {vidpose.__version__}. {machine()}; medians of {settings.runs} runs in turn."
    if settings.cpu_time:
        about += " Seconds are those of the processor, with one thread."
    if settings.quick:
        about += " Quick mode: small sizes, so ratios are rough."
    parts = [f"# Benchmarks\n\n{about}\n"]
    print(parts[0])
    for name in names:
        parts.append(BENCHMARKS[name].table(settings).markdown())
        print(parts[-1], flush=True)
        with replacing(out) as temporary:  # after each, for all together take long
            temporary.write_text("\n".join(parts))
    print(f"Written to {out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("-o", "--out", type=Path, default=Path("outputs/benchmarks.md"))
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--runs", type=int, default=3, help="of each way")
    parser.add_argument("--cpu-time", action="store_true", help="for a machine others keep busy")
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS))
    parser.add_argument("--video", type=Path, default=Path("demo_videos/demo.mp4"))
    given = parser.parse_args()
    main(
        given.out,
        given.only,
        Settings(video=given.video, quick=given.quick, runs=given.runs, cpu_time=given.cpu_time),
    )
