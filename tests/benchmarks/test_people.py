from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.bvh_files import write_mocap


def test_subjects_held_out_by_any_weights_are_not_training_subjects(
    module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = module("people")
    measured = []

    def on_motion(lifters: Any, clips: Any, condition: Any) -> list[float]:
        measured.append({clip.subject for clip in clips})
        return [0.0] * len(lifters)

    monkeypatch.setattr(people, "on_motion", on_motion)
    monkeypatch.setitem(people.EVERY_TRAINED, "CMU", 1)
    mocap = write_mocap(tmp_path, ("01", "02", "03", "06", "07", "10", "12"))
    # 06 and 07 were validation subjects: of one, and of the weights another was fine-tuned from.
    trainings = (
        {"held_out": ["02", "10", "12", "06"]},
        {"held_out": ["02", "10", "12"], "began_with": {"held_out": ["02", "10", "12", "07"]}},
    )
    lifters = [SimpleNamespace(checkpoint=SimpleNamespace(training=each)) for each in trainings]
    list(people.rows(lifters, mocap, None, None))
    assert measured == [{"02", "10", "12"}, {"01", "03"}]
