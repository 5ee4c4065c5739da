"""Speed of drawing the overlay and the 3D scene compared with matplotlib; frames/s.

python benchmarks/run.py --only rendering_speed [--quick] [--runs N] [--cpu-time]
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from common import Settings, Table, alternate
from numpy.typing import NDArray
from synthetic_people import people

from vidpose.poses import Pose3D
from vidpose.render.compose import Layout, compose_frame
from vidpose.render.scene import ScenePanel
from vidpose.render.view import VIEWS
from vidpose.skeleton import H36M17
from vidpose.video import VideoReader, VideoWriter

SIZE = (1280, 720)
Image = NDArray[np.uint8]
DEMO_DPI = 200
"""Resolution of the public demos' figures, which are larger than our frames."""
SAME_SIZE_DPI = 133
"""Resolution at which the second figure has the size of our frames."""


def table(settings: Settings) -> Table:
    frames = 20 if settings.quick else 200
    matplotlib_frames = 2 if settings.quick else 10
    pictures = _pictures(settings.video, frames)
    result = people(1, len(pictures), SIZE)
    usual = f"matplotlib, {DEMO_DPI} dpi as in the demos"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ways: dict[str, tuple[Callable[[], Any], int]] = {
            usual: (
                partial(_matplotlib_method, result, pictures[:matplotlib_frames], folder, DEMO_DPI),
                matplotlib_frames,
            ),
            f"matplotlib, {SAME_SIZE_DPI} dpi, same size as ours": (
                partial(
                    _matplotlib_method, result, pictures[:matplotlib_frames], folder, SAME_SIZE_DPI
                ),
                matplotlib_frames,
            ),
            "vidpose, drawing": (partial(draw, result, pictures), len(pictures)),
            "vidpose, drawing and H.264": (
                partial(_draw_and_encode, result, pictures, folder / "ours.mp4"),
                len(pictures),
            ),
        }
        seconds = alternate(
            {name: way for name, (way, _) in ways.items()}, settings.runs, settings.cpu_time
        )
    rates = {name: count / seconds[name] for name, (_, count) in ways.items()}
    return Table(
        title="Drawing",
        note=f"{SIZE[0]}x{SIZE[1]}, one person, {frames} frames of the demo video. The matplotlib "
        f"method ({matplotlib_frames} frames) saves a 3D figure and a frame with the 2D skeleton "
        "as PNG, reads both and saves them side by side in a second figure; it encodes no video.",
        header=("method", "frames/s", "speed-up"),
        rows=[(name, f"{rate:.1f}", f"{rate / rates[usual]:.0f}") for name, rate in rates.items()],
    )


def _pictures(video: Path, count: int) -> list[Image]:
    with VideoReader(video) as reader:
        return [np.asarray(cv2.resize(f.image, SIZE), np.uint8) for f in islice(reader, count)]


def draw(result: Pose3D, pictures: list[Image]) -> None:
    layout = Layout.of(SIZE, SIZE[0] + SIZE[1])
    scene = ScenePanel(result, layout.panel, VIEWS["three-quarter"])
    for t, picture in enumerate(pictures):
        compose_frame(result, t, picture, scene, layout)


def _draw_and_encode(result: Pose3D, pictures: list[Image], out: Path) -> None:
    layout = Layout.of(SIZE, SIZE[0] + SIZE[1])
    scene = ScenePanel(result, layout.panel, VIEWS["three-quarter"])
    with VideoWriter(out, layout.size) as writer:
        for t, picture in enumerate(pictures):
            writer.write(compose_frame(result, t, picture, scene, layout), result.timestamps[t])


def _matplotlib_method(result: Pose3D, pictures: list[Image], folder: Path, dpi: int) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    for t, picture in enumerate(pictures):
        flat, solid = folder / f"{t}_2d.png", folder / f"{t}_3d.png"
        _save_overlay(picture, result.keypoints_2d[0, t], flat)
        _save_figure(result.joints_3d[0, t], solid, dpi)
        _save_side_by_side(flat, solid, folder / f"{t}.png", dpi)


def _save_overlay(picture: Image, keypoints: NDArray[np.float32], out: Path) -> None:
    image = picture[..., ::-1].copy()
    joints = [tuple(xy) for xy in keypoints.round().astype(int).tolist()]
    for parent, child in H36M17.bones:
        cv2.line(image, joints[parent], joints[child], (255, 0, 0), 3)
    for joint in joints:
        cv2.circle(image, joint, 4, (0, 255, 0), -1)
    cv2.imwrite(str(out), image)


def _save_figure(joints: NDArray[np.float32], out: Path, dpi: int) -> None:
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(9.6, 5.4))
    axes: Any = figure.add_subplot(projection="3d")
    axes.view_init(elev=15, azim=70)
    x, y, z = joints[:, 0], joints[:, 2], -joints[:, 1]
    for bone in H36M17.bones:
        axes.plot(x[list(bone)], y[list(bone)], z[list(bone)], lw=2)
    axes.set_xlim(-0.7, 0.7)
    axes.set_ylim(-0.7, 0.7)
    axes.set_zlim(-1, 1)
    figure.savefig(out, dpi=dpi)
    plt.close(figure)


def _save_side_by_side(left: Path, right: Path, out: Path, dpi: int) -> None:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(15, 5.4))
    for axis, path in zip(axes, (left, right), strict=True):
        axis.imshow(plt.imread(path))
        axis.axis("off")
    figure.savefig(out, dpi=dpi)
    plt.close(figure)
