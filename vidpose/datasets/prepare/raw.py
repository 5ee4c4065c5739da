"""The formats that raw downloads come in: CDF, HDF5, MATLAB's two kinds, and archives of them.

Whatever is wrong with a file is a `DataError` that names it. Nothing in a file is executed, no file
leads to another one, and no name in an archive becomes a path.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from vidpose.errors import DataError, MissingDependencyError
from vidpose.utils import isolated
from vidpose.utils.files import writing
from vidpose.utils.formats import is_hdf5
from vidpose.utils.outside import reading

INSTALL = "pip install -e '.[datasets]'"
LARGEST = 1e6
"""Millimetres or pixels: nobody is filmed from so far away, or is so far outside the picture."""
LARGEST_MEMBER = 1 << 28
"""Bytes: no pose file in an archive is so large once it is unpacked."""
TAR_NAMES = (".tgz", ".tar.gz", ".tar")

Tracks = dict[tuple[str, str], list[NDArray[np.float32]]]
"""By subject and take, what each camera sees: (N, J, 2) pixels, on all frames of its video."""
Positions = dict[str, dict[str, list[NDArray[np.float32]]]]
"""By subject and action, what each camera sees: (N, J, 2) pixels, on the annotated frames."""


def check_source(source: Path) -> None:
    """See that the folder of the raw download is there and has something in it.

    Raises:
        DataError: it has not.
    """
    if not source.is_dir():
        raise DataError(f"{source} is not a folder; give the folder of the raw download.")
    if next(source.iterdir(), None) is None:
        raise DataError(f"{source} is empty; give the folder of the raw download.")


def files_below(source: Path, *suffixes: str) -> list[Path]:
    """All files below a folder whose names end so, sorted; hidden ones are left out."""
    return sorted(
        path
        for path in source.rglob("*")
        if path.name.lower().endswith(suffixes) and path.is_file() and path.name[0] != "."
    )


def videos_below(
    source: Path, pattern: re.Pattern[str], cameras: Sequence[str]
) -> dict[tuple[str, str], dict[str, Path]]:
    """By subject and take, the videos of the cameras.

    Args:
        source: folder with the videos anywhere below it.
        pattern: of a video's path; its groups are subject, take and camera.
        cameras: those that are wanted.
    """
    takes: dict[tuple[str, str], dict[str, Path]] = {}
    for path in files_below(source.resolve(), ".mp4", ".avi"):
        match = pattern.search(path.as_posix())
        if match is not None and match[3] in cameras:
            takes.setdefault((match[1], match[2]), {}).setdefault(match[3], path)
    return takes


def with_cameras(
    source: Path, takes: dict[tuple[str, str], dict[str, Path]], cameras: Sequence[str]
) -> dict[tuple[str, str], dict[str, Path]]:
    """The same, sorted, the cameras in their order.

    Raises:
        DataError: a take has no video of one of the cameras.
    """
    missing = [
        f"{subject} {take} has no camera {camera}"
        for (subject, take), seen in sorted(takes.items())
        for camera in cameras
        if camera not in seen
    ]
    if missing:
        raise DataError(f"{source} lacks videos: {listed(missing)}.")
    return {
        take: {camera: seen[camera] for camera in cameras} for take, seen in sorted(takes.items())
    }


def read_cdf(path: Path, name: str) -> NDArray[Any]:
    """A variable of a CDF file, with all its records.

    Raises:
        DataError: the file is damaged or has no such variable.
        MissingDependencyError: cdflib is not installed.
    """
    _need("cdflib", f"{path} is a CDF file")
    with damaged(path, "a CDF file", [name]):
        return np.asarray(isolated.read("cdf", path, name)[name])


def read_hdf5(path: Path, name: str) -> NDArray[Any]:
    """A dataset of an HDF5 file, its axes as they are stored.

    Raises:
        DataError: the file is damaged or has no such dataset.
        MissingDependencyError: h5py is not installed.
    """
    _need("h5py", f"{path} is an HDF5 file")
    with damaged(path, "an HDF5 file", [name]):
        return np.asarray(isolated.read("hdf5", path, name)[name])


def read_mat(path: Path, *names: str) -> dict[str, NDArray[Any]]:
    """Variables of a MATLAB file, of version 7.3 or before, their axes in MATLAB's order.

    A cell array becomes an array of objects, each of them an array.

    Raises:
        DataError: the file is damaged or lacks a variable.
        MissingDependencyError: it is of version 7.3 and h5py is not installed.
    """
    with damaged(path, "a MATLAB file"):
        newer = is_hdf5(str(path))
    if not newer:
        with damaged(path, "a MATLAB file", names):
            return isolated.read("mat", path, *names)
    _need("h5py", f"{path} is a MATLAB 7.3 file")
    with damaged(path, "a MATLAB 7.3 file", names):
        return isolated.read("mat73", path, *names)


@contextmanager
def damaged(path: Path, kind: str, names: Sequence[str] = ()) -> Iterator[None]:
    """Turn whatever a reader raises on a damaged file, or one without `names`, into a sentence.

    Raises:
        DataError: instead.
    """
    with reading(path, DataError, f"cannot be read as {kind}", "download it again"):
        try:
            yield
        except KeyError as error:
            missing = str(error.args[0])[:60]
            if missing not in names:
                raise
            raise DataError(
                f"{path} has no variable {missing}; see whether it is the right file."
            ) from None


def _need(package: str, why: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise MissingDependencyError(
            f"{why}, which {package} reads; it is not installed: {INSTALL}"
        )


def joints(array: NDArray[Any], count: int, dimensions: int, path: Path) -> NDArray[Any]:
    """(..., count * dimensions) -> (frames, count, dimensions).

    Raises:
        DataError: the array has another shape, no frame, or is not of floating-point numbers.
    """
    array = np.asarray(array)
    width = count * dimensions
    if array.ndim < 2 or array.shape[-1] != width or not array.size:
        raise DataError(
            f"{path} has an array of shape {array.shape}; expected (frames, {width}), the "
            f"{dimensions} coordinates of {count} joints."
        )
    return floating(array.reshape(-1, count, dimensions), path)


def floating(array: NDArray[Any], path: Path) -> NDArray[Any]:
    """The array itself.

    Raises:
        DataError: its values are not floating-point numbers.
    """
    if not np.issubdtype(array.dtype, np.floating):
        raise DataError(f"{path} has values of type {array.dtype}; expected floating point.")
    return array


def sound(array: NDArray[Any], path: Path) -> NDArray[Any]:
    """The array itself.

    Raises:
        DataError: a value is not a number, or no pixels or millimetres.
    """
    bad = ~(np.abs(array) <= LARGEST)
    if bad.any():
        frame = int(np.argwhere(bad)[0, 0])
        raise DataError(f"{path} has {array[bad][0]:g} in frame {frame}, which is no coordinate.")
    return array


def unpack(archive: Path, folder: Path, wanted: re.Pattern[str]) -> None:
    """Take the files out of a tar or zip archive whose full names match.

    They go to `folder`, under the groups of `wanted` as their path, so that no name in the
    archive is a path by itself.

    Raises:
        DataError: the archive is damaged, or a file in it is far too large.
    """
    kind = "a zip archive" if archive.suffix.lower() == ".zip" else "a tar archive"
    with damaged(archive, kind):
        for name, size, stream in _members(archive):
            match = wanted.search(name)
            if match is None:
                continue
            if size > LARGEST_MEMBER:
                raise ValueError(f"{name} has {size:,} bytes")
            target = folder.joinpath(*match.groups())
            with writing(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                with stream() as source, open(target, "wb") as file:
                    shutil.copyfileobj(source, file)


def _members(archive: Path) -> Iterator[tuple[str, int, Any]]:
    """(name, bytes, what opens it) of the ordinary files in an archive, in its order."""
    if archive.suffix.lower() == ".zip":
        with zipfile.ZipFile(archive) as zipped:
            for info in zipped.infolist():
                if not info.is_dir():
                    yield info.filename, info.file_size, lambda info=info: zipped.open(info)
        return
    with tarfile.open(archive) as tarred:
        for member in tarred:
            if member.isfile():
                yield member.name, member.size, lambda member=member: _member(tarred, member)


def _member(tarred: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    stream = tarred.extractfile(member)
    if stream is None:
        raise ValueError(f"{member.name} cannot be read")
    return stream


def listed(names: Iterable[str], most: int = 6) -> str:
    """`a, b, c and 4 more`."""
    names = list(names)
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
