"""Video of people in, 3D joints out.

    import vidpose

    result = vidpose.infer("video.mp4")  # -> vidpose.Pose3D
    with vidpose.Predictor(weights="default") as predictor:  # opened once, for many videos
        result = predictor("video.mp4")
    outcomes = vidpose.infer_many(["folder"], "outputs", jobs=2)
    result = vidpose.load("outputs/video.npz")
    joints = vidpose.lift(keypoints_2d, frame_size=(1920, 1080), fps=30)
    result = vidpose.lift_file("predictions.json", fps=30, size=(1920, 1080))
    model = vidpose.load_model("weights/default.safetensors")

Names are imported on first use, so that `import vidpose` is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidpose.batch.job import Outcome
    from vidpose.batch.run import infer_many
    from vidpose.errors import VidposeError
    from vidpose.from_keypoints import lift, lift_file
    from vidpose.models import load_model
    from vidpose.pipeline import Predictor, infer
    from vidpose.poses import Pose2D, Pose3D, load, save

__version__ = "0.1.0"
__all__ = [
    "Outcome",
    "Pose2D",
    "Pose3D",
    "Predictor",
    "VidposeError",
    "infer",
    "infer_many",
    "lift",
    "lift_file",
    "load",
    "load_model",
    "save",
]

_HOME = {
    "VidposeError": "errors",
    "infer": "pipeline",
    "infer_many": "batch.run",
    "Outcome": "batch.job",
    "lift": "from_keypoints",
    "lift_file": "from_keypoints",
    "load_model": "models",
    "Pose2D": "poses",
    "Pose3D": "poses",
    "Predictor": "pipeline",
    "load": "poses",
    "save": "poses",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vidpose' has no attribute {name!r}")
    return getattr(import_module(f"vidpose.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
