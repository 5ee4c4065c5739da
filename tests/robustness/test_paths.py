"""Paths that are no ordinary files, names that no file can have, places for nobody's files."""

import errno
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import vidpose
from tests.clips import make_clip
from tests.fakes import tiny_weights, use_fake_detector
from vidpose.cli import main
from vidpose.errors import VidposeError
from vidpose.utils import files
from vidpose.utils.files import check_writable, obstacle, replacing

NOT_UTF8 = os.fsdecode(b"bad\xff")


def run(*command: str | Path) -> Result:
    return CliRunner().invoke(main, [str(part) for part in command])


def assert_told(result: Result, *what: str) -> None:
    assert result.exit_code in (1, 2), result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    for words in what:
        assert words in line


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


COMMANDS = {
    "infer": lambda path: ("infer", path),
    "lift": lambda path: ("lift", path),
    "render": lambda path: ("render", path),
    "export": lambda path: ("export", path, "--to", "csv"),
    "view": lambda path: ("view", path),
    "plot": lambda path: ("plot", path),
    "import": lambda path: ("weights", "import", path),
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_what_can_only_be_waited_for(
    command: Callable[[Path], Any], tmp_path: Path, fifo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_told(run(*command(fifo)), "fifo is a pipe, a socket or a device")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        assert_told(run(*command(Path("socket"))), "socket is a pipe, a socket or a device")


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_name_that_no_file_can_have(
    command: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_told(run(*command(Path("n" * 300))), "too long")
    Path("circle").symlink_to("circle")
    assert_told(run(*command(Path("circle"))), "is not a valid path")


def test_a_locked_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root is let in everywhere, so the system's answer is made up."""
    path, look = tmp_path / "locked" / "a.mp4", os.stat

    def refuse(name: Any, *args: Any, **how: Any) -> Any:
        if str(name).startswith(str(path.parent)):
            raise PermissionError(errno.EACCES, "Permission denied", str(name))
        return look(name, *args, **how)

    monkeypatch.setattr(os, "stat", refuse)
    assert obstacle(path, "") == "cannot be read; change the permissions of its folder"
    assert_told(run("infer", path), "a.mp4 cannot be read")


def test_a_name_that_is_not_utf8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake_detector(monkeypatch)
    weights = tiny_weights(tmp_path / "weights.safetensors")
    video = tmp_path / f"{NOT_UTF8}.mp4"
    make_clip(tmp_path / "a.mp4", frames=40).rename(video)
    out = tmp_path / "out"
    done = run(
        *("infer", video, "-o", out, "--weights", weights, "--render", "--view-html"),
        *("--save-2d", "--save-mmpose", "--export", "csv,json", "--relift"),
    )
    assert done.exit_code == 0, done.output
    names = sorted(os.fsencode(path.name) for path in out.iterdir())
    ends = b".2d.npz", b".csv", b".html", b".json", b".mmpose.json", b".mp4", b".npz"
    assert names == [b"bad\xff" + end for end in ends]
    source = vidpose.load(out / f"{NOT_UTF8}.npz").meta["source"]["path"]
    assert os.fsencode(source) == os.fsencode(video)
    assert run("view", out / f"{NOT_UTF8}.npz", "--link-video").exit_code == 0
    assert run("render", out / f"{NOT_UTF8}.npz").exit_code == 0


@pytest.mark.parametrize("folder", ["/dev", "/proc", "/proc/self", "/sys/class", "/dev/../dev"])
def test_places_of_the_system(folder: str) -> None:
    with pytest.raises(VidposeError, match="it is in a system folder"):
        check_writable(Path(folder) / "new" / "a.npz")
    with pytest.raises(VidposeError, match="it is in a system folder"):
        check_writable(Path(folder) / "null")


def test_what_is_no_file_is_not_replaced(tmp_path: Path, fifo: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "circle").symlink_to("circle")
    for path, why in (
        (fifo, "it is a pipe, a socket or a device"),
        (tmp_path / "link", "it is a folder"),
        (tmp_path / "circle" / "a.npz", "its path is a loop of links"),
        (tmp_path / ("n" * 300), "its name is too long"),
    ):
        with pytest.raises(VidposeError, match=why):
            check_writable(path)
        with pytest.raises(VidposeError, match=why), replacing(path):
            pytest.fail("a temporary file was made")
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_another_users_file_in_a_folder_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.npz").touch()
    tmp_path.chmod(0o1777)
    check_writable(tmp_path / "a.npz")
    monkeypatch.setattr(files, "is_own", lambda about: False)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(VidposeError, match="it belongs to another user"):
        check_writable(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (errno.EROFS, "the disk is read-only"),
        (errno.EACCES, "writing there is not permitted"),
        (errno.ENOSPC, "the disk is full"),
    ],
)
def test_a_folder_that_cannot_be_written_is_told_before_the_work(
    number: int, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write everywhere, so the system's answer is made up."""
    asked = use_fake_detector(monkeypatch)
    weights = tiny_weights(tmp_path / "weights.safetensors")
    video, make = make_clip(tmp_path / "a.mp4"), os.open

    def refuse(path: Any, flags: int, *more: Any, **how: Any) -> int:
        if flags & os.O_CREAT and str(path).startswith(str(tmp_path)):
            raise OSError(number, os.strerror(number), str(path))
        return make(path, flags, *more, **how)

    monkeypatch.setattr(os, "open", refuse)
    for more in (["--render"], ["--jobs", "1", "--export", "csv"]):
        told = run("infer", video, "-o", tmp_path / "out", "--weights", weights, *more)
        assert_told(told, f"cannot be written: {why}")
    told = run("train", "--dataset", "synthetic", "--out", tmp_path / "run")
    assert_told(told, "state.pt cannot be written", why)
    assert not asked
    assert not (tmp_path / "out").exists()


def test_a_signal_while_a_pipe_is_named(fifo: Path) -> None:
    """Nothing waits for a pipe, so that nothing has to be stopped."""
    script = "from vidpose.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", script, "infer", str(fifo)], stderr=subprocess.PIPE
    ) as started:
        _, told = started.communicate(timeout=60)
    assert started.returncode not in (-signal.SIGTERM, 0)
    assert b"copy its content to a file first" in told


FULL_OUTPUT = ["--help"], ["weights", "list"], ["doctor"]


@pytest.mark.parametrize("command", FULL_OUTPUT, ids=" ".join)
def test_output_that_cannot_be_written(command: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "vidpose", *command],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "Error: the output cannot be written: No space left on device."
    ]


def test_files_do_not_take_the_place_of_a_closed_output(tmp_path: Path) -> None:
    """What a library prints would else go into whichever file was opened first."""
    np.savez(tmp_path / "x.npz", x=np.zeros(3))
    script = (
        "import os, sys; from vidpose.cli import _prepare_output; _prepare_output(); "
        "file = open(sys.argv[1], 'w'); os.write(1, b'noise'); print('noise'); "
        "sys.exit(file.fileno() < 3)"
    )
    path = tmp_path / "file"
    shell = f'exec "{sys.executable}" -c "$0" "$1" >&- 2>&-'
    done = subprocess.run(["sh", "-c", shell, script, str(path)], check=False)
    assert done.returncode == 0
    assert path.read_text() == ""


def test_a_video_given_to_lift(tmp_path: Path) -> None:
    video = make_clip(tmp_path / "a.mp4")
    assert_told(run("lift", video), "a.mp4 is a video; `vidpose infer", "finds the 2D joints in it")


def test_a_list_of_videos_for_ffmpeg_has_nothing_to_do_with_permissions(tmp_path: Path) -> None:
    path = tmp_path / "a.ffconcat"
    path.write_text("ffconcat version 1.0\nfile /etc/passwd\n")
    assert_told(run("infer", path), "a.ffconcat is not a video that can be read")


def test_lifted_again_a_part_of_a_video_needs_no_start_and_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    weights = tiny_weights(tmp_path / "weights.safetensors")
    video = make_clip(tmp_path / "a.mp4", frames=40)
    command = "infer", video, "-o", tmp_path, "--weights", weights
    target = tmp_path / "a.npz"
    assert run(*command, "-o", target, "--start", "0.3", "--end", "0.9").exit_code == 0
    before = vidpose.load(target)
    done = run(*command, "-o", target, "--relift", "--focal-px", "90", "--height-cm", "180")
    assert done.exit_code == 0, done.output
    assert "Body height: person 1 " in done.stdout
    after = vidpose.load(target)
    np.testing.assert_array_equal(after.frame_indices, before.frame_indices)
    assert after.meta["options"]["start"] == 0.3
    assert_told(run(*command, "-o", target, "--relift", "--start", "0.2"), "--start 0.3, not")


@pytest.mark.parametrize(
    "command",
    [
        ("infer", "a.mp4", "--people", "99999999999999999999"),
        ("infer", "a.mp4", "--people", "9" * 5000),
        ("infer", "a.mp4", "--people", "-1"),
        ("infer", "a.mp4", "--start", "nan"),
        ("infer", "a.mp4", "--end", "1e999"),
        ("infer", "a.mp4", "--focal-px", "inf"),
        ("infer", "a.mp4", "--height-cm", "1" * 400 + "=180"),
        ("infer", "a.mp4", "--world", "--horizon", "1e300"),
        ("infer", "a.mp4", "--width", "99999999999"),
        ("infer", "a.mp4", "--jobs", "99999999999999999999"),
        ("lift", "a.json", "--fps", "nan"),
        ("lift", "a.json", "--size", "9" * 400 + "x9"),
        ("profile", "--frames", "0"),
        ("prepare", "synthetic", "--seconds", "1e12"),
        ("prepare", "synthetic", "--seed", "-1"),
        ("train", "--dataset", "synthetic", "--depth", "99999999999999999999"),
        ("train", "--dataset", "synthetic", "--seed", "99999999999999999999"),
        ("train", "--dataset", "synthetic", "--lr", "nan"),
        ("paper", "table1", "--fraction", "2"),
        ("view", "a.npz", "--every", "99999999999999999999"),
        ("plot", "a.npz", "--offset", "inf"),
    ],
    ids=lambda command: " ".join(command)[:40],
)
def test_numbers_that_make_no_sense(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.json").write_text("[]")
    make_clip(Path("a.mp4"))
    result = run(*command)
    assert result.exit_code == 2, result.output
    option = next(part for part in command[::-1] if part.startswith("--"))
    assert option in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr) < 1000
