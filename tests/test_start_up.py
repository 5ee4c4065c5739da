"""Commands import no heavy package that they do not use."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.results import make_result
from vidpose.poses import save

NEVER = (
    *("scipy.stats", "scipy.signal", "scipy.interpolate", "torch._dynamo", "torchvision"),
    "matplotlib",
)


def imported(code: str, names: tuple[str, ...], *arguments: str | Path) -> list[str]:
    """Which of these modules are imported after Python has run this code."""
    at_exit = f"lambda: print([name for name in {names!r} if name in sys.modules])"
    code = f"import atexit, sys; atexit.register({at_exit}); {code}"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" not in run.stderr, run.stderr
    found = run.stdout.splitlines()[-1]
    return [name for name in names if repr(name) in found]


COMMAND = "from vidpose.cli import main; main()"


@pytest.mark.parametrize("code", ["import vidpose", "import sys; sys.argv[1:] = ['--help']"])
def test_help_and_the_package_import_nothing_heavy(code: str) -> None:
    large = ("numpy", "torch", "scipy", "cv2", "av", "onnxruntime", *NEVER)
    run = code if code == "import vidpose" else f"{code}; {COMMAND}"
    assert imported(run, large) == []


@pytest.mark.parametrize("command", ["infer", "lift", "render"])
def test_a_wrong_path_is_reported_before_heavy_imports(command: str, tmp_path: Path) -> None:
    large = ("torch", "scipy", "onnxruntime", *NEVER)
    assert imported(COMMAND, large, command, tmp_path / "missing.npz") == []


def test_lifting_imports_only_what_it_uses(tmp_path: Path) -> None:
    save(make_result(people=1), tmp_path / "a.npz")
    arguments = ("lift", tmp_path / "a.npz", "-o", tmp_path / "out")
    assert imported(COMMAND, ("torch", *NEVER), *arguments) == ["torch"]
    assert (tmp_path / "out" / "a.npz").is_file()


def test_inference_imports_only_what_it_uses() -> None:
    code = "import vidpose.pipeline, vidpose.batch.run, vidpose.detect.blazepose"
    assert imported(code, ("scipy.optimize", "scipy.spatial", *NEVER)) == []


def test_drawing_needs_no_pytorch() -> None:
    assert imported("import vidpose.render", ("torch", *NEVER)) == []
