"""A folder with small files of the names that the docs use, and a stand-in for the detector."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

import vidpose
from tests.bvh_files import write_mocap
from tests.clips import make_clip
from tests.fakes import FakeDetector, tiny_weights
from tests.official_files import poseformer_state
from tests.render.people import walk
from vidpose.datasets.synthetic import write_synthetic
from vidpose.detect.base import Detections
from vidpose.export import export
from vidpose.skeleton import H36M17
from vidpose.video import Frame

SIZE, FPS, FRAMES = (320, 240), 10, 40
PEOPLE = walk(
    frames=FRAMES,
    fps=FPS,
    size=SIZE,
    starts=((-1.0, 4.5), (1.2, 5.5)),
    speeds=((0.5, 0.0), (-0.4, 0.1)),
)
RUNS = ("synthetic", "h36m", "train", "mine", "dance")


class TwoWalkers(FakeDetector):
    """Sees two people who walk, whatever the picture shows."""

    def __init__(self) -> None:
        super().__init__(lambda index: True)

    def detect(self, frames: Iterable[Frame]) -> Iterator[Detections]:
        for frame in frames:
            now = frame.index % FRAMES
            yield Detections(PEOPLE.keypoints_2d[:, now], PEOPLE.scores_2d[:, now], H36M17)


def open_two_walkers(*_: Any) -> tuple[TwoWalkers, str]:
    """In place of `vidpose.detect.open_detector`."""
    return TwoWalkers(), "a stand-in (this is a test)"


def fill(folder: Path) -> None:
    """Write everything; `open_two_walkers` has to be in place."""
    video = make_clip(folder / "my_video.mp4", size=SIZE, frames=FRAMES, rate=Fraction(FPS))
    for name in ("VIDEO", "a.mp4", "b.mov", "FOLDER/c.mp4", "clips/monday/d.mp4"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(video, folder / name)
    (folder / "list.txt").write_text("a.mp4\n")
    for name in ("other", *(f"outputs/{run}/best" for run in RUNS)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        tiny_weights(folder / f"{name}.safetensors")
    torch.save({"model_pos": poseformer_state(frames=81)}, folder / "detected81f.bin")
    _results(folder, video)
    _keypoints(folder)
    write_mocap(folder / "MOCAP", ("01", "02", "03", "10", "12"))
    write_synthetic(folder / "data" / "synthetic", actions=("Walking",), seconds=0.3)
    write_synthetic(folder / "data", "h36m", actions=("Sitting",), seconds=0.3)
    write_synthetic(folder / "data", "humaneva", seconds=0.3)
    (folder / "mine").mkdir()
    for subject in ("bob", "carla"):
        np.savez(
            folder / "mine" / f"{subject}_1.npz",
            keypoints_2d=PEOPLE.keypoints_2d[0],
            joints_3d=PEOPLE.joints_camera()[0],
            fps=FPS,
            frame_size=SIZE,
            focal_px=max(SIZE),
            subject=subject,
        )
    (folder / "part_00.txt").write_text("a.mp4\n")


def _results(folder: Path, video: Path) -> None:
    tiny: dict[str, Any] = {"weights": folder / "other.safetensors", "flip": False}
    result = vidpose.infer(video, folder / "outputs", world=True, save_mmpose=True, **tiny)
    for name in ("outputs/walk.npz", "RESULT.npz"):
        shutil.copy(folder / "outputs" / "my_video.npz", folder / name)
    vidpose.infer(video, folder / "other", **tiny)
    export(result.person(1), folder / "mocap.trc", "trc")
    (folder / "predictions").mkdir()
    written = folder / "outputs" / "my_video.mmpose.json"
    predictions = json.loads(written.read_text())
    for name in ("fps", "frame_size"):  # MMPose itself does not know them
        del predictions["meta_info"][name]
    (folder / "predictions" / "clip.json").write_text(json.dumps(predictions))
    written.unlink()


def _keypoints(folder: Path) -> None:
    """What MMPose writes without `meta_info`."""
    predictions = [
        {
            "frame_id": frame,
            "instances": [
                {
                    "keypoints": PEOPLE.keypoints_2d[person, frame].tolist(),
                    "keypoint_scores": np.ones(17).tolist(),
                }
                for person in range(PEOPLE.people)
            ],
        }
        for frame in range(FRAMES)
    ]
    (folder / "predictions.json").write_text(json.dumps(predictions))
