"""Test subjects that a checkpoint was trained or selected on."""

from dataclasses import replace
from typing import Any

import pytest

from tests.dataset_files import make_checkpoint, make_dataset, make_sequence
from vidpose.evaluation.evaluate import evaluate
from vidpose.evaluation.leakage import held_out_subjects, leaks
from vidpose.events import Event, Warn

OLD = {"dataset": "mocap", "held_out": ["02", "10"]}
NEW = {**OLD, "subjects": ["01", "03"]}
SELECTED = {"recipe": {"select_on": "test"}}


@pytest.mark.parametrize(
    ("training", "subjects", "expected"),
    [
        (OLD, ("02", "10"), []),
        (NEW, ("02", "10"), []),
        (NEW, ("02", "anna"), []),
        (NEW, ("03", "01", "02"), ["it was trained on subjects 01, 03"]),
        (OLD, ("02", "11"), ["it does not record that subjects 11 were held out of its training"]),
        ({}, ("02",), ["it does not record that subjects 02 were held out of its training"]),
        ({"recipe": {"held_out": ["02"]}}, ("02",), []),
        (NEW | SELECTED, ("02",), ["it was selected by its error on test subjects"]),
        (
            NEW | {"chosen_on": ["06"]},
            ("06", "02"),
            ["it was selected by its error on subjects 06"],
        ),
        ({"dataset": "h36m", "subjects": ["S1"]}, ("02",), []),
        ({"imported_from": "detected81f.bin"}, ("02",), []),
        (
            OLD | {"held_out": ["02", "s07"], "began_with": OLD | {"began_with": OLD}},
            ("02", "s07"),
            [
                "the initial checkpoint of it does not record that subjects s07 were held out of "
                "its training"
            ],
        ),
        ({"dataset": "mocap", "held_out": 3, "began_with": [], "recipe": "x"}, (), []),
    ],
)
def test_leaks_on_motion_capture(
    training: dict[str, Any], subjects: tuple[str, ...], expected: list[str]
) -> None:
    assert leaks(training, "mocap", subjects, "it") == expected


def test_held_out_subjects_of_all_stages() -> None:
    training = OLD | {"began_with": {"recipe": {"held_out": ["06"]}}}
    assert held_out_subjects(training) == {"02", "06", "10"}


def test_evaluation_warns_about_training_subjects() -> None:
    dataset = make_dataset(make_sequence("S9"), make_sequence("S11"))
    said: list[Event] = []
    trained = {"dataset": "h36m", "subjects": ["S1", "S9"]}
    evaluate(make_checkpoint(training=trained), dataset, label="mine", report=said.append)
    assert [str(event) for event in said if isinstance(event, Warn)] == [
        "Warning: mine was trained on subjects S9, so the errors may not hold for unseen people."
    ]
    said.clear()
    evaluate(make_checkpoint(training=trained | SELECTED), dataset, report=said.append)
    assert "was selected by its error on test subjects" in str(said[0])
    said.clear()
    evaluate(make_checkpoint(training=trained), replace(dataset, name="custom"), report=said.append)
    assert not said
