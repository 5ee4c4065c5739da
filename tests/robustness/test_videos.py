"""Whatever the video: a result or a sentence, and work that grows with its frames."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.robustness.videos import CASES, FPS, examine, mutants, tiny_lifter
from vidpose.lifting.lifter import Lifter


@pytest.fixture(scope="module")
def lifter(tmp_path_factory: pytest.TempPathFactory) -> Lifter:
    return tiny_lifter(tmp_path_factory.mktemp("weights"))


@pytest.mark.parametrize("name", CASES)
def test_an_odd_video_gives_a_result_or_a_sentence(
    name: str, tmp_path: Path, lifter: Lifter, capfd: pytest.CaptureFixture[str]
) -> None:
    path = CASES[name](tmp_path)
    capfd.readouterr()
    outcome = examine(path, lifter, fps=30 if name in FPS else None)
    assert outcome.frames or outcome.error
    assert capfd.readouterr() == ("", "")


def test_damaged_videos_give_a_result_or_a_sentence(tmp_path: Path, lifter: Lifter) -> None:
    for path in mutants(tmp_path, 18):
        examine(path, lifter)
