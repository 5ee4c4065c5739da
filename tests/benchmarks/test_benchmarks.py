"""The benchmarks compare equivalent methods, and their tables describe the measurement."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.clips import make_clip
from tests.render.people import camera_axes
from vidpose.datasets.dataset import MotionClip
from vidpose.errors import DataError, UsageError
from vidpose.lifting.sliding_window import slide
from vidpose.models import PoseFormer
from vidpose.skeleton import H36M17
from vidpose.video import VideoReader

Import = Callable[[str], Any]


def test_plain_methods_give_the_same_poses(module: Import) -> None:
    lifting = module("lifting_speed")
    torch.manual_seed(0)
    model = PoseFormer(frames=9, embed_dim=8, depth=2).eval()
    plain, track = lifting.as_released(model), torch.randn(6, 17, 2)
    once = slide(model, track, None).poses
    torch.testing.assert_close(lifting.every_window(plain, track), once, atol=1e-5, rtol=0)
    both = slide(model, track, torch.from_numpy(H36M17.mirrored)).poses
    torch.testing.assert_close(lifting.one_at_a_time(plain, track), both, atol=1e-5, rtol=0)


def test_methods_alternate_and_the_first_round_is_not_counted(
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


def test_synthetic_people_are_in_the_frame(module: Import) -> None:
    people = module("synthetic_people").people(3, 4, (1280, 720))
    assert (people.people, people.frames) == (3, 4)
    assert (people.keypoints_2d >= 0).all()
    assert (people.keypoints_2d < people.frame_size).all()


def test_the_true_up_of_a_camera_is_found_from_the_bones(module: Import) -> None:
    ground_plane = module("ground_plane")
    world = np.random.default_rng(0).normal(size=(17, 3))
    axes = camera_axes(25, -10)
    longer = 1.2 * world @ axes.T + (0, 0, 5)
    np.testing.assert_allclose(ground_plane.up_in_camera(world, longer), axes[:, 2], atol=1e-9)


def test_acceleration_uses_the_timestamps(module: Import) -> None:
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


def test_memory_growth_excludes_the_arrays(module: Import) -> None:
    row = {"frames": 1800, "people": 2, "seconds": 60.0, "peak": 500e6, "arrays": 100e6}
    hour = row | {"seconds": 3600.0, "peak": 960e6, "arrays": 500e6}
    text = module("memory").report([row, hour])
    assert "| 60 | 1800 | 2 | 960 | 500.0 | 460 | 1.15 |" in text
    assert text.endswith("grows by 60 MB without the result's arrays (1.15 times).")


def test_a_video_is_repeated_without_reencoding(module: Import, tmp_path: Path) -> None:
    memory = module("memory")
    video = make_clip(tmp_path / "a.mp4", frames=10, rate=Fraction(30))
    small = memory.small(video, tmp_path / "small.mp4", width=32)
    looped = memory.looped(small, tmp_path / "looped.mp4", minutes=2 / 60)
    with VideoReader(looped) as reader:
        frames = list(reader)
    assert len(frames) == 60
    np.testing.assert_allclose(np.diff([f.time_s for f in frames]), 1 / 30, atol=1e-3)
    np.testing.assert_array_equal(frames[0].image, frames[40].image)


def standing(module: Import, apart_px: float) -> Any:
    """An annotation of legs 100 pixels long, for a person 200 pixels tall."""
    joints = np.array([[50 + apart_px, 100], [50 + apart_px, 150], [50, 100], [50, 150]], float)
    box = np.array([0.0, 0, 100, 200])
    return module("marked_legs").Mark(
        video="a.mp4",
        frame=0,
        time_s=0.0,
        box=box,
        height_px=200,
        joints=joints,
        hidden=np.array([False, False, False, True]),
    )


def test_swapped_merged_and_missing_legs(module: Import) -> None:
    faults, mark = module("marked_legs").faults, standing(module, 20)
    middle = mark.joints.mean(axis=0)
    assert faults(mark, mark.joints) == []
    assert faults(mark, mark.joints[[2, 3, 0, 1]]) == ["swapped"]
    one = np.stack([[middle[0], y] for y in (100, 150, 100, 150)])
    assert faults(mark, one) == ["merged"]
    assert faults(mark, np.full((4, 2), np.nan)) == ["not found"]
    together = standing(module, 2)
    assert faults(together, together.joints[[2, 3, 0, 1]]) == []  # too close to tell


def test_leg_errors_exclude_hidden_joints(module: Import) -> None:
    mark = standing(module, 20)
    found = mark.joints + np.array([(3, 4), (0, 0), (0, 0), (90, 90)])
    cells = list(module("marked_legs").row([mark], [found]))
    assert cells == ["1.7", "0.0", "0.8", "0.0%", "0 of 1", "0 of 1", "0 of 1"]


def test_the_annotated_person_is_picked(module: Import) -> None:
    mark = standing(module, 20)
    people = np.random.default_rng(0).uniform((0, 0), (100, 200), (2, 17, 2))
    people[0] += 500
    np.testing.assert_array_equal(
        mark.pick(people),
        people[1][[H36M17.index(n) for n in ("LKnee", "LFoot", "RKnee", "RFoot")]],
    )
    assert np.isnan(mark.pick(people[:1])).all()


def test_annotations_require_the_annotated_video(module: Import, demo_video: Path) -> None:
    legs = module("marked_legs")
    entries = json.loads(legs.MARKS.read_text())["videos"]
    assert sum(len(entry["people"]) for entry in entries) == 59
    with pytest.raises(DataError, match="is not the annotated video"):
        legs.read_marks({"demo.mp4": Path(__file__), "more": Path(__file__).parent})
    with pytest.raises(DataError, match=r"\.mp4 is missing"):
        legs.read_marks({"demo.mp4": demo_video, "more": Path(__file__).parent})


def test_false_alarms_of_merged_legs_are_counted(module: Import) -> None:
    """The legs come together for half a second; only side views see them merge."""
    joints = np.zeros((60, 17, 3), np.float32)
    for side, sign in (("L", 1), ("R", -1)):
        for joint, height in (("Hip", 0.9), ("Knee", 0.5), ("Foot", 0.1)):
            joints[:, H36M17.index(side + joint), 2] = height
        for joint in ("Knee", "Foot"):
            joints[:20, H36M17.index(side + joint), 0] = 0.2 * sign
            joints[35:, H36M17.index(side + joint), 0] = 0.2 * sign
    alarms = module("merged_legs")
    clip = MotionClip("a", "1", joints, 30.0)
    times, frames = alarms.false_alarms([clip], 0.0, np.random.default_rng(0))
    assert times > 0
    assert frames == 15 * times
    steady = MotionClip("a", "1", joints[:20], 30.0)
    assert alarms.false_alarms([steady], 0.0, np.random.default_rng(0)) == (0, 0)
