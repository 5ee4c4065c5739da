"""What `make` does with the lock files: offline, with a stand-in for pip."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

Script = Callable[[str], Any]

BUILDS = "https://cpu.example/whl"
NOT_THERE = "ERROR: Could not find a version\nERROR: No matching distribution found for av==18.1.0"
CHANGED = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE."


class Pip:
    """Notes what it is asked for; answers for the first of `says` that is in the arguments."""

    def __init__(self, **says: str) -> None:
        self.says = says
        self.calls = list[str]()

    def __call__(self, arguments: Sequence[str]) -> tuple[bool, str]:
        self.calls.append(" ".join(arguments))
        words = [text for key, text in self.says.items() if key in self.calls[-1]]
        return not words, words[0] if words else ""


@pytest.fixture
def install(script: Script) -> Any:
    return script("install")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "py311.txt").write_text("av==18.1.0 \\\n    --hash=sha256:aa\n", encoding="utf-8")
    pair = "torch==2.14.1 \\\n    --hash=sha256:bb\ntorchvision==0.29.1 \\\n    --hash=sha256:cc\n"
    text = f"# Made\n{pair}torch-x==1 \\\n    --hash=sha256:dd\n"
    (tmp_path / "py311-torch.txt").write_text(text, encoding="utf-8")
    return tmp_path


def hashed(path: Path) -> str:
    return f"--require-hashes --only-binary :all: --requirement {path}"


def test_both_locks_are_installed_by_their_hashes(install: Any, folder: Path) -> None:
    pip = Pip()
    assert install.install_locked(pip, folder, "3.11", "") == ""
    assert pip.calls == [hashed(folder / "py311.txt"), hashed(folder / "py311-torch.txt")]


def test_pytorch_for_the_cpu_comes_last_alone_and_in_the_locked_version(
    install: Any, folder: Path
) -> None:
    pip = Pip()
    assert install.install_locked(pip, folder, "3.11", BUILDS) == ""
    assert pip.calls == [
        hashed(folder / "py311.txt"),
        f"--index-url {BUILDS} --no-deps --only-binary :all: torch==2.14.1 torchvision==0.29.1",
    ]


def test_without_that_build_pytorch_is_the_locked_one(install: Any, folder: Path) -> None:
    pip = Pip(**{"--index-url": NOT_THERE})
    assert install.install_locked(pip, folder, "3.11", BUILDS) == ""
    assert pip.calls[-1] == hashed(folder / "py311-torch.txt")


@pytest.mark.parametrize("lock", ["py311.txt", "py311-torch.txt"])
def test_a_package_that_cannot_be_had_gives_the_lock_up_in_one_sentence(
    install: Any, folder: Path, lock: str
) -> None:
    why = install.install_locked(Pip(**{lock: NOT_THERE}), folder, "3.11", "")
    assert why == (
        "What is locked for Python 3.11 cannot be had here "
        "(ERROR: No matching distribution found for av==18.1.0)"
    )


def test_a_python_without_locks_is_named(install: Any, folder: Path) -> None:
    pip = Pip()
    why = install.install_locked(pip, folder, "3.15", "")
    assert why == "There is no lock file for Python 3.15"
    assert not pip.calls


@pytest.mark.parametrize("lock", ["py311.txt", "py311-torch.txt"])
def test_a_changed_file_ends_the_installation(install: Any, folder: Path, lock: str) -> None:
    with pytest.raises(SystemExit) as error:
        install.install_locked(Pip(**{lock: CHANGED}), folder, "3.11", "")
    assert CHANGED in str(error.value)
    assert "LOCK=no" in str(error.value)


def test_a_part_that_fails_leaves_its_words_and_the_others_go_on(
    install: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing"
    missing.mkdir()
    (missing / "ray.log").write_text("of the last time", encoding="utf-8")
    pip = Pip(**{"[c3d]": NOT_THERE, "mmpose.txt": NOT_THERE})
    parts = ["c3d", "ray", "mmpose"]
    install.install(pip, parts, missing=missing, builds="", locked=True)
    assert {path.name: path.read_text("utf-8") for path in missing.iterdir()} == {
        "c3d.log": NOT_THERE,
        "mmpose.log": NOT_THERE,
    }
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said] == ["c3d", "mmpose"]
    assert pip.calls[0] == "--no-build-isolation --editable .[dev]"
    assert pip.calls[-1] == "--no-deps --requirement vidpose/detect/mmpose.txt"


def test_a_changed_file_of_mmpose_ends_the_installation(install: Any, tmp_path: Path) -> None:
    pip, missing = Pip(**{"mmpose.txt": CHANGED}), tmp_path / "missing"
    with pytest.raises(SystemExit, match="was not installed"):
        install.install(pip, ["mmpose", "ray"], missing=missing, builds="", locked=True)


def test_without_a_lock_the_bounds_decide_as_ever(install: Any, tmp_path: Path) -> None:
    pip = Pip()
    install.install(pip, ["ray"], missing=tmp_path / "new", builds=BUILDS, locked=False)
    assert pip.calls == [
        f"--extra-index-url {BUILDS} --editable .[dev]",
        "--only-binary :all: --editable .[ray]",
    ]
    with pytest.raises(SystemExit, match="No matching distribution"):
        install.install(
            Pip(editable=NOT_THERE), [], missing=tmp_path / "new", builds="", locked=False
        )


def test_pip_itself_calls_a_changed_file_so(script: Script, tmp_path: Path) -> None:
    """The words that `MISMATCH` waits for are this pip's."""
    wheel = tmp_path / "changed-1-py3-none-any.whl"
    wheel.write_bytes(b"something else")
    lock = tmp_path / "lock.txt"
    lock.write_text(f"changed==1 --hash=sha256:{'0' * 64}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "install", "--no-index", "--isolated", "--no-deps"]
    command += ["--find-links", str(tmp_path), "--target", str(tmp_path / "out")]
    done = subprocess.run(
        [*command, "--require-hashes", "--requirement", str(lock)], capture_output=True, text=True
    )
    assert done.returncode
    assert script("install").MISMATCH in done.stderr
