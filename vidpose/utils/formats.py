"""Readers of binary formats that use C libraries, which damaged files can crash or hang.

They run in a separate process, which runs `serve`; `vidpose.utils.isolated` is its client. Readers
return plain arrays by name, and MATLAB cell arrays as `Cells`. They execute nothing in a file, and
do not follow references to other files.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import sys
import warnings
from collections.abc import Callable
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
MATLAB_PREAMBLE = 512
"""Bytes before the HDF5 part of a MATLAB 7.3 file."""
MOST_VALUES = 1 << 28
"""More than any array of the datasets has; a file that claims more is damaged or hostile."""
MOST_CELLS = 10_000
PLAIN = "biufcSU"
"""Dtype kinds that may leave this process: booleans, numbers, text."""


class Cells(NamedTuple):
    """A MATLAB cell array: items in C order, and the shape."""

    items: list[Any]
    shape: tuple[int, ...]


Values = dict[str, Any]


def is_hdf5(path: str) -> bool:
    """Whether a file is HDF5, or a MATLAB file of version 7.3."""
    with open(path, "rb") as stream:
        start = stream.read(MATLAB_PREAMBLE + len(HDF5_SIGNATURE))
    return HDF5_SIGNATURE in (start[: len(HDF5_SIGNATURE)], start[MATLAB_PREAMBLE:])


def read_mat(path: str, names: list[str]) -> Values:
    """Read variables of a MATLAB file of a version before 7.3."""
    from scipy.io import loadmat

    # MATLAB stores numbers in smaller types; mat_dtype restores the original ones.
    found = loadmat(path, variable_names=names, mat_dtype=True)
    return {name: _cells(np.asarray(found[name])) for name in names}


def _cells(value: NDArray[Any]) -> Any:
    if value.dtype != object:
        return value
    return Cells([np.asarray(item) for item in value.flat], value.shape)


def read_mat73(path: str, names: list[str]) -> Values:
    """Read variables of a MATLAB 7.3 file: HDF5 with reversed axes, and references as cells."""
    import h5py

    with h5py.File(path, "r") as file:
        return {name: _mat73_value(file, name) for name in names}


def _mat73_value(file: Any, name: str) -> Any:
    import h5py

    stored = _hdf5_array(file, name)
    if stored.dtype != h5py.ref_dtype:
        return stored[()].T
    if stored.size > MOST_CELLS:
        raise ValueError(f"{name} claims to have {stored.size:,} cells")
    value = stored[()].T
    items = [_hdf5_array(file, file[reference].name)[()].T for reference in value.flat]
    return Cells(items, value.shape)


def read_hdf5(path: str, names: list[str]) -> Values:
    """Read datasets of an HDF5 file, with axes as stored."""
    import h5py

    with h5py.File(path, "r") as file:
        return {name: _hdf5_array(file, name)[()] for name in names}


def _hdf5_array(file: Any, name: str) -> Any:
    """A dataset stored in this file, since HDF5 can also refer to other files."""
    import h5py

    if name not in file:
        raise KeyError(name)
    array = file[name]
    if not isinstance(array, h5py.Dataset) or array.external or array.is_virtual:
        raise ValueError(f"{name} is not an array of this file")
    if array.file.filename != file.filename:
        raise ValueError(f"{name} is in another file")
    if array.size > MOST_VALUES:
        raise ValueError(f"{name} claims to have {array.size:,} values")
    return array


def read_cdf(path: str, names: list[str]) -> Values:
    """Read variables of a CDF file, with all records."""
    import cdflib

    file = cdflib.CDF(path)
    return {name: np.asarray(file.varget(name)) for name in names}


def read_c3d(path: str, names: list[str]) -> Values:
    """Read a C3D file: points (3, N, T), residuals (1, N, T), labels, unit, rate, first."""
    import ezc3d

    file = ezc3d.c3d(path)
    about: dict[str, Any] = file["parameters"]["POINT"]
    more = sorted(key for key in about if key[:6] == "LABELS" and key != "LABELS")
    labels = [label for key in ("LABELS", *more) for label in about[key]["value"]]
    data, header = file["data"], file["header"]["points"]
    return {
        "points": np.asarray(data["points"], np.float64)[:3],
        "residuals": np.asarray(data["meta_points"]["residuals"], np.float64),
        "labels": np.array(labels, np.str_),
        "unit": np.array(about["UNITS"]["value"][0].strip() or "mm"),
        "rate": np.array(header["frame_rate"], np.float64),
        "first": np.array(header["first_frame"], np.int64),
    }


READERS: dict[str, tuple[str, Callable[[str, list[str]], Values]]] = {
    "mat": ("scipy.io", read_mat),
    "mat73": ("h5py", read_mat73),
    "hdf5": ("h5py", read_hdf5),
    "cdf": ("cdflib", read_cdf),
    "c3d": ("ezc3d", read_c3d),
}
"""By format: the package that it needs, and the reader."""


def serve() -> None:
    """Answer requests, one JSON line each, from standard input until it ends."""
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = open(os.devnull, "w")  # noqa: SIM115 - open as long as this process
    os.dup2(nowhere.fileno(), 1)  # so that libraries do not print into the answers
    warnings.simplefilter("ignore")
    answers.write(b"ready\n")
    answers.flush()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        package, read = READERS[request["format"]]
        values: Values = {}
        try:
            __import__(package)
            with _limits(request["seconds"], request["bytes"], nowhere):
                values = read(request["path"], request["names"])
                described, arrays = _described(values)
            head: dict[str, Any] = {"values": described}
        except Exception as error:  # any error; the client turns it into a message
            arrays = []
            missing = str(error.args[0]) if isinstance(error, KeyError) and error.args else None
            text = str(error) or type(error).__name__
            head = {"missing": missing, "error": text[:1000]}
        answers.write(json.dumps(head).encode() + b"\n")
        for array in arrays:
            answers.write(array.tobytes())
        answers.flush()


@contextlib.contextmanager
def _limits(seconds: float, memory: int, nowhere: IO[str]) -> Any:
    """Limit time and memory of the block; exceeding the time ends this process.

    The watchdog is a C thread, so it also ends a reader that never returns. Memory is limited on
    Linux only; other systems do not enforce such a limit.
    """
    faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
    try:
        if sys.platform == "linux":
            import resource

            with open("/proc/self/statm") as stream:
                now = int(stream.read().split()[0]) * resource.getpagesize()
            _, most = resource.getrlimit(resource.RLIMIT_AS)
            wanted = now + memory
            resource.setrlimit(
                resource.RLIMIT_AS,
                (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most),
            )
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def _described(values: Values) -> tuple[Any, list[NDArray[Any]]]:
    """JSON description of the arrays, and the arrays in the same order."""
    arrays: list[NDArray[Any]] = []

    def one(name: str, value: Any) -> Any:
        if isinstance(value, Cells):
            if len(value.items) > MOST_CELLS:
                raise ValueError(f"{name} has {len(value.items):,} cells")
            return {"cells": [one(name, item) for item in value.items], "shape": value.shape}
        array = np.asarray(value)
        if array.dtype.kind not in PLAIN or array.size > MOST_VALUES:
            raise ValueError(f"{name} holds {array.size:,} values of the type {array.dtype}")
        arrays.append(array)
        return {"dtype": array.dtype.str, "shape": array.shape}

    return {name: one(name, value) for name, value in values.items()}, arrays
