"""`vidpose live`, with a file or a loopback stream instead of a camera."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import vidpose
from tests.clips import make_clip
from tests.fakes import tiny_weights, use_fake_detector
from tests.live.windows import FakeWindow
from tests.streams import nobody_listens, sending
from vidpose.cli import main
from vidpose.live import session
from vidpose.video import capture

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in an empty folder, with tiny weights."""
    monkeypatch.chdir(tmp_path)
    use_fake_detector(monkeypatch)
    weights = tiny_weights(tmp_path / "tiny.safetensors")

    def invoke(*arguments: str | Path) -> Result:
        command = ["live", *map(str, arguments), "--weights", str(weights)]
        return CliRunner().invoke(main, command)

    return invoke


def sentence(result: Result, code: int = 1) -> str:
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    (line,) = result.stderr.strip().splitlines()
    return line


def test_a_file_without_a_window(run: Run, tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4")
    result = run("a.mp4", "--headless", "--no-realtime", "-o", "out/a.npz", "--smooth", "savgol")
    assert result.exit_code == 0, result.output
    setup, how, summary, found, *trust = result.stdout.splitlines()
    assert setup.startswith("Detector: a stand-in")
    assert how == "a.mp4: 64x48, 30 frames/s; press Ctrl-C to stop."
    assert summary.startswith("a.mp4: 12 frames, ")
    assert ", 0 dropped, " in summary
    assert found == "1 person in 12 frames: out/a.npz"
    assert trust[0] == "Quality report (proxies, not accuracy):"
    made = vidpose.load("out/a.npz")
    assert made.meta["smoothing"]["data"] == "savgol"


def test_a_stream_with_a_window(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = FakeWindow()
    monkeypatch.setattr(session, "TkWindow", shown)
    content = make_clip(tmp_path / "a.ts", frames=40, noise=True).read_bytes()
    with sending(content) as address:
        result = run(address, "--save-video", "--view", "side")
    assert result.exit_code == 0, result.output
    assert "press Q in the window or Ctrl-C to stop." in result.stdout
    npz, video = sorted((tmp_path / "outputs").iterdir())
    assert video.name == f"{npz.stem}.source.mp4"
    drawn = CliRunner().invoke(main, ["render", str(npz)])
    assert drawn.exit_code == 0, drawn.output
    assert npz.with_suffix(".mp4").is_file()


def test_the_first_camera_is_the_default(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "_device", lambda number: (f"gone/{number}", "mpegts", {}))
    assert "There is no camera 0" in sentence(run("--headless"))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("missing.mp4",), 1, "missing.mp4 does not exist"),
        (("99", "--headless"), 1, "There is no camera 99"),
        (("a.mp4", "--headless", "-o", "a.mp4"), 2, "give a folder, or the name of an .npz"),
        (("a.mp4", "--headless", "-o", "a.mp4/b"), 1, "a file, not a folder"),
        (("a.mp4", "--headless", "--size", "64x48"), 2, "--size is for cameras"),
        (("0", "--headless", "--size", "large"), 2, "--size large: give width and height"),
        (("0", "--delay", "11"), 2, "--delay 11: give 0 to 10 seconds"),
        (("0", "--headless", "--no-record"), 2, "leave one out"),
        (("0", "--save-video", "--no-record"), 2, "leave out --no-record"),
        (("0", "--view", "behind"), 2, "'behind' is not a view"),
        (("0", "--headless", "--view", "side"), 2, "--view has no effect with --headless"),
    ],
)
def test_requests_that_cannot_be_met_get_one_sentence(
    arguments: tuple[str, ...], code: int, message: str, run: Run, tmp_path: Path
) -> None:
    make_clip(tmp_path / "a.mp4")
    assert message in sentence(run(*arguments), code)
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "tiny.safetensors"}


def test_a_stream_that_refuses(run: Run) -> None:
    line = sentence(run(nobody_listens(), "--headless"))
    assert "cannot be opened (connection refused)" in line


def test_without_a_display_or_tk(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_clip(tmp_path / "a.mp4")
    monkeypatch.setitem(sys.modules, "tkinter", None)
    assert "A window needs Tk" in sentence(run("a.mp4"))

    class NoDisplay:
        class TclError(Exception):
            pass

        @classmethod
        def Tk(cls) -> None:  # noqa: N802
            raise cls.TclError("no display name and no $DISPLAY environment variable")

    monkeypatch.setitem(sys.modules, "tkinter", NoDisplay)
    line = sentence(run("a.mp4"), code=2)
    assert "There is no display to show a window on (no display name" in line
    assert line.endswith("give --headless.")
