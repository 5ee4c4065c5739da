"""The benchmarks compare like with like, and their tables say what was measured."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.clips import make_clip
from tests.render.people import camera_axes
from vidpose.errors import UsageError
from vidpose.lifting.sliding_window import slide
from vidpose.models import PoseFormer
from vidpose.skeleton import H36M17
from vidpose.video import VideoReader

Import = Callable[[str], Any]


def test_the_plain_ways_give_the_same_poses(module: Import) -> None:
    lifting = module("lifting_speed")
    torch.manual_seed(0)
    model = PoseFormer(frames=9, embed_dim=8, depth=2).eval()
    plain, track = lifting.as_released(model), torch.randn(6, 17, 2)
    once = slide(model, track, None).poses
    torch.testing.assert_close(lifting.every_window(plain, track), once, atol=1e-5, rtol=0)
    both = slide(model, track, torch.from_numpy(H36M17.mirrored)).poses
    torch.testing.assert_close(lifting.one_at_a_time(plain, track), both, atol=1e-5, rtol=0)


def test_ways_take_turns_and_the_first_round_does_not_count(
    module: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = module("common")
    clock, called = [0.0], []
    monkeypatch.setattr(common.time, "perf_counter", lambda: clock[0])
    costs = {"a": iter([100.0, 3.0, 1.0, 2.0]), "b": iter([100.0, 5.0, 50.0, 6.0])}

    def way(name: str) -> None:
        called.append(name)
        clock[0] += next(costs[name])

    ways = {name: lambda name=name: way(name) for name in costs}
    assert common.alternate(ways, 3) == {"a": 2.0, "b": 6.0}
    assert "".join(called) == "abababab"


def test_a_table_is_markdown(module: Import) -> None:
    common = module("common")
    table = common.Table(title="T", note="N.", header=("a", "b"), rows=[("1", "2")])
    assert table.markdown() == "## T\n\nN.\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n"
    assert "cores" in common.machine()


def test_synthetic_people_are_seen_where_they_are(module: Import) -> None:
    people = module("synthetic_people").people(3, 4, (1280, 720))
    assert (people.people, people.frames) == (3, 4)
    assert (people.keypoints_2d >= 0).all()
    assert (people.keypoints_2d < people.frame_size).all()


def test_the_true_up_of_a_camera_is_found_from_the_bones(module: Import) -> None:
    ground_plane = module("ground_plane")
    world = np.random.default_rng(0).normal(size=(17, 3))
    axes = camera_axes(25, -10)
    longer = 1.2 * world @ axes.T + (0, 0, 5)
    np.testing.assert_allclose(ground_plane._up(world, longer), axes[:, 2], atol=1e-9)


def test_acceleration_goes_by_the_time(module: Import) -> None:
    smoothing = module("smoothing")
    times = np.arange(10) / 30
    falling = np.zeros((10, 17, 2)) + 0.5 * 9.81 * times[:, None, None] ** 2 * (0, 1)
    assert smoothing.acceleration(falling, times) == pytest.approx(9.81)


def test_the_list_names_every_benchmark_and_what_it_measures(
    module: Import, capsys: pytest.CaptureFixture[str]
) -> None:
    run = module("run")
    run.show_list()
    lines = capsys.readouterr().out.splitlines()
    listed = dict(line.split(maxsplit=1) for line in lines if line.startswith("    "))
    assert set(listed) == {*run.TABLES, *run.commands()}
    assert all(what.endswith(".") for what in listed.values())
    assert {"lifting", "compare_checkouts", "robustness"} <= set(run.commands())
    for name in run.TABLES:
        assert callable(module(name).table), name


def test_chosen_tables_are_written_as_one_file(
    module: Import, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, common = module("run"), module("common")
    table = common.Table(title="T", note="N.", header=("a",), rows=[("1",)])
    monkeypatch.setattr(module("memory"), "table", lambda settings: table)
    settings = common.Settings(video=tmp_path / "none.mp4", quick=True)
    run.measure(tmp_path / "out.md", ["memory"], settings)
    text = (tmp_path / "out.md").read_text()
    assert text.startswith("# Benchmarks\n")
    assert text.endswith(table.markdown())
    assert "so ratios are rough" in text


def test_a_mistake_of_the_user_is_one_sentence(
    module: Import, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise UsageError("name a file.")

    with pytest.raises(SystemExit) as stopped:
        module("common").run_script(fail)
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "Error: name a file.\n"


def test_growth_of_memory_leaves_the_arrays_out(module: Import) -> None:
    row = {"frames": 1800, "people": 2, "seconds": 60.0, "peak": 500e6, "arrays": 100e6}
    hour = row | {"seconds": 3600.0, "peak": 960e6, "arrays": 500e6}
    text = module("memory").report([row, hour])
    assert "| 60 | 1800 | 2 | 960 | 500.0 | 460 | 1.15 |" in text
    assert text.endswith("grows by 60 MB without the result's arrays (1.15 times).")


def test_a_video_is_repeated_without_encoding_it(module: Import, tmp_path: Path) -> None:
    memory = module("memory")
    video = make_clip(tmp_path / "a.mp4", frames=10, rate=Fraction(30))
    small = memory.small(video, tmp_path / "small.mp4", width=32)
    looped = memory.looped(small, tmp_path / "looped.mp4", minutes=2 / 60)
    with VideoReader(looped) as reader:
        frames = list(reader)
    assert len(frames) == 60
    np.testing.assert_allclose(np.diff([f.time_s for f in frames]), 1 / 30, atol=1e-3)
    np.testing.assert_array_equal(frames[0].image, frames[40].image)
