from __future__ import annotations

import io
import re
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.clips import cut
from tests.datasets.prepare.raw_files import walk, write_cdf, write_h5, write_mat
from vidpose.datasets.prepare import raw
from vidpose.errors import DataError, MissingDependencyError

READERS: dict[str, Callable[[Path], object]] = {
    "cdf": lambda path: raw.read_cdf(path, "Pose"),
    "h5": lambda path: raw.read_hdf5(path, "3D_positions"),
    "mat": lambda path: raw.read_mat(path, "Pose"),
    "mat73": lambda path: raw.read_mat(path, "Pose"),
}
MEMBER = re.compile(r"(?:^|/)(S\d)/(poses)/([a-z]+\.txt)$")


@pytest.mark.parametrize("v73", [False, True])
def test_mat_keeps_matlabs_axes_and_cells(v73: bool, tmp_path: Path) -> None:
    array = np.arange(24.0).reshape(2, 3, 4)
    cells = [np.arange(6.0).reshape(2, 3), np.ones((1, 5))]
    path = write_mat(tmp_path / "a.mat", v73, array=array, cells=cells, other=np.zeros((1, 1)))
    found = raw.read_mat(path, "array", "cells")
    assert set(found) == {"array", "cells"}
    np.testing.assert_array_equal(found["array"], array)
    assert found["cells"].shape == (2, 1)
    for read, written in zip(found["cells"].ravel(), cells, strict=True):
        np.testing.assert_array_equal(read, written)


def test_whole_numbers_that_matlab_saves_small_are_floats(tmp_path: Path) -> None:
    """A double array saved as bytes: class double (6) in a file that holds int8."""
    path = write_mat(tmp_path / "a.mat", a=np.arange(6, dtype=np.int8).reshape(2, 3))
    data = bytearray(path.read_bytes())
    assert data[144] == 8  # after header, matrix tag and flags' tag: the array's class, int8
    data[144] = 6
    path.write_bytes(data)
    found = raw.read_mat(path, "a")["a"]
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, np.arange(6).reshape(2, 3))


@pytest.mark.parametrize("v73", [False, True])
def test_mat_without_the_variable(v73: bool, tmp_path: Path) -> None:
    path = write_mat(tmp_path / "a.mat", v73, other=np.zeros((2, 2)))
    with pytest.raises(DataError, match=r"a\.mat has no variable annot2"):
        raw.read_mat(path, "annot2")


@pytest.mark.parametrize("part", [0, 0.3, 0.9])
@pytest.mark.parametrize("form", ["mat", "mat73", "h5", "cdf"])
def test_a_truncated_file_is_named(form: str, part: float, tmp_path: Path) -> None:
    poses = walk(40, 32)
    path = tmp_path / f"a.{form}"
    if form == "cdf":
        cut(write_cdf(path, poses), part)
    elif form == "h5":
        cut(write_h5(path, poses), part)
    else:
        cut(write_mat(path, form == "mat73", Pose=poses), part)
    with pytest.raises(DataError, match=rf"a\.{form} cannot be read as .*download it again"):
        READERS[form](path)


def test_hdf5_cannot_point_into_other_files(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["a"] = np.arange(3.0)
    (tmp_path / "secret.bin").write_bytes(bytes(24))
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource(tmp_path / "secret.h5", "a", (3,))
    with h5py.File(tmp_path / "trap.h5", "w") as file:
        file["link"] = h5py.ExternalLink("secret.h5", "a")
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("stored", (3,), "f8", external=[(str(tmp_path / "secret.bin"), 0, 24)])
        file.create_group("group")
        file.create_dataset("vast", (1 << 20, 1 << 20), "f8", chunks=(1, 1024))
    for name in ("link", "virtual", "stored", "group", "vast"):
        with pytest.raises(DataError, match=rf"trap\.h5 cannot be read .*{name}"):
            raw.read_hdf5(tmp_path / "trap.h5", name)


@pytest.mark.parametrize(
    ("package", "form"), [("cdflib", "cdf"), ("h5py", "h5"), ("h5py", "mat73")]
)
def test_a_missing_package_is_named_with_its_line(
    package: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_mat(tmp_path / "a.mat", v73=True, a=np.zeros((2, 2)))
    monkeypatch.setitem(sys.modules, package, None)
    line = rf"{package} reads; it is not installed: pip install -e '\.\[datasets\]'"
    with pytest.raises(MissingDependencyError, match=line):
        READERS[form](path)


def write_archive(path: Path, members: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as zipped:
            for name, data in members.items():
                zipped.writestr(name, data)
        return path
    with tarfile.open(path, "w:gz") as tarred:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tarred.addfile(info, io.BytesIO(data))
        link = tarfile.TarInfo("S1/poses/link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tarred.addfile(link)
    return path


@pytest.mark.parametrize("name", ["a.tgz", "a.tar.gz", "a.zip"])
def test_archives_give_what_is_wanted_and_never_leave_their_folder(
    name: str, tmp_path: Path
) -> None:
    members = {
        "h36m/S1/poses/good.txt": b"good",
        "S2/poses/also.txt": b"also",
        "../../S3/poses/out.txt": b"outside",
        "/S4/poses/root.txt": b"outside",
        "S1/poses/../../up.txt": b"outside",
        "S1/other/no.txt": b"other",
    }
    archive = write_archive(tmp_path / name, members)
    folder = tmp_path / "deep" / "folder"
    raw.unpack(archive, folder, MEMBER)
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {
        *("S1/poses/good.txt", "S2/poses/also.txt", "S3/poses/out.txt", "S4/poses/root.txt")
    }
    assert (folder / "S1/poses/good.txt").read_bytes() == b"good"
    assert {path.name for path in tmp_path.iterdir()} == {name, "deep"}


def test_archives_that_are_damaged_or_vast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.tgz", "a.zip"):
        noise = np.random.default_rng(0).bytes(5000)
        archive = write_archive(tmp_path / name, {"S1/poses/a.txt": noise})
        monkeypatch.setattr(raw, "LARGEST_MEMBER", 100)
        with pytest.raises(DataError, match=r"S1/poses/a\.txt has 5,000 bytes"):
            raw.unpack(archive, tmp_path / "out", MEMBER)
        monkeypatch.undo()
        with pytest.raises(DataError, match=r"cannot be read as a (zip|tar) archive"):
            raw.unpack(cut(archive), tmp_path / "out", MEMBER)


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (np.zeros((3, 93)), r"of shape \(3, 93\); expected \(frames, 96\).* 32 joints"),
        (np.zeros((0, 96)), r"of shape \(0, 96\)"),
        (np.zeros(96), r"of shape \(96,\)"),
        (np.zeros((3, 96), int), r"values of type int64"),
    ],
)
def test_arrays_of_another_shape_or_type(array: np.ndarray, complaint: str) -> None:
    with pytest.raises(DataError, match=rf"^a\.cdf has .*{complaint}"):
        raw.joints(array, 32, 3, Path("a.cdf"))


def test_invalid_sources(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere is not a folder"):
        raw.check_source(tmp_path / "nowhere")
    with pytest.raises(DataError, match="is empty"):
        raw.check_source(tmp_path)
