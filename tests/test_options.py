import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidpose.cli.infer import infer, lift
from vidpose.errors import UsageError
from vidpose.options import (
    STAGES,
    DetectorOptions,
    InferOptions,
    LiftOptions,
    PostprocessOptions,
    options_of,
    parse_heights,
)


def test_every_field_is_an_option_of_its_own_name() -> None:
    names = [name for stage in STAGES for name in options_of(stage)]
    assert names == [f.name for stage in STAGES for f in fields(stage)]
    assert len(set(names)) == len(names)


def test_the_command_line_has_every_field_and_its_default() -> None:
    made = {option.name: option for option in infer.params}
    for stage in STAGES:
        for name, value in stage().to_dict().items():
            given = made[name].default
            assert given == value or (name == "half" and given is None), name
    of_lift = {option.name for option in lift.params}
    assert of_lift >= {*options_of(LiftOptions), *options_of(PostprocessOptions)}
    assert not of_lift & {*options_of(DetectorOptions)}


def test_values_become_json() -> None:
    options = InferOptions.of(
        focal_px=np.float32(80), weights=Path("a/b"), height_cm={2: 165, 1: 178.5}, start=1
    )
    assert options.lift.to_dict()["focal_px"] == 80.0
    assert type(options.lift.to_dict()["focal_px"]) is float
    assert options.lift.to_dict()["weights"] == "a/b"
    assert options.postprocess.to_dict()["height_cm"] == {"1": 178.5, "2": 165}
    assert options.detector.given() == {"start": 1}
    assert options.lift.given().keys() == {"focal_px", "weights"}


@pytest.mark.parametrize(
    ("horizon", "expected"),
    [
        (np.float32(420), 420.0),
        (np.int64(420), 420),
        (np.array([0, 400, 1919, 440]), [0.0, 400.0, 1919.0, 440.0]),
    ],
)
def test_numpys_values_become_json(horizon: Any, expected: Any) -> None:
    options = InferOptions.of(world=np.bool_(True), horizon=horizon)
    made = options.postprocess.to_dict()
    assert json.loads(json.dumps(made))["horizon"] == expected
    assert made["world"] is True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"detektor": "hrnet"}, "There is no option 'detektor'; choose from .*detector"),
        ({"detector": "yolo"}, "--detector yolo: choose auto, mediapipe, hrnet, cpn"),
        ({"people": 0}, "--people 0: give 1 or more"),
        ({"people": float("nan")}, "--people nan: give a whole number"),
        ({"people": 10**20}, "--people 100000000000000000000: give from 1 to 1,000"),
        ({"longest": 10**20}, "--longest 100000000000000000000: give from 1 to 1,000,000,000"),
        ({"focal_px": float("nan")}, "--focal-px nan: give a finite number"),
        ({"start": 1e300}, r"--start 1e\+300: give from"),
        ({"detect_every": "8"}, "--detect-every 8: give a whole number"),
        ({"width": 2**40}, "--width 1099511627776: give from 320 to 16,384"),
        ({"smooth": "median"}, "--smooth median: choose none, savgol, one-euro"),
        ({"camera_roll": 3.0}, "--camera-roll needs --world"),
        ({"world": True, "camera_roll": 3.0}, "--camera-roll goes with --camera-pitch"),
        ({"height_cm": {}}, "--height-cm: give a height"),
        ({"height_cm": 1.8}, "--height-cm 1.8: give centimetres"),
        ({"height_cm": "178"}, "--height-cm 178: give a number"),
        ({"world": "no"}, "--world 'no': give True or False"),
        ({"half": "none"}, "--half 'none': give True or False"),
        ({"export": ["csv", "glb"]}, r"--export \['csv', 'glb'\]: give one text, as in 'csv,glb'"),
        ({"height_cm": {"1": 178}}, "--height-cm: person ids are whole numbers, not '1'"),
    ],
)
def test_what_makes_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        InferOptions.of(**options)


def test_heights_as_they_are_given() -> None:
    assert parse_heights("178") == 178.0
    assert parse_heights("1=178, 2=165.5") == {1: 178.0, 2: 165.5}
    for text, message in (("tall", "give centimetres"), ("1=178,1=165", "each person one height")):
        with pytest.raises(UsageError, match=message):
            parse_heights(text)
