"""Lifting ahead: never seen in a result, and not in vain."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.fakes import STANDING, tiny_weights
from vidpose.ahead import LiftAhead
from vidpose.detect.base import Detections
from vidpose.lifting import lifter as lifting_module
from vidpose.lifting.lifter import Lifter, lift_joints, load_lifter_checkpoint, place_people
from vidpose.skeleton import COCO17
from vidpose.tracking.collector import PoseCollector

SIZE = (640, 480)


def walk(rate: float, seconds: float, *, glitches: bool) -> list[tuple[float, NDArray[np.float32]]]:
    """Time and joints (17, 2) of somebody who moves, as a detector that errs may see them."""
    random = np.random.default_rng(0)
    out = []
    for n in range(round(rate * seconds)):
        time_s = n / rate
        sway = np.sin(2 * np.pi * time_s * np.linspace(0.5, 1, 17))[:, None] * (9.0, 4.0)
        joints = STANDING * 400 + (300 + 20 * time_s, 20) + sway + random.normal(0, 0.3, (17, 2))
        if glitches and n % 37 == 5:
            joints = joints[COCO17.mirrored]
        if glitches and n % 29 == 3:
            joints[9] += 150
        out.append((time_s, joints.astype(np.float32)))
    return out


@pytest.mark.parametrize("rate", [30.0, 25.0, 60.0])
@pytest.mark.parametrize("glitches", [False, True])
def test_the_result_is_the_same_and_most_of_it_was_lifted_ahead(
    rate: float, glitches: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = 96  # several of them in so short a video
    monkeypatch.setattr(lifting_module, "BLOCK", block)
    checkpoint = load_lifter_checkpoint(tiny_weights(tmp_path / "tiny.safetensors"))
    plain, early = Lifter(checkpoint), Lifter(checkpoint)
    collector = PoseCollector()
    blocks: list[str] = []
    lift = Lifter._poses

    def counted(self: Lifter, *rest: Any) -> NDArray[np.float32]:
        blocks.append("early" if self is early else "plain")
        return lift(self, *rest)

    monkeypatch.setattr(Lifter, "_poses", counted)
    with LiftAhead(early, collector, SIZE, 640.0) as lifting:
        for n, (time_s, joints) in enumerate(walk(rate, 15, glitches=glitches)):
            scores = np.full((1, 17), 0.9, np.float32)
            collector.add(n, time_s, Detections(joints[None], scores, COCO17))
            lifting.look()
            while lifting.busy:
                pass
    ahead = blocks.count("early")
    poses = collector.finish(rate, SIZE)
    apart = np.full((2, *poses.present.shape), np.nan, np.float32)
    found, expected = (
        lift_joints(poses, lifter, 640.0, flip_disagreement_m=out)
        for lifter, out in zip((early, plain), apart, strict=True)
    )
    for result in (found, expected):
        place_people(result, 640.0, rigid=True)
    np.testing.assert_array_equal(found.joints_3d, expected.joints_3d)
    np.testing.assert_array_equal(found.root_3d, expected.root_3d)
    np.testing.assert_array_equal(apart[0], apart[1])
    assert (np.isfinite(apart[0]) == poses.present).all()
    count = blocks.count("plain")
    assert count == -(-15 * 30 // block)
    assert ahead >= count - 2
    if not glitches:  # nothing was lifted in vain
        assert blocks.count("early") == count


def test_an_error_in_the_thread_surfaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Lifter, "lift_ahead", broken)
    monkeypatch.setattr(lifting_module, "BLOCK", 96)
    lifter = Lifter(load_lifter_checkpoint(tiny_weights(tmp_path / "tiny.safetensors")))
    collector = PoseCollector()

    def collect() -> None:
        with LiftAhead(lifter, collector, SIZE, 640.0) as lifting:
            for n, (time_s, joints) in enumerate(walk(30, 12, glitches=False)):
                scores = np.ones((1, 17), np.float32)
                collector.add(n, time_s, Detections(joints[None], scores, COCO17))
                lifting.look()

    with pytest.raises(RuntimeError, match="out of memory"):
        collect()
