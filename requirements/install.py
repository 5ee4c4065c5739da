"""Install vidpose, its tests' tools and its optional parts into the environment that runs this.

    .venv/bin/python requirements/install.py [--no-lock] PART ...      (which `make` calls)

First what the lock files of this Python name, by version and hash, then vidpose itself and whatever
is still missing within the bounds of pyproject.toml: all of it where there is no lock or where a
locked package cannot be had. A file whose hash does not match ends the installation. A part that
cannot be installed is left out; pip's words stay in .venv/missing, where `vidpose doctor` finds
them. Imports only what comes with Python.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
CPU_BUILDS = "https://download.pytorch.org/whl/cpu"
"""PyTorch without 5 GB of GPU libraries. Its versions end in +cpu, which pip takes for newer."""
WHEELS = ("--only-binary", ":all:")
MISMATCH = "DO NOT MATCH THE HASHES"
"""What pip says, in every language, about a file that is not the one that was locked."""
TAMPERED = """\
A downloaded file is not the one that was locked, and was not installed: it was changed on its way,
or this package index has builds of its own. If you trust the index, add LOCK=no to make."""

Pip = Callable[[Sequence[str]], "tuple[bool, str]"]
"""Arguments of `pip install` -> whether it went well, and what pip said."""


def pip_install(arguments: Sequence[str]) -> tuple[bool, str]:
    """Run `pip install` in this environment."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*command, *arguments],
        cwd=HERE.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    return done.returncode == 0, done.stdout


def cpu_builds() -> str:
    """The index with PyTorch's builds for the CPU, where they fit and can be reached, or ""."""
    if not sys.platform.startswith("linux"):
        return ""  # elsewhere PyTorch on PyPI is that build
    try:
        if not subprocess.run(["nvidia-smi", "-L"], capture_output=True, timeout=20).returncode:
            return ""
    except (OSError, subprocess.TimeoutExpired):
        pass  # no NVIDIA GPU that could be used
    ask = f"import urllib.request as r; r.urlopen('{CPU_BUILDS}/torch/')"
    try:
        # A process, because looking up the name alone may take longer than any timeout of urllib.
        subprocess.run([sys.executable, "-c", ask], check=True, capture_output=True, timeout=2)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return ""
    return CPU_BUILDS


def stop_if_changed(said: str) -> None:
    """End the installation if pip met a file that is not the one that was locked.

    Raises:
        SystemExit: it did.
    """
    if MISMATCH in said:
        raise SystemExit(f"{said}\n{TAMPERED}")


def pins(lock: Path) -> list[str]:
    """`torch==...` and `torchvision==...` of a lock file."""
    words = (line.split() for line in lock.read_text("utf-8").splitlines())
    return [one[0] for one in words if one and one[0].startswith(("torch==", "torchvision=="))]


def install_locked(pip: Pip, folder: Path, python: str, builds: str) -> str:
    """Install what is locked for this Python.

    Args:
        pip: installs; `pip_install`.
        folder: where the lock files lie.
        python: such as 3.11.
        builds: index of PyTorch's builds for the CPU, or "".

    Returns:
        Why that was not possible; "" if all of it is installed.

    Raises:
        SystemExit: a file's hash does not match.
    """
    stem = f"py{python.replace('.', '')}"
    lock, torch = folder / f"{stem}.txt", folder / f"{stem}-torch.txt"
    if not lock.is_file() or not torch.is_file():
        return f"There is no lock file for Python {python}"
    hashed = ("--require-hashes", *WHEELS, "--requirement")
    good, said = pip([*hashed, str(lock)])
    stop_if_changed(said)
    # Builds for the CPU have other hashes, which no index that everybody reaches says. They come
    # last and alone, so that nothing else is taken from there.
    if good and builds and pip(["--index-url", builds, "--no-deps", *WHEELS, *pins(torch)])[0]:
        return ""
    if good:
        good, said = pip([*hashed, str(torch)])
        stop_if_changed(said)
    if good:
        return ""
    lines = [line for line in said.splitlines() if line.startswith("ERROR")] or ["pip failed"]
    return f"What is locked for Python {python} cannot be had here ({lines[-1]})"


def install(pip: Pip, parts: Sequence[str], *, missing: Path, builds: str, locked: bool) -> None:
    """Install vidpose with what is still missing, then every part on its own.

    Args:
        pip: installs; `pip_install`.
        parts: extras of pyproject.toml.
        missing: folder for pip's words about parts that could not be installed; made anew.
        builds: index of PyTorch's builds for the CPU, or "".
        locked: the lock files are installed: what builds vidpose is there already.

    Raises:
        SystemExit: vidpose itself could not be installed, or a file's hash does not match.
    """
    shutil.rmtree(missing, ignore_errors=True)
    missing.mkdir(parents=True)
    ready = ["--no-build-isolation"] if locked else []
    index = ["--extra-index-url", builds] if builds else []
    good, said = pip([*ready, *index, "--editable", ".[dev]"])
    if not good:
        raise SystemExit(said)
    for part in parts:
        good, said = pip([*ready, *WHEELS, "--editable", f".[{part}]"])
        if good and part == "mmpose":
            good, said = pip(["--no-deps", "--requirement", "vidpose/detect/mmpose.txt"])
            if locked:
                stop_if_changed(said)
        if not good:
            (missing / f"{part}.log").write_text(said, encoding="utf-8")
            doctor = ".venv/bin/vidpose doctor"
            print(f"{part} could not be installed; all else goes on. {doctor} says why.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--no-lock", action="store_true", help="only pyproject.toml's bounds")
    given = parser.parse_args()
    builds = cpu_builds()
    for_cpu = " for the CPU" if builds else ""
    print(f"Setting up .venv (a few minutes; PyTorch{for_cpu}, MMPose) ...", flush=True)
    why = "No lock file is used, as was asked for"
    if not given.no_lock:
        why = install_locked(pip_install, HERE, "{}.{}".format(*sys.version_info), builds)
    if why:
        print(f"{why}; installing the newest that pyproject.toml admits.", flush=True)
    missing = Path(sys.prefix, "missing")
    install(pip_install, given.parts, missing=missing, builds=builds, locked=not why)


if __name__ == "__main__":
    main()
