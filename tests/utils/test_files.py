import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vidpose.errors import VidposeError
from vidpose.utils.files import check_writable, replacing, sha256


def test_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.txt"
    with replacing(target) as temporary:
        temporary.write_text("hello")
        assert not target.exists()
        assert temporary.suffix == ".txt"
    assert target.read_text() == "hello"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_what_was_there(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(error), replacing(target) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_names_of_any_length_and_readable_by_all(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 250 + ".npz")
    with replacing(target) as temporary:
        temporary.touch(mode=0o600)
    (tmp_path / "ordinary").touch()
    assert target.stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_the_umask_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The umask is per process, so changing it would affect files of other threads."""
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the umask was set"))
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("hello")
    assert (tmp_path / "a.txt").read_text() == "hello"


def test_checking_makes_nothing(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "folder" / "a.npz")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(VidposeError, match="a file, not a folder"):
        check_writable(tmp_path / "file" / "deep" / "a.npz")
    with pytest.raises(VidposeError, match="it is a folder"):
        check_writable(tmp_path)


def test_a_full_disk_is_told_in_a_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(VidposeError, match=r"a\.txt cannot be written: the disk is full"),
        replacing(tmp_path / "a.txt"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(VidposeError, match="a file, not a folder"),
        replacing(tmp_path / "file" / "a.txt") as temporary,
    ):
        temporary.write_text("x")


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    assert sha256(tmp_path / "a") == hashlib.sha256(b"x" * 3_000_000).hexdigest()


def test_what_a_killed_process_has_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with replacing(target) as temporary:
        temporary.write_text("half")
    machine, own, *end = temporary.name.removeprefix(".").split("-")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / f".{machine}-{dead.pid}-{'-'.join(end)}"
    others = [
        tmp_path / f".{machine}-{os.getppid()}-{'-'.join(end)}",  # at work
        tmp_path / f".{machine}-{dead.pid}-{end[0]}-0{end[1][1:]}",  # of another file
        tmp_path / f".00000000-{dead.pid}-{'-'.join(end)}",  # of another machine
    ]
    for path in (left, *others):
        path.write_text("half")
    link = tmp_path / f".{machine}-{dead.pid}-{end[0][::-1]}-{end[1]}"
    link.symlink_to(left)
    with replacing(target) as temporary:
        temporary.write_text("whole")
    assert int(own) == os.getpid()
    assert not left.exists()
    assert link.is_symlink()
    assert all(path.exists() for path in others)
