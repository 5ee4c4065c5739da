"""The benchmarks compare like with like, and their tables say what was measured."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.render.people import camera_axes
from vidpose.lifting.sliding_window import slide
from vidpose.models import PoseFormer
from vidpose.skeleton import H36M17

FOLDER = Path(__file__).parents[2] / "benchmarks"


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A benchmark's names; they are scripts, and import each other as such."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for other in FOLDER.glob("*.py"):
        monkeypatch.delitem(sys.modules, other.stem, raising=False)
    return runpy.run_path(str(FOLDER / f"{name}.py"))


def test_the_plain_ways_give_the_same_poses(monkeypatch: pytest.MonkeyPatch) -> None:
    lifting = load("lifting_speed", monkeypatch)
    torch.manual_seed(0)
    model = PoseFormer(frames=9, embed_dim=8, depth=2).eval()
    plain, track = lifting["as_released"](model), torch.randn(6, 17, 2)
    once = torch.cat(list(slide(model, track, None)))
    torch.testing.assert_close(lifting["every_window"](plain, track), once, atol=1e-5, rtol=0)
    both = torch.cat(list(slide(model, track, torch.from_numpy(H36M17.mirrored))))
    torch.testing.assert_close(lifting["one_at_a_time"](plain, track), both, atol=1e-5, rtol=0)


def test_ways_take_turns_and_the_first_round_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measuring = load("measuring", monkeypatch)
    clock, called = [0.0], []
    monkeypatch.setattr(measuring["time"], "perf_counter", lambda: clock[0])
    costs = {"a": iter([100.0, 3.0, 1.0, 2.0]), "b": iter([100.0, 5.0, 50.0, 6.0])}

    def way(name: str) -> None:
        called.append(name)
        clock[0] += next(costs[name])

    ways = {name: lambda name=name: way(name) for name in costs}
    assert measuring["alternate"](ways, 3) == {"a": 2.0, "b": 6.0}
    assert "".join(called) == "abababab"


def test_a_table_is_markdown(monkeypatch: pytest.MonkeyPatch) -> None:
    measuring = load("measuring", monkeypatch)
    table = measuring["Table"](title="T", note="N.", header=("a", "b"), rows=[("1", "2")])
    assert table.markdown() == "## T\n\nN.\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n"
    assert "cores" in measuring["machine"]()


def test_people_made_up_are_seen_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    people = load("people", monkeypatch)["people"](3, 4, (1280, 720))
    assert (people.people, people.frames) == (3, 4)
    assert (people.keypoints_2d >= 0).all()
    assert (people.keypoints_2d < people.frame_size).all()


def test_the_true_up_of_a_camera_is_found_from_the_bones(monkeypatch: pytest.MonkeyPatch) -> None:
    gravity = load("gravity", monkeypatch)
    world = np.random.default_rng(0).normal(size=(17, 3))
    axes = camera_axes(25, -10)
    longer = 1.2 * world @ axes.T + (0, 0, 5)
    np.testing.assert_allclose(gravity["_up"](world, longer), axes[:, 2], atol=1e-9)


def test_acceleration_goes_by_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    smoothing = load("smoothing", monkeypatch)
    times = np.arange(10) / 30
    falling = np.zeros((10, 17, 2)) + 0.5 * 9.81 * times[:, None, None] ** 2 * (0, 1)
    assert smoothing["acceleration"](falling, times) == pytest.approx(9.81)
