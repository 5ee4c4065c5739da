from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.render.people import walk
from vidpose.events import Event, Info, Warn
from vidpose.lifting.lifter import LiftedPoses
from vidpose.options import PostprocessOptions
from vidpose.poses import Pose3D
from vidpose.postprocess import postprocess
from vidpose.postprocess.body_height import body_heights


def done(result: Pose3D, events: list[Event] | None = None, **options: Any) -> Pose3D:
    focal_px = float(max(result.frame_size))
    apart = np.zeros(result.present.shape, np.float32)
    lifted = LiftedPoses(result, apart, focal_px)
    chosen = PostprocessOptions(**({"rigid": False} | options))
    return postprocess(lifted, chosen, (lambda event: None) if events is None else events.append)


def test_without_options_poses_do_not_change() -> None:
    result = walk(frames=20)
    found = done(result)
    np.testing.assert_array_equal(found.joints_3d, result.joints_3d)
    assert found.camera_to_world is None
    assert found.meta["world"] is None
    assert found.meta["scale"] is None
    smoothing = found.meta["smoothing"]
    assert (smoothing["data"], smoothing["pictures"]) == ("none", "savgol")
    assert smoothing["window_s"] > 0


def test_all_of_it() -> None:
    result = walk(frames=60, pitch_deg=15)
    events: list[Event] = []
    found = done(result, events, world=True, height_cm={0: 160.0, 3: 180.0}, smooth="one-euro")
    assert body_heights(found) == pytest.approx([1.6], abs=0.02)
    assert not np.array_equal(found.joints_3d, result.joints_3d)
    # The camera was 1.5 m above the floor of somebody of 1.74 m.
    height = found.meta["world"]["camera_height_m"]
    assert height == pytest.approx(1.5 * 1.6 / 1.74, abs=0.12)
    assert found.meta["smoothing"]["data"] == found.meta["smoothing"]["pictures"] == "one-euro"
    warning, height_told, sentence = events
    assert warning == Warn("--height-cm: there is no person 3; there is only person 0.")
    assert str(height_told).startswith("Body height: person 0 17")
    assert str(height_told).endswith(" -> 160 cm.")
    assert isinstance(sentence, Info)
    assert sentence.message.startswith("World: up from the people's motion, to about ")
    assert "degrees down" in sentence.message
    json.dumps(found.meta)


def test_an_uncertain_world_gives_a_warning() -> None:
    events: list[Event] = []
    result = walk(frames=4)
    done(result, events, world=True)
    assert isinstance(events[-1], Warn)
    assert events[-1].message.startswith("hardly anybody stands or walks")
    assert str(events[-2]).startswith("World: up is a guess; the camera looks ")
    events.clear()
    done(result, events, world=True, camera_pitch=-5)
    (sentence,) = events
    assert str(sentence).startswith("World: up from --camera-pitch; the camera looks 5 degrees up,")


@pytest.mark.parametrize("rigid", [False, True])
def test_the_input_does_not_change(rigid: bool) -> None:
    result = walk(frames=40)
    before = {name: np.copy(getattr(result, name)) for name in ("joints_3d", "root_3d")}
    meta = json.dumps(result.meta)
    done(result, rigid=rigid, world=True, height_cm=160, smooth="savgol")
    assert json.dumps(result.meta) == meta
    for name, array in before.items():
        np.testing.assert_array_equal(getattr(result, name), array)
