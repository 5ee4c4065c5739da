from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vidpose
from tests.fakes import tiny_weights
from tests.results import make_result
from vidpose.errors import UsageError
from vidpose.options import DetectorOptions
from vidpose.provenance import check_same_detection, check_same_source, recorded_options

FIRST_VERSION = Path(__file__).parent / "fixtures" / "first_version_result.npz"
"""Made by the first version: lift --focal-px 1200 --world --camera-pitch 5 --height-cm 180
--smooth savgol --no-flip."""


def test_a_result_of_the_first_version_loads_with_its_options() -> None:
    result = vidpose.load(FIRST_VERSION)
    assert result.joints_world().shape == (1, 24, 17, 3)
    found = recorded_options(result.meta)
    expected = {
        "flip": False,
        "rigid": True,
        "focal_px": 1200.0,
        "world": True,
        "camera_pitch": 5.0,
        "camera_roll": None,
        "horizon": None,
        "height_cm": 180.0,
        "smooth": "savgol",
    }
    assert {name: found[name] for name in expected} == expected


def test_lifting_a_result_again_keeps_the_focal_length_it_was_given(tmp_path: Path) -> None:
    weights = tiny_weights(tmp_path / "tiny.safetensors")
    again = vidpose.lift_file(FIRST_VERSION, tmp_path / "again.npz", weights=weights)
    assert again.meta["camera"]["focal_px"] == 1200.0
    assert again.meta["camera"]["focal"] == "given"
    other = vidpose.lift_file(tmp_path / "again.npz", weights=weights, focal_px=900.0)
    assert other.meta["camera"]["focal_px"] == 900.0
    assumed = vidpose.lift_file(
        FIRST_VERSION.with_name("clip.npy"), skeleton="h36m17", fps=60, size=(1920, 1080)
    )
    assert assumed.meta["camera"]["focal_px"] == 1920.0


@pytest.mark.parametrize("meta", ["[1, 2]", "3", '"text"', "null", "no JSON"])
def test_a_file_with_invalid_meta_is_not_overwritten(meta: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with np.load(vidpose.save(make_result(), path)) as archive:
        entries: dict[str, Any] = dict(archive)
    np.savez(path, **(entries | {"meta": np.array(meta)}))
    with pytest.raises(UsageError, match="exists and is not a vidpose result"):
        check_same_source(path, {"sha256": "0"})


def test_parts_of_meta_that_are_something_else_count_as_missing(tmp_path: Path) -> None:
    path = vidpose.save(
        make_result(meta={"source": [1], "camera": 3, "world": "up"}), tmp_path / "a.npz"
    )
    check_same_source(path, {"sha256": "0"})
    assert recorded_options(vidpose.load(path).meta)["focal_px"] is None


def test_only_options_of_detection_that_are_given_must_agree() -> None:
    meta = {"options": {"people": 3, "start": 1.0}, "detector": {"name": "hrnet"}}
    check_same_detection(Path("a.npz"), meta, DetectorOptions())
    check_same_detection(Path("a.npz"), meta, DetectorOptions(people=3, detector="hrnet"))
    for given, message in (
        ({"people": 4}, "made with --people 3, not --people 4"),
        ({"half": False}, "made with --half at its default, not --half False"),
        ({"pose_weights": "a.pth"}, "--pose-weights at its default, not --pose-weights a.pth"),
        ({"person_weights": "a.pth"}, "--person-weights at its default"),
        ({"detector_size": "full"}, "--detector-size at its default, not --detector-size full"),
        ({"detect_every": 2}, "--detect-every at its default, not --detect-every 2"),
    ):
        options: dict[str, Any] = given
        with pytest.raises(UsageError, match=message):
            check_same_detection(Path("a.npz"), meta, DetectorOptions(**options))


def test_the_size_of_the_embedded_detector_must_agree() -> None:
    full = DetectorOptions(detector_size="full")
    for options in ({"size": "full"}, {}):  # results of the first versions do not say it
        meta = {"detector": {"name": "mediapipe", "options": options}}
        check_same_detection(Path("a.npz"), meta, full)
    meta = {"detector": {"name": "mediapipe", "options": {"size": "lite"}}}
    with pytest.raises(
        UsageError, match="made with --detector-size lite, not --detector-size full"
    ):
        check_same_detection(Path("a.npz"), meta, full)
