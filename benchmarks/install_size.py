"""Size and duration of an installation with `pip install .` and with `make`.

    python benchmarks/install_size.py [REVISION ...] [--python PYTHON] [--folder FOLDER]

Every revision of this checkout, by default HEAD, is cloned to a temporary folder and installed
there in new virtual environments, one after the other: `plain` is `pip install .`, `make` is `make
.venv/ready`. Each is deleted before the next. Units: MB (10^6 bytes) of the files in the
environment; wall time and CPU time in seconds. Wall time depends on the speed of the package index,
and on pip's cache. `gpu` is the part that only an NVIDIA GPU needs: packages whose names begin with
nvidia or cuda, and triton. It excludes PyTorch's own package, although its GPU build is larger,
too.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from common import ROOT, argument_parser, markdown_table, run_script

from vidpose.errors import VidposeError

GPU = ("nvidia", "cuda", "triton")
WAYS = {
    "plain": ("{python} -m venv .venv", ".venv/bin/python -m pip install ."),
    "make": ("make PYTHON={python} .venv/ready",),
}


@dataclass(frozen=True, kw_only=True)
class Installation:
    """Size and duration of one installation."""

    packages: int
    total_mb: float
    gpu_mb: float
    wall_s: float
    cpu_s: float


def run(command: list[str], folder: Path) -> None:
    """Run a command to completion.

    Raises:
        VidposeError: it failed.
    """
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise VidposeError(f"`{' '.join(command)}` failed:\n{done.stdout}{done.stderr}")


def size_mb(folder: Path) -> float:
    """MB of all files below a folder, without symlinks."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files) / 1e6


def measure(environment: Path) -> tuple[int, float, float]:
    """(number of packages, MB of the environment, MB of its GPU libraries)."""
    site = next(environment.glob("lib/python*/site-packages"))
    gpu = [path for path in site.iterdir() if path.is_dir() and path.name.startswith(GPU)]
    packages = sum(1 for _ in site.glob("*.dist-info"))
    return packages, size_mb(environment), sum(map(size_mb, gpu))


def install(revision: str, way: str, python: str, folder: Path) -> Installation:
    """Install a revision in an empty folder.

    Raises:
        VidposeError: there is no such revision, or it cannot be installed.
    """
    run(["git", "clone", "--quiet", str(ROOT), str(folder)], ROOT)
    run(["git", "checkout", "--quiet", revision], folder)
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    for command in WAYS[way]:
        run(command.format(python=python).split(), folder)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    packages, total, gpu = measure(folder / ".venv")
    return Installation(
        packages=packages,
        total_mb=total,
        gpu_mb=gpu,
        wall_s=wall,
        cpu_s=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    )


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("revisions", nargs="*", default=["HEAD"], metavar="REVISION")
    parser.add_argument("--python", default=sys.executable, help="makes the environments")
    parser.add_argument("--folder", type=Path, help="where there is room for 8 GB")
    given = parser.parse_args()
    rows = []
    for revision in given.revisions:
        for way in WAYS:
            with tempfile.TemporaryDirectory(dir=given.folder) as folder:
                found = install(revision, way, given.python, Path(folder) / "vidpose")
            sizes = (f"{found.total_mb:,.0f}", f"{found.gpu_mb:,.0f}")
            times = (f"{found.wall_s:.0f}", f"{found.cpu_s:.0f}")
            rows.append((revision, way, str(found.packages), *sizes, *times))
            print(*rows[-1], file=sys.stderr, flush=True)
    header = ("revision", "method", "packages", "MB", "GPU part, MB", "wall, s", "CPU, s")
    print(markdown_table(header, rows))


if __name__ == "__main__":
    run_script(main)
