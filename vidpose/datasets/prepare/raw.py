"""Readers of the raw downloads' formats: CDF, HDF5, both kinds of MATLAB files, and archives.

Any problem with a file raises a `DataError` that names it. Nothing in a file is executed, links to
other files are not followed, and names in an archive are never used as paths.
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
"""Upper bound of coordinates in millimetres or pixels."""
LARGEST_MEMBER = 1 << 28
"""Upper bound of an unpacked pose file's size in bytes."""
TAR_NAMES = (".tgz", ".tar.gz", ".tar")

Tracks = dict[tuple[str, str], list[NDArray[np.float32]]]
"""2D joints per camera, (N, J, 2) pixels, on all frames of its video, by subject and take."""
Positions = dict[str, dict[str, list[NDArray[np.float32]]]]
"""2D joints per camera, (N, J, 2) pixels, on the annotated frames, by subject and action."""


def check_source(source: Path) -> None:
    """Raise DataError if the folder of the raw download does not exist or is empty."""
    if not source.is_dir():
        raise DataError(f"{source} is not a folder; give the folder of the raw download.")
    if next(source.iterdir(), None) is None:
        raise DataError(f"{source} is empty; give the folder of the raw download.")


def files_below(source: Path, *suffixes: str) -> list[Path]:
    """Find all files below a folder with these suffixes, sorted, without hidden ones."""
    return sorted(
        path
        for path in source.rglob("*")
        if path.name.lower().endswith(suffixes) and path.is_file() and path.name[0] != "."
    )


def videos_below(
    source: Path, pattern: re.Pattern[str], cameras: Sequence[str]
) -> dict[tuple[str, str], dict[str, Path]]:
    """Find the cameras' videos by subject and take.

    Args:
        source: folder with the videos anywhere below it.
        pattern: matches a video's path; its groups are subject, take and camera.
        cameras: the cameras to look for.
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
    """Sort takes, and put each take's videos in the order of `cameras`.

    Raises:
        DataError: a take lacks the video of a camera.
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
    """Read a variable of a CDF file, with all its records.

    Raises:
        DataError: the file is damaged or has no such variable.
        MissingDependencyError: cdflib is not installed.
    """
    _need("cdflib", f"{path} is a CDF file")
    with damaged(path, "a CDF file", [name]):
        return np.asarray(isolated.read("cdf", path, name)[name])


def read_hdf5(path: Path, name: str) -> NDArray[Any]:
    """Read a dataset of an HDF5 file, with the axes in stored order.

    Raises:
        DataError: the file is damaged or has no such dataset.
        MissingDependencyError: h5py is not installed.
    """
    _need("h5py", f"{path} is an HDF5 file")
    with damaged(path, "an HDF5 file", [name]):
        return np.asarray(isolated.read("hdf5", path, name)[name])


def read_mat(path: Path, *names: str) -> dict[str, NDArray[Any]]:
    """Read variables of a MATLAB file, version 7.3 or older, with the axes in MATLAB's order.

    A cell array becomes an object array of arrays.

    Raises:
        DataError: the file is damaged or lacks a variable.
        MissingDependencyError: the file has version 7.3 and h5py is not installed.
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
    """Turn any error of a reader, also a missing variable of `names`, into a DataError."""
    with reading(path, DataError, f"cannot be read as {kind}", "download it again"):
        try:
            yield
        except KeyError as error:
            missing = str(error.args[0])[:60]
            if missing not in names:
                raise
            raise DataError(
                f"{path} has no variable {missing}; check that it is the right file."
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
    """Return the array, checked to be of floating-point numbers.

    Raises:
        DataError: it is not.
    """
    if not np.issubdtype(array.dtype, np.floating):
        raise DataError(f"{path} has values of type {array.dtype}; expected floating point.")
    return array


def sound(array: NDArray[Any], path: Path) -> NDArray[Any]:
    """Return the array, checked to be finite and within bounds.

    Raises:
        DataError: a value is not finite, or too large for pixels or millimetres.
    """
    bad = ~(np.abs(array) <= LARGEST)
    if bad.any():
        frame = int(np.argwhere(bad)[0, 0])
        raise DataError(f"{path} has the invalid coordinate {array[bad][0]:g} in frame {frame}.")
    return array


def unpack(archive: Path, folder: Path, wanted: re.Pattern[str]) -> None:
    """Extract the files with matching names from a tar or zip archive.

    They are written to `folder`, with the groups of `wanted` as their path, so that names in the
    archive are never used as paths.

    Raises:
        DataError: the archive is damaged, or a file in it is too large.
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
    """Yield (name, size in bytes, function that opens it) for the regular files of an archive."""
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
    """Format a list like `a, b, c and 4 more`."""
    names = list(names)
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
