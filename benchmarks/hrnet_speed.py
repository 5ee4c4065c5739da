"""Speed of HRNet on person crops compared with one MMPose call per person; persons/s.

    python benchmarks/hrnet_speed.py [--video V] [--runs 9] [--threads N]

Both use the same network (HRNet-W32 256x192 with random weights, which take as long as any others)
on the same eight frames of the video, with one box in each. The methods alternate; the table has
medians. On a busy machine use `--threads 1`, which measures CPU time.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import DEMO, alternate, argument_parser, machine, markdown_table, run_script
from numpy.typing import NDArray

from vidpose.detect import mmpose
from vidpose.detect.mmcv_ops import prepare_mmpose
from vidpose.detect.topdown import find_poses
from vidpose.video import VideoReader

FRAMES = 8
START_S = 2.0
BOX = np.array([[500, 50, 800, 500]], np.float32)
"""Around the man on the box in the demo video."""


def measure(video: Path, runs: int, threads: int) -> None:
    if threads:
        torch.set_num_threads(threads)
    with VideoReader(video, start_s=START_S) as reader:
        pictures = [frame.image for frame in islice(reader, FRAMES)]
    seconds = alternate(_ways(pictures), runs, cpu_time=threads == 1)
    what = "CPU time" if threads == 1 else "time"
    print(f"{machine()}; {FRAMES} crops, {what}, medians of {runs} alternating runs\n")
    rows = []
    for flip in ("no", "yes"):
        base = seconds[f"inference_topdown, one call each | {flip}"]
        for name, some in seconds.items():
            if name.endswith(f"| {flip}"):
                one = some / FRAMES
                cells = f"{one * 1000:.0f}", f"{1 / one:.1f}", f"{base / some:.2f}"
                rows.append((*name.split(" | "), *cells))
    header = ("HRNet-W32 256x192", "flip test", "ms per person", "persons/s", "speed-up")
    print(markdown_table(header, rows), end="")


def _ways(pictures: list[NDArray[np.uint8]]) -> dict[str, Callable[[], Any]]:
    """The timed functions, by the first two columns of the table."""
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
    warnings.simplefilter("ignore")  # MMPose's own API emits warnings
    import mmpose as package
    from mmpose.apis import inference_topdown, init_model

    config = Path(package.__file__).parent / mmpose.CONFIGS / mmpose.VARIANTS[32].config
    with redirect_stdout(None):
        model = init_model(str(config), str(file), device="cpu")
    model.test_cfg["flip_test"] = flip
    blue_first = [np.ascontiguousarray(picture[..., ::-1]) for picture in pictures]
    return lambda: [inference_topdown(model, picture, BOX) for picture in blue_first]


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--video", type=Path, default=DEMO)
    parser.add_argument("--runs", type=int, default=9, help="of each method")
    parser.add_argument("--threads", type=int, default=0, help="0: PyTorch's default")
    given = parser.parse_args()
    measure(given.video, given.runs, given.threads)


if __name__ == "__main__":
    run_script(main)
