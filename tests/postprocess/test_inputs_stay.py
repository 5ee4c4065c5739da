"""Every postprocessing step returns a new result and does not modify its input."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from tests.render.people import walk
from vidpose.poses import Pose3D
from vidpose.postprocess.body_height import scale_to_height
from vidpose.postprocess.bone_lengths import equal_bone_lengths
from vidpose.postprocess.ground_plane import place_in_world
from vidpose.postprocess.quality import quality_report
from vidpose.postprocess.refinement import refine
from vidpose.postprocess.root_trajectory import root_trajectory
from vidpose.postprocess.smoothing import smooth_joints, smooth_pictures


@pytest.mark.parametrize(
    "step",
    [
        lambda result: equal_bone_lengths(result, 900.0),
        lambda result: refine(result, 900.0),
        lambda result: root_trajectory(result, 900.0),
        lambda result: scale_to_height(result, 190.0),
        lambda result: smooth_joints(result, "one-euro"),
        lambda result: smooth_pictures(result, "savgol"),
        lambda result: place_in_world(result),
        lambda result: quality_report(result),
    ],
)
def test_inputs_stay(step: Callable[[Pose3D], Any]) -> None:
    result = walk(frames=20, pitch_deg=10)
    result.meta.update({"camera": {"focal_px": 900.0}, "world": {"asked": {}}, "scale": None})
    before = copy.deepcopy(result)
    assert step(result) is not result
    for field in fields(Pose3D):
        np.testing.assert_equal(getattr(result, field.name), getattr(before, field.name))
