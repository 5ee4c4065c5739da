from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tests.batch.many import check_a_lost_worker, check_many_at_a_time, run
from tests.clips import make_clip
from tests.fakes import tiny_weights, use_fake_detector
from vidpose.batch.find import find_videos
from vidpose.batch.job import Job, Outcome
from vidpose.batch.on_ray import _absolute
from vidpose.batch.processes import run_in_processes
from vidpose.batch.run import _with_video, infer_many, table
from vidpose.detect.cache import DetectionCache
from vidpose.errors import UsageError, WeightsError
from vidpose.events import Event, Failure, Info, Warn
from vidpose.keypoints import npz
from vidpose.options import InferOptions
from vidpose.poses import load
from vidpose.skeleton import COCO17
from vidpose.video import VideoWriter


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return tiny_weights(tmp_path / "tiny.safetensors")


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A folder with a.mp4, sub/b.MOV, and files that do not count: text, hidden, overlay."""
    folder = tmp_path / "clips"
    (folder / "sub").mkdir(parents=True)
    (folder / ".trash").mkdir()
    make_clip(folder / "a.mp4", frames=5)
    make_clip(folder / "b.mov", frames=6).rename(folder / "sub" / "b.MOV")
    make_clip(folder / ".trash" / "c.mp4")
    make_clip(folder / "._a.mp4")
    (folder / "readme.txt").write_text("no list")
    with VideoWriter(folder / "drawn.mp4", (64, 48)) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8), 0)
    return folder


def test_folders_patterns_and_lists(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    a, b = Path("clips/a.mp4"), Path("clips/sub/b.MOV")
    found, looked = find_videos(["clips"], "out")
    assert looked
    assert found == [(a, Path("out/a.npz")), (b, Path("out/sub/b.npz"))]
    assert find_videos(["clips/**/*.M*"], "out")[0] == [(b, Path("out/sub/b.npz"))]
    assert find_videos(["clips/*.mp4"], "out")[0] == [(a, Path("out/a.npz"))]
    Path("clips/list.txt").write_text("\ufeff# mine\n\r\n sub/b.MOV \nmissing\u2028.mp4\n", "utf-8")
    assert find_videos(["clips/list.txt", a], "out")[0] == [
        (b, Path("out/b.npz")),
        (Path("clips/missing\u2028.mp4"), Path("out/missing\u2028.npz")),
        (a, Path("out/a.npz")),
    ]
    assert find_videos([a], "x.npz") == ([(a, Path("x.npz"))], False)
    assert find_videos([a, "clips"], "out")[0][0] == (a, Path("out/a.npz"))
    make_clip(tmp_path / "odd[1].mp4")  # a name that looks like a pattern, but is there
    assert find_videos(["odd[1].mp4"], "out")[0][0][0] == Path("odd[1].mp4")


@pytest.mark.parametrize(
    ("make", "source", "message"),
    [
        (lambda path: path.mkdir(), "x", "x holds no video"),
        (lambda path: None, "*.mp4", r"\*.mp4 matches no video"),
        (lambda path: path.write_text("# none\n"), "x.txt", "lists no video"),
        (
            lambda path: path.write_bytes(b"\xff\xfe\x00"),
            "x.txt",
            "write one path per line, in UTF-8",
        ),
        (
            lambda path: path.write_text("hello\n"),
            "x.txt",
            "none of its paths exist, such as hello;",
        ),
    ],
)
def test_sources_without_videos(
    make: Callable[[Path], Any],
    source: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / source) if "*" not in source else None
    with pytest.raises(UsageError, match=message):
        find_videos([source], "out")


def states(outcomes: list[Outcome]) -> list[str]:
    return [outcome.state for outcome in outcomes]


def test_one_result_file_for_several_videos(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"mine\.npz: 2 videos need a folder"):
        infer_many([clips], tmp_path / "mine.npz")


def test_videos_of_one_result_fail_and_the_others_are_processed(
    clips: Path, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    monkeypatch.chdir(tmp_path)
    (before,) = infer_many(["clips/a.mp4"], "out", weights=weights)
    written = before.target.read_bytes()
    make_clip(tmp_path / "clips" / "a.mov", frames=7)
    said = list[Event]()
    outcomes = infer_many(["clips"], "out", weights=weights, redo=True, report=said.append)
    todo = "would be written to the same out/a.npz; rename one of them, or run them separately"
    reasons = [
        f"clips/a.mov: clips/a.mp4 {todo}, each with its own -o.",
        f"clips/a.mp4: clips/a.mov {todo}, each with its own -o.",
    ]
    assert states(outcomes) == ["failed", "failed", "done"]
    assert [outcome.reason for outcome in outcomes] == [*reasons, ""]
    assert [event for event in said if isinstance(event, Failure)] == [*map(Failure, reasons)]
    assert before.target.read_bytes() == written
    assert outcomes[2].target == Path("out/sub/b.npz")
    assert load("out/sub/b.npz").frames == 6
    # Without any other video no process is started.
    assert states(infer_many(["clips/a.*"], "out", weights=weights, jobs=2)) == ["failed"] * 2


def test_a_file_in_the_way_of_one_overlay_video_does_not_stop_the_others(
    clips: Path, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    (out := tmp_path / "out").mkdir()
    for name in ("a.mp4", "a.html"):
        (out / name).write_text("mine")
    result = run(clips, "-o", out, "--weights", weights, "--render", "--view-html")
    assert result.exit_code == 1, result.output
    assert result.stdout.splitlines()[-1] == "1 done, 0 skipped, 1 failed"
    assert "exists and was not written by vidpose; choose another -o." in result.stderr
    assert (out / "a.mp4").read_text() == (out / "a.html").read_text() == "mine"
    assert sorted(path.name for path in (out / "sub").iterdir()) == ["b.html", "b.mp4", "b.npz"]


def test_a_warning_names_its_video_once() -> None:
    video = Path("clips/a.mp4")
    assert _with_video(Warn("Memory is short."), video) == Warn("Memory is short. (clips/a.mp4)")
    for event in (Warn("clips/a.mp4 lost a frame."), Info("Lifted.")):
        assert _with_video(event, video) == event


def test_only_up_to_date_results_are_skipped(
    clips: Path, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    (clips / "z.mp4").write_text("no video")
    out = tmp_path / "out"

    def run(**options: Any) -> list[str]:
        return states(infer_many([clips], out, **({"weights": weights} | options)))

    assert run() == ["done", "done", "failed"]
    assert run() == ["skipped", "skipped", "failed"]
    assert run(focal_px=80.0) == ["done", "done", "failed"]
    assert run(focal_px=80.0, redo=True) == ["done", "done", "failed"]
    assert run(focal_px=80.0, people=2) == ["done", "done", "failed"]
    assert run() == ["done", "done", "failed"]
    assert run(relift=True, focal_px=80.0) == ["done", "done", "failed"]
    assert run(focal_px=80.0) == ["skipped", "skipped", "failed"]
    assert run(focal_px=80.0, flip=False) == ["done", "done", "failed"]
    assert run(focal_px=80.0, flip=False, rigid=False) == ["done", "done", "failed"]
    for more in (
        {"world": True},
        {"world": True, "camera_pitch": 5.0},
        {"world": True, "horizon": (0, 20, 60, 21)},
        {"height_cm": {1: 170}, "smooth": "savgol"},
        {"smooth": "none"},
    ):
        assert run(**more) == ["done", "done", "failed"]
        assert run(**more) == ["skipped", "skipped", "failed"]
    assert run(focal_px=80.0, flip=False) == ["done", "done", "failed"]
    # There is one person, so those visible longest are everybody.
    assert run(focal_px=80.0, flip=False, longest=1) == ["skipped", "skipped", "failed"]
    (out / "a.npz").write_bytes((out / "a.npz").read_bytes()[:500])
    (out / "sub" / "b.npz").unlink()
    # What is no result is not overwritten.
    assert run(focal_px=80.0, flip=False) == ["failed", "done", "failed"]


def test_one_folder_need_not_be_in_a_list(
    clips: Path, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    monkeypatch.chdir(tmp_path)
    assert states(infer_many("clips", "out", weights=weights)) == ["done"] * 2
    assert states(infer_many(Path("clips"), "out", weights=weights)) == ["skipped"] * 2
    assert states(infer_many(iter(["clips"]), "out", weights=weights)) == ["skipped"] * 2


def test_a_result_that_was_not_drawn_is_drawn(
    clips: Path, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    out = tmp_path / "out"
    infer_many([clips], out, weights=weights)
    assert states(infer_many([clips], out, weights=weights, render=True)) == ["skipped"] * 2
    drawn = [(out / "a.mp4").stat().st_mtime_ns, (out / "sub" / "b.mp4").stat().st_mtime_ns]
    infer_many([clips], out, weights=weights, render=True)
    assert drawn == [
        (out / "a.mp4").stat().st_mtime_ns,
        (out / "sub" / "b.mp4").stat().st_mtime_ns,
    ]


def test_files_next_to_a_result_are_written_when_requested_later(
    clips: Path, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    beside: dict[str, Any] = {"save_2d": True, "save_mmpose": True}
    infer_many([clips], tmp_path / "at once", weights=weights, **beside)
    infer_many([clips], tmp_path / "later", weights=weights)
    outcomes = infer_many([clips], tmp_path / "later", weights=weights, **beside)
    assert states(outcomes) == ["skipped"] * 2
    for name in ("a.2d.npz", "a.mmpose.json", "sub/b.2d.npz", "sub/b.mmpose.json"):
        files = [(tmp_path / when / name).read_bytes() for when in ("at once", "later")]
        assert files[0] == files[1]


def test_files_of_2d_joints_of_an_earlier_result_are_replaced(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    video, there = make_clip(tmp_path / "clip.mp4", frames=5), tmp_path / "clip.2d.npz"
    for state, options in (
        ("done", {"save_2d": True}),
        ("done", {"people": 2}),
        ("skipped", {"people": 2, "save_2d": True}),
    ):
        wanted: dict[str, Any] = options
        (outcome,) = infer_many([video], tmp_path, weights=weights, **wanted)
        assert outcome.state == state
    _, meta = npz.read(there)
    assert meta["options"]["people"] == 2


def test_files_next_to_a_result_are_not_written_again(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    video = make_clip(tmp_path / "clip.mp4", frames=5)
    wanted: dict[str, Any] = {"save_2d": True, "save_mmpose": True, "view_html": True}
    written = []
    for state in ("done", "skipped"):
        (outcome,) = infer_many([video], tmp_path / "out", weights=weights, **wanted)
        assert outcome.state == state
        written.append({path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()})
    assert len(written[0]) == 4
    assert written[0] == written[1]


@pytest.mark.parametrize("option", ["save_2d", "save_mmpose"])
def test_files_of_2d_joints_replace_only_their_own_kind(
    option: str, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    name = {"save_2d": "clip.2d.npz", "save_mmpose": "clip.mmpose.json"}[option]
    wanted: dict[str, Any] = {option: True, "redo": True}
    video, there = make_clip(tmp_path / "clip.mp4", frames=5), tmp_path / "out" / name
    for _ in range(2):
        (outcome,) = infer_many([video], there.parent, weights=weights, **wanted)
        assert outcome.state == "done"
    there.write_text('{"meta_info": {}, "instance_info": []}')
    (outcome,) = infer_many([video], there.parent, weights=weights, **wanted)
    assert outcome.state == "failed"
    assert f"{name} exists and " in outcome.reason
    assert there.read_text() == '{"meta_info": {}, "instance_info": []}'


def test_a_result_is_not_replaced_by_the_2d_joints_of_another_video(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    (folder := tmp_path / "clips").mkdir()
    for name, frames in (("clip.2d.mp4", 5), ("clip.mp4", 6)):
        make_clip(folder / name, frames=frames)
    first, second = infer_many([folder], tmp_path, weights=weights, save_2d=True)
    assert (first.state, second.state) == ("done", "failed")
    assert "clip.2d.npz exists and is not a 2D file of vidpose" in second.reason
    assert load(tmp_path / "clip.2d.npz").frames == 5


def test_exports_are_rewritten_for_an_existing_result(
    clips: Path, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    out = tmp_path / "out"

    def run(**options: Any) -> list[str]:
        outcomes = infer_many(
            [clips], out, weights=weights, world=True, camera_pitch=0.0, **options
        )
        return states(outcomes)

    assert run() == ["done"] * 2
    assert run(export="csv,trc") == ["skipped"] * 2
    assert (out / "sub" / "b.csv").stat().st_size > 0
    for unit in ("mm", "m", "mm"):
        assert run(export="csv,trc", unit=unit) == ["skipped"] * 2
        for name in ("a_person1.trc", "sub/b_person1.trc"):
            head = (out / name).read_text().splitlines()[2]
            assert head.split("\t")[4] == unit
    (out / "a.csv").write_text("mine")
    assert run(export="csv") == ["failed", "skipped"]
    assert (out / "a.csv").read_text() == "mine"


def test_the_cache_of_a_job_killed_while_drawing_is_removed(
    clips: Path, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    infer_many([clips], tmp_path, weights=weights)
    with DetectionCache(tmp_path / "a.npz", {}, COCO17) as left:
        left.write(None, [])
    os.utime(left.folder / "000000000.npz", (1, 1))
    infer_many([clips], tmp_path, weights=weights)
    assert not left.folder.exists()


def test_a_video_with_nobody_in_it_is_not_searched_again(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[int] = []
    there = False

    def sees(index: int) -> bool:
        searched.append(index)
        return there

    use_fake_detector(monkeypatch, sees)
    out, said = tmp_path / "out", list[Event]()
    video, other = (
        make_clip(tmp_path / f"{name}.mp4", frames=n) for name, n in (("a", 5), ("b", 6))
    )

    def run(**options: Any) -> Outcome:
        searched.clear()
        (outcome,) = infer_many(
            [video], out, report=said.append, **({"weights": weights} | options)
        )
        assert bool(searched) == (outcome.state != "skipped")
        return outcome

    assert run().state == "failed"
    again = run()
    assert (again.state, again.people, again.frames) == ("skipped", 0, 5)
    assert said[-1] == Info(f"{video}: skipped; {again.reason}. --redo searches it again.")
    assert table([again]).splitlines()[1:] == [
        f"{video}       0       5  skipped: an earlier run with these options found nobody",
        "0 done, 1 skipped, 0 failed",
    ]
    assert run(relift=True).state == "skipped"
    assert run(focal_px=80.0).state == "skipped"  # nobody was lifted
    assert run(redo=True).state == "failed"
    assert run(people=2).state == "failed"
    assert run().state == "failed"
    other.replace(video)
    assert run().state == "failed"
    there = True
    assert run(people=2).state == "done"
    assert [path.name for path in out.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("content", ["", "no JSON", '{"format": "vidpose-nobody/1"}', "[]"])
def test_a_damaged_record_of_nobody_counts_as_none(
    content: str, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch, lambda index: False)
    video = make_clip(tmp_path / "a.mp4", frames=5)
    infer_many([video], tmp_path, weights=weights)
    (tmp_path / ".a.nobody").write_text(content)
    for state in ("failed", "skipped"):
        assert states(infer_many([video], tmp_path, weights=weights)) == [state]


def test_invalid_options_are_reported_once_before_any_work(
    clips: Path, tmp_path: Path, weights: Path
) -> None:
    with pytest.raises(UsageError, match="--camera-pitch needs --world"):
        infer_many([clips], tmp_path / "out", weights=weights, camera_pitch=5.0)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"export": "trc"}, UsageError, "TRC needs a world frame"),
        ({"export": "glb,csv", "unit": "mm"}, UsageError, "--unit"),
        ({"weights": "none.safetensors"}, WeightsError, "none.safetensors does not exist"),
        ({"detector": "cpn"}, WeightsError, "vidpose weights fetch cpn-r50"),
        ({"detector": "mediapipe", "detect_every": 2}, UsageError, "--detect-every"),
        ({"device": "cuda"}, UsageError, "PyTorch finds no GPU here"),
    ],
)
def test_what_concerns_every_video_is_reported_once_before_any_work(
    jobs: int,
    options: dict[str, Any],
    error: type[Exception],
    message: str,
    clips: Path,
    tmp_path: Path,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VIDPOSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("vidpose.detect.mmcv_ops.missing_packages", list)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(error, match=message):
        infer_many([clips], tmp_path / "out", jobs=jobs, **({"weights": weights} | options))
    assert not (tmp_path / "out").exists()


def test_a_bug_for_one_video_is_its_failure(
    clips: Path,
    tmp_path: Path,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def sees(index: int) -> bool:
        if index == 5:
            raise ZeroDivisionError("a bug")
        return True

    use_fake_detector(monkeypatch, sees)
    first, second = infer_many([clips], tmp_path / "out", weights=weights)
    assert first.state == "done"
    assert second.state == "failed"
    assert second.reason == f"{clips / 'sub' / 'b.MOV'}: ZeroDivisionError: a bug (a bug)"
    assert "Traceback" in capsys.readouterr().err


def test_the_table_has_a_line_for_each_video_and_totals() -> None:
    some = [
        Outcome(Path("a.mp4"), Path("a.npz"), "done", people=2, frames=230),
        Outcome(Path("longer.mp4"), Path("longer.npz"), "failed", reason="longer.mp4 is empty."),
        Outcome(Path("c.mp4"), Path("c.npz"), "skipped", people=1, frames=9),
    ]
    assert table(some).splitlines() == [
        "video       people  frames  outcome",
        "a.mp4            2     230  done",
        "longer.mp4                  failed: longer.mp4 is empty.",
        "c.mp4            1       9  skipped",
        "1 done, 1 skipped, 1 failed",
    ]


# With processes or Ray there is no stand-in for the detector, so that small clips of real people
# must do.


def test_many_at_a_time(folder: Path, alone: dict[str, Any], tmp_path: Path) -> None:
    check_many_at_a_time(("--jobs", 2), folder, alone, tmp_path)


def test_a_lost_worker_is_a_failure_with_a_name(tmp_path: Path) -> None:
    check_a_lost_worker(lambda jobs: run_in_processes(jobs, 1), tmp_path)


def test_files_in_options_become_absolute_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.safetensors").touch()
    (tmp_path / "default").touch()
    options = {"weights": "mine.safetensors", "pose_weights": "hrnet-w48"}
    sent = _absolute(Job(Path("a.mp4"), Path("out/a.npz"), InferOptions.of(**options)))
    mine = options | {"weights": str(tmp_path / "mine.safetensors")}
    assert sent.options == InferOptions.of(**mine)
    assert (sent.video, sent.target) == (tmp_path / "a.mp4", tmp_path / "out" / "a.npz")
    named = _absolute(Job(Path("a.mp4"), Path("a.npz")))
    assert named.options == InferOptions()


WITH_A_WORKER = """
import sys, time
from vidpose.batch.processes import _Process

if __name__ == "__main__":
    worker = _Process(1)
    print(worker._process.pid, flush=True)
    time.sleep(600)
"""


def test_workers_end_when_the_main_process_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "first.py"
    script.write_text(WITH_A_WORKER)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        worker = psutil.Process(int(first.stdout.readline()))
        first.kill()
    worker.wait(timeout=120)


def test_without_ray_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    make_clip(tmp_path / "a.mp4")
    result = run(tmp_path, "-o", tmp_path / "out", "--ray", "local")
    assert result.exit_code == 1
    assert "pip install 'vidpose[ray]'" in result.stderr
