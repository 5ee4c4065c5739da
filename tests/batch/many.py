"""Checks of many videos that hold on one machine and on a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner, Result

import vidpose
from tests.fakes import tiny_weights
from vidpose.batch.job import Job, Outcome
from vidpose.cli import main
from vidpose.options import InferOptions


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(main, ["infer", *map(str, arguments), "--detector", "mediapipe"])


def check_many_at_a_time(
    way: tuple[Any, ...], folder: Path, alone: dict[str, Any], tmp_path: Path
) -> None:
    """The same results as one by one, and failures: no video, and two videos of one result."""
    weights = tiny_weights(tmp_path / "tiny.safetensors")
    out = tmp_path / "out"
    command = (folder, "-o", out, "--weights", weights, *way)
    result = run(*command)
    assert result.exit_code == 1, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("Detector: MediaPipe")
    assert sum(line.startswith("Detector: ") for line in lines) == 1
    assert lines[-1] == "3 done, 0 skipped, 3 failed"
    assert "c.mkv is not a video" in result.stderr
    assert f"would be written to the same {out / 'e.npz'};" in result.stderr
    assert "3 of 6 videos failed" in result.stderr
    assert sorted(path.name for path in out.iterdir()) == ["a.npz", "b.npz", "d.npz"]
    for name, joints in alone.items():
        found = vidpose.load(out / f"{name}.npz").joints_3d
        np.testing.assert_allclose(found, joints, atol=1e-5)

    again = run(*command)
    assert again.exit_code == 1
    assert again.stdout.splitlines()[-1] == "0 done, 3 skipped, 3 failed"


class Deadly(Job):
    """Kills the process that unpickles it."""

    def __reduce__(self) -> Any:
        return os.abort, ()


def check_a_lost_worker(run_jobs: Callable[[list[Job]], Iterator[Outcome]], tmp_path: Path) -> None:
    """The failure names the video, and the other job runs on."""
    jobs = [
        Deadly(Path("a.mp4"), tmp_path / "a.npz"),
        Job(Path("missing.mp4"), tmp_path / "missing.npz", InferOptions.of(detector="mediapipe")),
    ]
    outcomes = {outcome.video.name: outcome for outcome in run_jobs(jobs)}
    assert outcomes["a.mp4"].state == outcomes["missing.mp4"].state == "failed"
    assert outcomes["a.mp4"].reason.startswith("a.mp4: its ")
    assert "run it again" in outcomes["a.mp4"].reason
    assert "missing.mp4 does not exist" in outcomes["missing.mp4"].reason
