from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import pytest

import vidpose
from tests.fakes import tiny_weights
from vidpose.video import VideoReader


@pytest.fixture(scope="session")
def folder(demo_video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips of six frames, a file that is no video, and two files with the same stem."""
    folder = tmp_path_factory.mktemp("videos")
    with VideoReader(demo_video, 2.0, 3.0) as reader:
        frames = list(islice(reader, 18))
    for n, name in enumerate(("a", "b", "d")):
        with av.open(str(folder / f"{name}.mkv"), "w") as container:
            stream = container.add_stream("libx264", rate=30)
            stream.width, stream.height, stream.pix_fmt = 884, 496, "yuv420p"
            for frame in frames[6 * n : 6 * n + 6]:
                image: Any = cv2.resize(frame.image, (884, 496))
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
            container.mux(stream.encode(None))
    (folder / "c.mkv").write_text("no video")
    for name in ("e.mov", "e.mp4"):
        (folder / name).touch()
    return folder


@pytest.fixture(scope="session")
def alone(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The joints of each clip, processed one by one."""
    out = tmp_path_factory.mktemp("alone")
    weights = tiny_weights(out / "tiny.safetensors")
    for name in ("a", "b", "d"):
        vidpose.infer(folder / f"{name}.mkv", out, weights=weights, detector="mediapipe")
    return {name: vidpose.load(out / f"{name}.npz").joints_3d for name in ("a", "b", "d")}
