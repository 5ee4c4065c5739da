from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.render.people import walk
from vidpose.errors import UsageError
from vidpose.postprocess.body_height import statures
from vidpose.postprocess.steps import Finish


def test_nothing_asked_for_changes_nothing_but_is_said() -> None:
    result = walk(frames=20)
    done = Finish()(result)
    np.testing.assert_array_equal(done.joints_3d, result.joints_3d)
    assert done.camera_to_world is None
    assert done.meta["world"] is None
    assert done.meta["scale"] is None
    smoothing = done.meta["smoothing"]
    assert (smoothing["data"], smoothing["pictures"]) == ("none", "savgol")
    assert smoothing["window_s"] > 0


def test_all_of_it() -> None:
    result = walk(frames=60, pitch_deg=15)
    lines: list[str] = []
    done = Finish(world=True, height_cm={0: 160.0, 3: 180.0}, smooth="one-euro")(
        result, lines.append
    )
    assert statures(done) == pytest.approx([1.6], abs=0.02)
    assert not np.array_equal(done.joints_3d, result.joints_3d)
    # The camera was 1.5 m above the floor of somebody of 1.74 m.
    height = done.meta["world"]["camera_height_m"]
    assert height == pytest.approx(1.5 * 1.6 / 1.74, abs=0.12)
    assert done.meta["smoothing"]["data"] == done.meta["smoothing"]["pictures"] == "one-euro"
    warning, sentence = lines
    assert warning == ("Warning: --height-cm names person 3, who is not there; there are 0.")
    assert sentence.startswith("World: up from the people's motion, to about ")
    assert "degrees down" in sentence
    json.dumps(done.meta)


def test_a_world_that_is_not_sure_is_warned_of() -> None:
    lines: list[str] = []
    result = walk(frames=4)
    Finish(world=True)(result, lines.append)
    assert lines[-1].startswith("Warning: hardly anybody stands or walks")
    lines.clear()
    Finish(world=True, camera_pitch=-5)(result, lines.append)
    (sentence,) = lines
    assert sentence.startswith("World: up from --camera-pitch; the camera looks 5 degrees up,")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"world": True},
        {"world": True, "camera_pitch": 10.0, "camera_roll": 2.0},
        {"world": True, "horizon": (0, 100, 1279, 120)},
        {"world": True, "horizon": 100.0, "height_cm": 180, "smooth": "savgol"},
        {"height_cm": {0: 170}, "smooth": "none"},
    ],
)
def test_meta_holds_what_was_asked_for(options: dict[str, Any]) -> None:
    finish = Finish.of(options | {"detector": "auto"})
    meta = json.loads(json.dumps(finish(walk(frames=10)).meta))
    for key, told in json.loads(json.dumps(finish.told())).items():
        found = meta[key]
        assert found == told if told is None else told.items() <= found.items()
    assert any(
        Finish.of(other).told() != finish.told()
        for other in ({"world": True}, {"smooth": "one-euro"})
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"camera_pitch": 10.0}, "--camera-pitch is about the world's axes; give --world"),
        ({"horizon": 10.0}, "--horizon is about"),
        ({"world": True, "camera_pitch": 10.0, "horizon": 3.0}, "give one of them"),
        ({"height_cm": 1.75}, "--height-cm 1.75: give centimetres"),
        ({"smooth": "much"}, "--smooth much"),
    ],
)
def test_what_makes_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Finish(**options)
