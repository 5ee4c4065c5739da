"""Speed of HRNet on crops of people: our batches against MMPose's own call for each person.

    python benchmarks/hrnet.py [VIDEO] [--runs N] [--threads N]

Both use the same network (HRNet-W32 256x192 with random weights, which take as long as any
others) on the same eight frames of the video, with one box in each. The ways alternate, so that
whatever else the machine does slows all of them; medians of the runs are printed. On a machine
that is busy with other things, take `--threads 1`: then the processor's time is counted, which
goes on only while it works for us.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vidpose.detect import mmpose
from vidpose.detect.mmcv_ops import prepare_mmpose
from vidpose.detect.topdown import find_poses
from vidpose.video import VideoReader

FRAMES = 8
START_S = 2.0
BOX = np.array([[500, 50, 800, 500]], np.float32)
"""Around the man on the box in the demo video."""


def main(video: Path, runs: int, threads: int) -> None:
    if threads:
        torch.set_num_threads(threads)
    with VideoReader(video, start_s=START_S) as reader:
        pictures = [frame.image for frame in islice(reader, FRAMES)]
    clock = time.process_time if threads == 1 else time.perf_counter
    ways = _ways(pictures)
    for way in ways.values():
        way()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, way in ways.items():
            start = clock()
            way()
            seconds[name].append(clock() - start)
    print(f"{_machine()}, {torch.get_num_threads()} threads, PyTorch {torch.__version__};")
    what = "processor time" if threads == 1 else "time"
    print(f"{FRAMES} crops, {what}, medians of {runs} alternating runs\n")
    print("| HRNet-W32 256x192 | flip test | ms a person | persons/s | times as fast |")
    print("|---|---|---|---|---|")
    for flip in ("no", "yes"):
        base = median(seconds[f"inference_topdown, one call each | {flip}"])
        for name, some in seconds.items():
            if name.endswith(f"| {flip}"):
                one = median(some) / FRAMES
                speed = base / median(some)
                print(f"| {name} | {one * 1000:.0f} | {1 / one:.1f} | {speed:.2f} |")


def _ways(pictures: list[NDArray[np.uint8]]) -> dict[str, Callable[[], Any]]:
    """What is timed, by the first two columns of the table."""
    prepare_mmpose()
    model, _ = mmpose._build(mmpose.VARIANTS[32])
    ways: dict[str, Callable[[], Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "hrnet.pth"
        torch.save({"state_dict": model.state_dict()}, file)
        for flip in (False, True):
            column = "yes" if flip else "no"
            ways[f"inference_topdown, one call each | {column}"] = _theirs(file, pictures, flip)
            for half in (False, True):
                network = mmpose.open_hrnet(file, half=half, flip_test=flip)
                name = f"vidpose, one batch, {network.description['options']['precision']}"
                ways[f"{name} | {column}"] = partial(find_poses, network, pictures, [BOX] * FRAMES)
    return ways


def _theirs(file: Path, pictures: list[NDArray[np.uint8]], flip: bool) -> Callable[[], Any]:
    warnings.simplefilter("ignore")  # MMPose's own way in warns about itself
    import mmpose as package
    from mmpose.apis import inference_topdown, init_model

    config = Path(package.__file__).parent / mmpose.CONFIGS / mmpose.VARIANTS[32].config
    with redirect_stdout(None):
        model = init_model(str(config), str(file), device="cpu")
    model.test_cfg["flip_test"] = flip
    blue_first = [np.ascontiguousarray(picture[..., ::-1]) for picture in pictures]
    return lambda: [inference_topdown(model, picture, BOX) for picture in blue_first]


def _machine() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("video", nargs="?", type=Path, default=Path("demo_videos/demo.mp4"))
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--threads", type=int, default=0, help="0: as PyTorch chooses")
    given = parser.parse_args()
    main(given.video, given.runs, given.threads)
