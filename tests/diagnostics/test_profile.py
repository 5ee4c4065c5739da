from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from tests.clips import make_clip
from tests.fakes import FakeDetector, tiny_weights
from vidpose.cli import main
from vidpose.diagnostics import profile
from vidpose.diagnostics.profile import STAGES, Stopwatch, profile_networks, profile_run
from vidpose.errors import NoPersonError, UsageError
from vidpose.models import PoseFormer, flops, sliding


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["profile", *map(str, arguments)])


@pytest.fixture(autouse=True)
def _no_long_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "MEASURED_S", 0.0)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return tiny_weights(tmp_path / "tiny.safetensors")


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A video for a fake detector, which ignores the images."""
    _detect_if(monkeypatch, True)
    return make_clip(tmp_path / "clip.mp4")


def _detect_if(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    def open_fake(*_: Any) -> tuple[FakeDetector, str]:
        return FakeDetector(lambda index: there), "a stand-in"

    monkeypatch.setattr(profile, "open_detector", open_fake)


def test_networks(weights: Path) -> None:
    own, paper = profile_networks(weights, frames=[9], device="cpu", precision="fp32")
    assert (own.name, own.frames) == ("tiny.safetensors", 9)
    assert (paper.name, paper.frames, paper.parameters) == ("PoseFormer f=9", 9, 9_563_645)
    assert 0 < own.parameters < paper.parameters
    assert 0 < own.flops < paper.flops == flops.per_window(PoseFormer(frames=9))
    assert min(own.frames_per_s, paper.frames_per_s) > 0
    with pytest.raises(UsageError, match="--frames 8: frames: expected an odd number"):
        profile_networks(weights, frames=[8])


def test_speed_is_that_of_the_precision_asked_for(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    real = sliding.sliding_form

    def note(model: PoseFormer, dtype: torch.dtype) -> Any:
        asked.append(dtype)
        return real(model, dtype)

    monkeypatch.setattr(profile, "sliding_form", note)
    profile_networks(weights, frames=[], device="cpu", precision="bf16")
    profile_networks(weights, frames=[], device="cpu", precision="fp32")
    assert asked == [torch.bfloat16, torch.float32]


def test_every_stage_of_a_run_is_timed(clip: Path, weights: Path) -> None:
    stages, frames, people = profile_run(clip, weights=weights, device="cpu")
    assert (frames, people) == (12, 1)
    assert tuple(stage.name for stage in stages) == STAGES
    assert all(stage.seconds > 0 for stage in stages)
    assert all(stage.frames_per_s * stage.seconds == pytest.approx(12) for stage in stages)
    assert sum(stage.share for stage in stages) == pytest.approx(1)


def test_nobody_there(clip: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _detect_if(monkeypatch, False)
    with pytest.raises(NoPersonError, match=r"Nobody was found in any frame of .*clip\.mp4"):
        profile_run(clip, weights=weights, device="cpu")


def test_a_stage_within_another_is_not_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    watch = Stopwatch()

    def decoded() -> Any:
        for item in range(3):
            clock[0] += 1
            yield item

    def detected() -> Any:
        for item in watch.each("decode", decoded()):
            clock[0] += 10
            yield item

    for _ in watch.each("detect", detected()):
        clock[0] += 100  # nobody's
    with watch("root"):
        clock[0] += 1000
        with watch("lift"):
            clock[0] += 5000
        clock[0] += 1000
    assert watch.seconds == {"decode": 3, "detect": 30, "root": 2000, "lift": 5000}


def test_command_without_a_video(weights: Path) -> None:
    result = run("--weights", weights, "--frames", "9", "--frames", "27", "--device", "cpu")
    assert result.exit_code == 0, result.output
    head, *rows = result.stdout.splitlines()
    assert head.split() == ["network", "frames", "parameters", "MFLOPs/window", "frames/s"]
    assert [row.split()[0] for row in rows] == ["tiny.safetensors", "PoseFormer", "PoseFormer"]
    assert rows[2].split()[2:5] == ["27", "9,573,455", "551.9"]


def test_command_with_a_video(clip: Path, weights: Path) -> None:
    result = run(clip, "--weights", weights, "--device", "cpu")
    assert result.exit_code == 0, result.output
    first, head, *rows = result.stdout.splitlines()
    assert first == f"1 person in 12 frames of {clip}"
    assert head.split() == ["stage", "seconds", "frames/s", "share"]
    assert [row.split()[0] for row in rows] == list(STAGES)
    assert sorted(path.name for path in clip.parent.iterdir()) == ["clip.mp4", "tiny.safetensors"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--start", "1"], 2, "--start is for a VIDEO; name one."),
        (["x.mp4", "--frames", "9"], 2, "--frames measures networks only"),
        (["--frames", "8"], 2, "expected an odd number"),
        (["x.mp4"], 1, "x.mp4 does not exist"),
        (["--weights", "nonsense"], 1, "nonsense does not exist"),
    ],
)
def test_requests_that_make_no_sense(arguments: list[str], code: int, sentence: str) -> None:
    result = run(*arguments)
    assert result.exit_code == code, result.output
    (line,) = result.stderr.strip().splitlines()
    assert sentence in line
