"""Fakes that make the pipeline fast: a detector that ignores images, and tiny weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.dataset_files import make_checkpoint
from vidpose import pipeline
from vidpose.detect.base import Detections
from vidpose.models import save_checkpoint
from vidpose.options import DetectorOptions
from vidpose.skeleton import COCO17
from vidpose.video import Frame

# Somebody who stands, in units of the picture's height, x from the middle; COCO's order.
STANDING = np.array(
    [
        *((0, 0.2), (0.01, 0.19), (-0.01, 0.19), (0.02, 0.195), (-0.02, 0.195)),
        *((0.06, 0.28), (-0.06, 0.28), (0.08, 0.38), (-0.08, 0.38), (0.085, 0.47), (-0.085, 0.47)),
        *((0.035, 0.5), (-0.035, 0.5), (0.036, 0.68), (-0.036, 0.68), (0.037, 0.85)),
        (-0.037, 0.85),
    ]
)


class FakeDetector:
    """Detects one person in the centre of every frame for which `sees` is true.

    The person moves with each frame processed, so that tests notice lost state.
    """

    name = "fake"
    skeleton = COCO17
    description: dict[str, Any] = {"name": "fake", "version": "0"}  # noqa: RUF012

    def __init__(self, sees: Callable[[int], bool]) -> None:
        self.sees = sees
        self._frames = 0

    def detect(self, frames: Iterable[Frame]) -> Iterator[Detections]:
        for frame in frames:
            height, width = frame.image.shape[:2]
            person = STANDING * height + [width / 2 + 0.2 * (self._frames % 10), 0]
            people = [person] if self.sees(frame.index) else []
            self._frames += 1
            keypoints = np.array(people, np.float32).reshape(-1, 17, 2)
            yield Detections(keypoints, np.full(keypoints.shape[:2], 0.9, np.float32), COCO17)

    def memory(self) -> Any:
        return {"frames": self._frames}

    def remember(self, memory: Any) -> None:
        self._frames = memory["frames"]

    def reset(self) -> None:
        self._frames = 0

    def close(self) -> None:
        pass

    def __enter__(self) -> FakeDetector:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def use_fake_detector(
    monkeypatch: pytest.MonkeyPatch, sees: Callable[[int], bool] = lambda index: True
) -> dict[str, Any]:
    """Make `infer` use a `FakeDetector`, whatever detector is requested.

    Returns:
        A dict that receives the requested options.
    """
    asked: dict[str, Any] = {}

    def open_fake(options: DetectorOptions, device: torch.device) -> tuple[FakeDetector, str]:
        asked.update(options.to_dict(), device=device)
        return FakeDetector(sees), "a stand-in (this is a test)"

    monkeypatch.setattr(pipeline, "open_detector", open_fake)
    monkeypatch.setattr(pipeline, "check_detector", lambda options: None)
    return asked


def tiny_weights(path: Path) -> Path:
    """A checkpoint of a small untrained network."""
    save_checkpoint(path, make_checkpoint(frames=9, normalisation="person", fps=30.0))
    return path
