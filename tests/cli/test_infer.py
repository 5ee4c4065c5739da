import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import vidpose
from tests.bvh_files import write_mocap
from tests.clips import cut, make_clip, make_sound
from tests.fakes import tiny_weights, use_fake_detector
from vidpose.cli import main


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str | Path) -> Result:
        return CliRunner().invoke(main, [str(a) for a in arguments])

    return invoke


Run = Callable[..., Result]


def sentence(result: Result, code: int = 1) -> str:
    """The error message of a failed command; checks that stderr has nothing else."""
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    (line,) = result.stderr.strip().splitlines()
    return line


def test_infer_and_render(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_fake_detector(monkeypatch)
    make_clip(tmp_path / "a.mp4")
    weights = tiny_weights(tmp_path / "tiny.safetensors")
    result = run("infer", "a.mp4", "--weights", weights, "--render", "-o", "out")
    assert result.exit_code == 0, result.output
    first, found, drawn, *trust = result.stdout.splitlines()
    assert first.startswith("Detector: a stand-in")
    assert found == "1 person in 12 frames: out/a.npz"
    assert drawn == "Overlay video: out/a.mp4"
    assert trust[0] == "Quality report (proxies, not accuracy):"
    assert trust[2].split()[:2] == ["1", "12"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.mp4", "a.npz"]

    again = run("render", "out/a.npz", "-o", "side.mp4", "--view", "side")
    assert again.exit_code == 0, again.output
    assert (tmp_path / "side.mp4").stat().st_size > 0


def test_world_height_and_smoothing(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_fake_detector(monkeypatch)
    make_clip(tmp_path / "a.mp4", frames=20)
    weights = tiny_weights(tmp_path / "tiny.safetensors")
    command = ("infer", "a.mp4", "--weights", weights)
    world = ("--world", "--camera-pitch", "-10", "--camera-roll", "3")
    more = ("--height-cm", "1=180,2=160", "--smooth", "savgol")
    result = run(*command, *world, *more, "--render")
    assert result.exit_code == 0, result.output
    assert "World: up from --camera-pitch; the camera looks 10 degrees up" in result.stdout
    made = vidpose.load("outputs/a.npz")
    assert np.isfinite(made.joints_world()).all()
    assert made.meta["world"]["camera_roll_deg"] == 3
    assert made.meta["scale"]["height_cm"] == {"1": 180, "2": 160}
    assert made.meta["smoothing"]["data"] == "savgol"
    assert run("render", "outputs/a.npz", "-o", "drawn.mp4", "--smooth", "none").exit_code == 0

    # From the result's 2D joints again, without any of it.
    assert run(*command, "--relift").exit_code == 0
    plain = vidpose.load("outputs/a.npz")
    assert plain.camera_to_world is None
    assert plain.meta["smoothing"]["data"] == "none"
    np.testing.assert_array_equal(plain.keypoints_2d, made.keypoints_2d)
    lifted = run(
        *("lift", "outputs/a.npz", "--weights", weights, "-o", "b"),
        *("--world", "--horizon", "0,20,63,22", "--height-cm", "170"),
    )
    assert lifted.exit_code == 0, lifted.output
    assert vidpose.load("b/a.npz").meta["world"]["up"] == "--horizon"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), {"detector": "auto", "half": "auto", "flip_test": None, "detect_every": None}),
        (
            (*("--detector", "hrnet", "--no-half", "--flip-test", "--detect-every", "3"),),
            {"detector": "hrnet", "half": False, "flip_test": True, "detect_every": 3},
        ),
        (
            (*("--detector", "cpn", "--pose-weights", "a.pth", "--person-weights", "b.pth"),),
            {"detector": "cpn", "pose_weights": "a.pth", "person_weights": "b.pth"},
        ),
        (
            ("--people", "2", "--half", "--no-flip-test"),
            {"people": 2, "half": True, "flip_test": False},
        ),
        (
            ("--detector", "mediapipe", "--detector-size", "lite"),
            {"detector": "mediapipe", "detector_size": "lite"},
        ),
    ],
)
def test_detector_options_arrive(
    options: tuple[str, ...],
    expected: dict[str, object],
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    asked = use_fake_detector(monkeypatch)
    make_clip(tmp_path / "a.mp4", frames=3)
    weights = tiny_weights(tmp_path / "tiny.safetensors")
    assert run("infer", "a.mp4", "--weights", weights, *options).exit_code == 0
    assert expected.items() <= asked.items()


def test_a_bad_video_among_good_ones(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_fake_detector(monkeypatch)
    make_clip(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_text("no video")
    make_clip(tmp_path / "c.mp4")
    weights = tiny_weights(tmp_path / "tiny.safetensors")
    result = run("infer", "a.mp4", "b.mp4", "c.mp4", "--weights", weights)
    assert result.exit_code == 1
    assert sorted(p.name for p in (tmp_path / "outputs").iterdir()) == ["a.npz", "c.npz"]
    assert "b.mp4" in result.stderr
    assert "1 of 3 videos failed" in result.stderr


def _text(path: Path) -> None:
    path.write_text("this is no video")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "in.mp4 does not exist"),
        (_text, "is not a video"),
        (Path.touch, "is empty"),
        (make_sound, "holds only sound"),
        (lambda path: cut(make_clip(path, noise=True, frames=40), 0.5), "cut off before the index"),
        (lambda path: make_clip(path, size=(16, 16)), "Nobody was found in any frame of in.mp4"),
        (lambda path: make_clip(path, size=(320, 240)), "Nobody was found in any frame of in.mp4"),
        (lambda path: make_clip(path, frames=1), "Nobody was found in any frame of in.mp4"),
    ],
    ids=["missing", "text", "empty", "sound", "cut", "16x16", "nobody", "one frame"],
)
def test_bad_videos_get_one_sentence(
    make: Callable[[Path], None], message: str, run: Run, tmp_path: Path
) -> None:
    make(tmp_path / "in.mp4")
    weights = tiny_weights(tmp_path / "tiny.safetensors")
    line = sentence(run("infer", "in.mp4", "--weights", weights, "--render"))
    assert line.startswith("Error: ")
    assert message in line
    assert {p.name for p in tmp_path.iterdir()} <= {"in.mp4", "tiny.safetensors"}


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "does not exist"), (b"", "no weights"), (b"not weights" * 99, "no weights")],
)
def test_weights_that_are_not_weights(
    content: bytes | None, message: str, run: Run, tmp_path: Path
) -> None:
    make_clip(tmp_path / "in.mp4")
    if content is not None:
        (tmp_path / "w.safetensors").write_bytes(content)
    assert message in sentence(run("infer", "in.mp4", "--weights", "w.safetensors"))
    assert not (tmp_path / "outputs").exists()


def test_a_result_of_another_format(run: Run, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", positions=np.zeros(3))
    assert "not a vidpose/1 result file" in sentence(run("render", "a.npz"))
    (tmp_path / "b.npz").write_text("hello")
    assert "not a vidpose result file" in sentence(run("render", "b.npz"))
    assert "does not exist" in sentence(run("render", "c.npz"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "b.npz"]


def test_rendering_without_the_video(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_fake_detector(monkeypatch)
    video = make_clip(tmp_path / "a.mp4")
    weights = tiny_weights(tmp_path / "tiny.safetensors")
    assert run("infer", "a.mp4", "--weights", weights).exit_code == 0
    video.rename(tmp_path / "moved.mp4")
    assert "--video" in sentence(run("render", "outputs/a.npz"), code=2)
    assert run("render", "outputs/a.npz", "--video", "moved.mp4").exit_code == 0
    make_clip(tmp_path / "other.mp4", size=(80, 48))
    line = sentence(run("render", "outputs/a.npz", "--video", "other.mp4"))
    assert "not the video of this result" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("infer", "x.mov", "-o", "x.mp4"), "give a folder"),
        (("infer", "x.mp4", "y.mp4", "-o", "z.npz"), "2 videos need a folder"),
        (("infer", "x.mp4", "--render", "--view", "behind"), "behind"),
        (("infer", "x.mp4", "--view", "side"), "--view needs --render"),
        (("infer", "x.mp4", "--ray", ""), "--ray: give the address of a cluster"),
        (("profile", "--detector", "cpn"), "--detector is for a VIDEO; name one"),
        (("infer", "x.mp4", "--start", "-1"), "--start -1"),
        (("infer", "x.mp4", "--start", "inf"), "--start inf"),
        (("infer", "x.mp4", "--world", "--camera-pitch", "95"), "degrees from -90 to 90"),
        (("infer", "x.mp4", "y.mp4", "--camera-pitch", "5"), "--camera-pitch needs --world"),
        (("infer", "x.mp4", "--world", "--horizon", "1,2"), "two points on it"),
        (("infer", "x.mp4", "--world", "--horizon", "sky"), "two points on it"),
        (("infer", "x.mp4", "--height-cm", "1.75"), "give centimetres"),
        (("infer", "x.mp4", "y.mp4", "--height-cm", "1=tall"), "or ID=CM"),
        (("lift", "x.json", "--height-cm", "1=17"), "--height-cm 17: give centimetres"),
        (("infer", "x.mp4", "--end", "nan"), "--end nan"),
        (
            ("train", "--dataset", "mocap", "--data", ".", "--frames", "8"),
            "--frames 8: give an odd number",
        ),
    ],
)
def test_requests_that_make_no_sense_exit_with_2(
    arguments: tuple[str, ...], message: str, run: Run, tmp_path: Path
) -> None:
    (tmp_path / Path(arguments[1]).name).write_text("?")  # a path that is wrong is told before
    assert message in sentence(run(*arguments), code=2)


def test_somebody_elses_video_is_not_overwritten(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The overlay of walk.mov is walk.mp4, which may be another video, or the source."""
    use_fake_detector(monkeypatch)
    weights = tiny_weights(tmp_path / "tiny.safetensors")
    make_clip(tmp_path / "walk.mov")
    film = make_clip(tmp_path / "walk.mp4", frames=3).read_bytes()
    for video in ("walk.mov", "walk.mp4"):
        line = sentence(run("infer", video, "-o", ".", "--render", "--weights", weights), code=2)
        assert "walk.mp4 exists and was not written by vidpose" in line
    assert run("infer", "walk.mov", "-o", ".", "--weights", weights).exit_code == 0
    assert "exists and was not written" in sentence(run("render", "walk.npz"), code=2)
    assert (tmp_path / "walk.mp4").read_bytes() == film
    for _ in range(2):  # its own overlay it may write again
        assert run("render", "walk.npz", "-o", "drawn.mp4").exit_code == 0


def test_anothers_result_is_not_overwritten(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_fake_detector(monkeypatch)
    weights = tiny_weights(tmp_path / "tiny.safetensors")
    for folder, frames in (("a", 5), ("b", 7)):
        (tmp_path / folder).mkdir()
        make_clip(tmp_path / folder / "x.mp4", frames=frames)
    for _ in range(2):  # its own result it may write again
        assert run("infer", "a/x.mp4", "--weights", weights).exit_code == 0
    before = (tmp_path / "outputs" / "x.npz").read_bytes()
    line = sentence(run("infer", "b/x.mp4", "--weights", weights), code=2)
    assert "outputs/x.npz was made from another file" in line
    assert (tmp_path / "outputs" / "x.npz").read_bytes() == before
    np.savez(tmp_path / "outputs" / "x.npz", theirs=np.zeros(3))
    line = sentence(run("infer", "a/x.mp4", "--weights", weights), code=2)
    assert "is not a vidpose result" in line


def test_an_unusable_output_is_reported_before_the_work(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_fake_detector(monkeypatch)
    make_clip(tmp_path / "a.mp4")
    (tmp_path / "file").write_text("")
    weights = tiny_weights(tmp_path / "tiny.safetensors")
    result = run("infer", "a.mp4", "--weights", weights, "-o", "file")
    assert "a file, not a folder" in sentence(result)
    assert result.stdout == ""


def test_a_colon_in_a_name(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_fake_detector(monkeypatch)
    make_clip(tmp_path / "a.mp4").rename(tmp_path / "10:30.mp4")
    weights = tiny_weights(tmp_path / "tiny.safetensors")
    result = run("infer", "10:30.mp4", "--weights", weights, "--render")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "outputs" / "10:30.mp4").is_file()


def test_unknown_options_exit_with_2(run: Run) -> None:
    assert run("infer").exit_code == 2
    assert run("infer", "x.mp4", "--detector", "magic").exit_code == 2


def test_train(run: Run, tmp_path: Path) -> None:
    write_mocap(tmp_path / "mocap", ("01", "02", "03"))
    command = ["train", "--dataset", "mocap", "--data", "mocap", "--out", "run", "--frames", "3"]
    command += ["--epochs", "1", "--windows", "32", "--batch", "16", "--device", "cpu"]
    result = run(*command, "--test-subjects", "02")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "run" / "best.safetensors").is_file()
    assert "Best weights: run/best.safetensors" in result.stdout
    assert "has subjects 01, 02, 03" in sentence(
        run(*command, "--test-subjects", "77", "--out", "other")
    )
    assert "holds no <subject>/<clip>.bvh" in sentence(
        run("train", "--dataset", "mocap", "--data", "nowhere")
    )


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from vidpose.cli import main; "
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0; "
        "print([m for m in ('torch', 'numpy', 'cv2', 'av', 'onnxruntime', 'scipy', 'tqdm') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_installed_command_runs() -> None:
    command = Path(sys.executable).with_name("vidpose")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0
    assert done.stdout.startswith("vidpose ")
