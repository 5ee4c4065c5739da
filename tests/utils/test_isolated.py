"""Files that crash or hang their reader, or exhaust memory."""

import struct
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from tests.datasets.prepare.raw_files import write_cdf
from vidpose.utils import isolated


def mat(path: Path, **changes: int) -> Path:
    """A MATLAB file with a cell array; `at144=14` sets the four bytes from byte 144 on."""
    cell = np.empty((1, 1), object)
    cell[0, 0] = np.zeros((1, 1))
    savemat(path, {"a": cell})
    data = bytearray(path.read_bytes())
    for place, value in changes.items():
        start = int(place.removeprefix("at"))
        data[start : start + 4] = struct.pack("<I", value)
    path.write_bytes(data)
    return path


def pid() -> int:
    return isolated._process().pid


def test_one_process_reads_all_files(tmp_path: Path) -> None:
    first = pid()
    for _ in range(3):
        (found,) = isolated.read("mat", mat(tmp_path / "a.mat"), "a")["a"].ravel()
        np.testing.assert_array_equal(found, [[0]])
    with pytest.raises(KeyError, match="b"):
        isolated.read("mat", tmp_path / "a.mat", "b")
    with pytest.raises(OSError, match="nowhere"):
        isolated.read("mat", tmp_path / "nowhere.mat", "a")
    assert pid() == first


@pytest.mark.parametrize("damage", [{"at144": 14}, {"at224": 0}, {"at220": 5}])
def test_a_file_that_crashes_its_reader(damage: dict[str, int], tmp_path: Path) -> None:
    """Class, size and type of an element that SciPy's C reader does not validate."""
    first = pid()
    with pytest.raises(isolated.UnreadableError, match="its reader crashes on it"):
        isolated.read("mat", mat(tmp_path / "a.mat", **damage), "a")
    assert len(isolated.read("mat", mat(tmp_path / "a.mat"), "a")["a"]) == 1
    assert pid() != first


def test_a_file_that_makes_its_reader_hang(tmp_path: Path) -> None:
    """A CDF list of records whose second record refers to itself as the next."""
    path = write_cdf(tmp_path / "a.cdf", np.zeros((2, 1, 3)))
    assert isolated.read("cdf", path, "Pose")["Pose"].shape == (1, 2, 3)
    data = bytearray(path.read_bytes())
    data[460:468] = struct.pack(">q", 448)
    path.write_bytes(data)
    # A fast machine takes a second to nest so deep that Python ends it.
    with pytest.raises(isolated.UnreadableError, match="reading it takes longer than"):
        isolated.read("cdf", path, "Pose", seconds=0.1)
    assert len(isolated.read("mat", mat(tmp_path / "a.mat"), "a")["a"]) == 1


def test_a_file_that_takes_too_much_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolated, "MEMORY", 1 << 24)
    savemat(tmp_path / "a.mat", {"a": np.zeros((3000, 3000))}, do_compression=True)
    limited = sys.platform == "linux"  # other systems have no such limit
    with pytest.raises(isolated.UnreadableError) if limited else nullcontext():
        isolated.read("mat", tmp_path / "a.mat", "a")


def test_the_process_ends_with_this_one(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from vidpose.utils import isolated; "
        "isolated.read('mat', Path(sys.argv[1]), 'a'); print(isolated._running.pid)"
    )
    command = [sys.executable, "-W", "error", "-c", script, str(mat(tmp_path / "a.mat"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert not Path("/proc", done.stdout.strip()).exists()
