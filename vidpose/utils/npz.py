"""Read NumPy files without executing their content or trusting their headers.

`read_arrays` reads files of plain arrays. `read_npz` reads those of the public datasets, which
contain pickles. A pickle is a program that may call any function. The unpickler here only resolves
names to the stand-ins below, which build numbers, arrays and plain containers, and validate their
arguments. Not even NumPy's own functions are called with values from a file, because a forged dtype
makes NumPy interpret a file's bytes as pointers.
"""

from __future__ import annotations

import math
import pickle
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import psutil
from numpy.lib import format as npy
from numpy.typing import NDArray

from vidpose.errors import DataError, VidposeError
from vidpose.utils.files import replacing
from vidpose.utils.outside import reading

AGAIN = "download or prepare it again"
ALWAYS_INFLATED = 1 << 28
"""Bytes that any .npz may unpack to."""
MOST_INFLATED = 100
"""Maximum compression ratio of a larger .npz: joints hardly compress, except the NaN of absent
people."""
PLAIN = "biufcSU"
"""Dtype kinds of plain arrays: booleans, numbers, text."""
CHUNK = 1 << 20


def read_arrays(
    path: Path,
    *keys: str,
    error: type[VidposeError] = DataError,
    problem: str = "is not a readable NumPy file",
    advice: str = "",
) -> dict[str, NDArray[Any]]:
    """Read the arrays of an .npz, or that of an .npy, under the key "". Pickles are an error.

    Args:
        path: the file.
        keys: keys to read, if they exist; everything by default.
        error, problem, advice: see `vidpose.utils.outside.reading`.

    Raises:
        error: the file is missing, damaged or of another format, or holds anything but numbers,
            booleans and text.
    """
    with reading(path, error, problem, advice):
        with open(path, "rb") as stream:
            if stream.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX:
                stream.seek(0)
                return {"": _read_plain(stream, path.stat().st_size)}
        with opened(path) as archive:
            there = [key for key in keys_of(archive) if not keys or key in keys]
            arrays = {}
            for key in there:
                info = archive.getinfo(f"{key}.npy")
                with (
                    reading(path, error, f"{problem}: {key} is damaged", advice),
                    archive.open(info) as entry,
                ):
                    try:
                        arrays[key] = _read_plain(entry, info.file_size)
                    except _ObjectsError:
                        raise error(
                            f"{path} {problem}: {key} holds Python objects, which vidpose does "
                            "not read; save numbers, booleans or text as plain arrays, for example "
                            f"{key}=np.array({key}.tolist())."
                        ) from None
            return arrays


class _ObjectsError(ValueError):
    """An array that is a pickle."""


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open an .npz as an archive.

    Raises:
        ValueError: unpacked, it would not fit into memory.
        Exception: it is not an archive.
    """
    _check_archive(path)
    with zipfile.ZipFile(path) as archive:
        packed, full = path.stat().st_size, sum(info.file_size for info in archive.infolist())
        most = min(
            max(ALWAYS_INFLATED, MOST_INFLATED * packed), int(psutil.virtual_memory().available)
        )
        if full > most:
            raise ValueError(f"its {packed:,} bytes claim to unpack to {full:,}")
        yield archive


def _read_plain(stream: IO[bytes], size: int) -> NDArray[Any]:
    """Read an array from a stream of `size` bytes, after a check that they hold all of it."""
    shape, fortran, dtype = _read_header(stream)
    if dtype.hasobject:
        raise _ObjectsError("it holds Python objects")
    if dtype.kind not in PLAIN:
        raise ValueError(f"it has values of the type {dtype}")
    _check_size(shape, dtype, size - stream.tell())
    flat = np.empty(math.prod(shape), dtype)
    view = memoryview(flat.view(np.uint8) if flat.nbytes else b"")  # type: ignore[arg-type]
    while view.nbytes:
        chunk = stream.read(min(CHUNK, view.nbytes))
        if not chunk:
            raise ValueError("it ends too early")
        view[: len(chunk)] = chunk
        view = view[len(chunk) :]
    _check_text(flat)
    return flat.reshape(shape, order="F" if fortran else "C")


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(stream)
    read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in read_header:
        raise ValueError(f"its format has version {version}")
    shape, fortran, dtype = read_header[version](stream)
    return shape, fortran, dtype


def _check_size(shape: tuple[int, ...], dtype: np.dtype[Any], there: int) -> None:
    """Raise a ValueError unless the size in an array's header matches the bytes that follow."""
    claimed = math.prod(shape) * max(dtype.itemsize, 1)
    if any(n < 0 for n in shape) or not (claimed == there or (not dtype.itemsize and claimed < 2)):
        raise ValueError(f"it claims {claimed:.3g} bytes and has {there}")


def _check_text(flat: NDArray[Any]) -> None:
    """Raise a ValueError if a text array (N,) has characters beyond Unicode.

    NumPy would make strings of them that Python's own functions fail on.
    """
    if flat.dtype.kind == "U" and flat.nbytes:
        characters = flat.view(np.dtype("u4").newbyteorder(flat.dtype.byteorder))
        if characters.max() > sys.maxunicode:
            raise ValueError("a text in it is not valid Unicode")


def read_npz(path: Path, *keys: str) -> dict[str, Any]:
    """Read entries of an .npz, including pickled ones. No code in it is ever executed.

    Args:
        path: the file.
        keys: keys to read; everything by default.

    Returns:
        By key: arrays (possibly read-only), and plain values for entries with a single object,
        such as the dicts in these files.

    Raises:
        DataError: the file is missing, damaged or of another format, has no such key, or holds
            anything but numbers, text, arrays and plain containers.
    """
    with (
        reading(path, DataError, "is not an .npz that can be read", AGAIN),
        opened(path) as archive,
    ):
        there = keys_of(archive)
        for key in keys:
            if key not in there:
                shown = ", ".join(there[:8]) or "nothing"
                raise DataError(f"{path} has no {key}, but {shown}.")
        return {key: _read_entry(path, archive, key) for key in keys or there}


def keys_of(archive: zipfile.ZipFile) -> list[str]:
    """The keys of an open .npz."""
    return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def keys_in(path: Path) -> set[str] | None:
    """The keys of an .npz; None if it cannot be opened."""
    try:
        with reading(path, DataError, "is no archive"), opened(path) as archive:
            return set(keys_of(archive))
    except DataError:
        return None


def write_pickled_npz(path: Path, entries: Mapping[str, Any]) -> Path:
    """Write arrays, and pickled dicts as in the public datasets, atomically."""
    with (
        replacing(path) as temporary,
        # Like np.savez_compressed, whose level takes three times as long for little gain on floats.
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for key, value in entries.items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as stream:
                npy.write_array(stream, _entry(value), allow_pickle=True)
    return path


def _entry(value: Any) -> NDArray[Any]:
    if isinstance(value, np.ndarray):
        return value
    array = np.empty((), object)
    array[()] = value
    return array


def _check_archive(path: Path) -> None:
    """Raise a ValueError if a file is not a zip archive; the message says what it is."""
    with open(path, "rb") as stream:
        if zipfile.is_zipfile(stream):
            return
        stream.seek(0)
        start = stream.read(64).lstrip().lower()
    if start.startswith(b"pk"):
        raise ValueError("it is incomplete, like an interrupted download")
    if start.startswith((b"<!doctype", b"<html")):
        raise ValueError("it is a web page; download it with a browser")
    raise ValueError("it is not an archive")


def _read_entry(path: Path, archive: zipfile.ZipFile, key: str) -> Any:
    info = archive.getinfo(f"{key}.npy")
    try:
        with archive.open(info) as stream:
            return _read_array(stream, info.file_size)
    except _RefusedError as refused:
        raise DataError(
            f"{path}: {key} holds {refused}, which is not plain data; vidpose did not execute it "
            "and cannot use the file."
        ) from None
    except Exception as error:  # NumPy, zipfile and pickles raise every error there is
        raise DataError(f"{path}: {key} is damaged; {AGAIN}.") from error


def _read_array(stream: IO[bytes], size: int) -> Any:
    shape, fortran, dtype = _read_header(stream)
    if not dtype.hasobject:
        if dtype.kind not in PLAIN:
            raise ValueError(f"values of the type {dtype}")
        _check_size(shape, dtype, size - stream.tell())
        flat = np.frombuffer(stream.read(), dtype)
        _check_text(flat)
        return flat.reshape(shape, order="F" if fortran else "C")
    array = _plain(_Unpickler(stream).load())
    if not isinstance(array, np.ndarray) or array.shape != shape:
        raise ValueError("not the array of the header")
    return array if shape else array.item()


# Reading pickles.


class _RefusedError(Exception):
    """Something that is not plain data; the message names it."""


class _StandIn:
    """Base class of replacements for the objects that a pickle names."""

    __slots__ = ("value",)

    def __setstate__(self, state: Any) -> None:
        raise _RefusedError("a change to an object")


class _Ndarray(_StandIn):
    """The array type: may be named, but not called."""

    def __new__(cls, *_: Any) -> Any:
        raise _RefusedError("an array of no known form")


class _Dtype(_StandIn):
    """A plain dtype: numbers, booleans, text, or objects."""

    __slots__ = ()

    def __init__(self, code: Any, align: Any = False, copy: Any = True) -> None:
        if not isinstance(code, str) or not re.fullmatch(r"[biufc]\d{1,2}|O8?|[US]\d{1,6}", code):
            raise _RefusedError(f"values of the type {code!r:.40}")
        self.value = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        _, order, subarray, names, fields, *_ = state
        if (subarray, names, fields) != (None, None, None) or order not in ("<", ">", "|", "="):
            raise _RefusedError("values of a composed type")
        self.value = self.value.newbyteorder(order)


class _Array(_StandIn):
    """An array, created empty and filled by its state, as NumPy pickles it."""

    __slots__ = ()

    def __init__(self, kind: Any, shape: Any, code: Any) -> None:
        if kind is not _Ndarray:
            raise _RefusedError("an array of no known form")
        self.value: NDArray[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, raw = state
        self.value = _array(raw, dtype, shape, "F" if fortran else "C")


class _Buffer(_StandIn):
    """An array in pickles of protocol 5, which includes its bytes."""

    __slots__ = ()

    def __init__(self, raw: Any, dtype: Any, shape: Any, order: Any) -> None:
        self.value = _array(raw, dtype, shape, order)


class _Scalar(_StandIn):
    """One NumPy number."""

    __slots__ = ()

    def __init__(self, dtype: Any, raw: Any) -> None:
        self.value = _array(raw, dtype, (1,), "C")[0]


class _Encoded(_StandIn):
    """Bytes in old pickles: `codecs.encode(text, "latin1")`."""

    def __new__(cls, text: Any, encoding: Any) -> Any:
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise _RefusedError(f"text encoded as {encoding!r:.40}")
        return text.encode("latin1")


class _NoBytes(_StandIn):
    """Empty bytes in old pickles: `bytes()`."""

    def __new__(cls) -> Any:
        return b""


class _Mapping(_StandIn):
    """An OrderedDict, whose items follow in the pickle."""

    def __new__(cls) -> Any:
        return {}


class _Set(_StandIn):
    def __new__(cls, items: Any = ()) -> Any:
        if not isinstance(items, list | tuple):
            raise _RefusedError("a set of no known form")
        return set(items)


class _FrozenSet(_StandIn):
    def __new__(cls, items: Any = ()) -> Any:
        return frozenset(_Set(items))


_STAND_INS: dict[tuple[str, str], type[_StandIn]] = {
    **{
        (f"numpy.{core}.{module}", name): stand_in
        for core in ("core", "_core")
        for module, name, stand_in in (
            ("multiarray", "_reconstruct", _Array),
            ("multiarray", "scalar", _Scalar),
            ("numeric", "_frombuffer", _Buffer),
        )
    },
    ("numpy", "ndarray"): _Ndarray,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _Encoded,
    ("collections", "OrderedDict"): _Mapping,
    **{
        (module, name): stand_in
        for module in ("builtins", "__builtin__")
        for name, stand_in in (("bytes", _NoBytes), ("set", _Set), ("frozenset", _FrozenSet))
    },
}


class _Unpickler(pickle._Unpickler):
    """Based on the pure-Python unpickler; the one in C allocates any size that a pickle claims."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(stream, encoding="latin1")  # Python 2 wrote bytes as text

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise _RefusedError(f"{module}.{name}"[:100]) from None

    def persistent_load(self, pid: Any) -> Any:
        raise _RefusedError("an external reference")


def _array(raw: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
    """An array of a plain dtype from its bytes, or from a list of objects.

    Raises:
        ValueError: bytes and shape do not match.
    """
    whole = isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)
    if not isinstance(dtype, _Dtype) or not whole or order not in ("C", "F"):
        raise _RefusedError("an array of no known form")
    if dtype.value.hasobject:
        if not isinstance(raw, list) or len(raw) != math.prod(shape):
            raise ValueError("objects do not fit the shape")
        flat = np.empty(len(raw), object)
        for i, item in enumerate(raw):
            flat[i] = item  # one by one, since NumPy would unpack items that are lists
        return flat.reshape(shape, order=order)
    if isinstance(raw, str):
        raw = raw.encode("latin1")
    if not isinstance(raw, bytes | bytearray):
        raise _RefusedError("an array of no known form")
    flat = np.frombuffer(raw, dtype.value)
    _check_text(flat)
    return flat.reshape(shape, order=order)


_PLAIN = (bool, int, float, str, bytes, bytearray, type(None), np.generic)


def _plain(value: Any, done: dict[int, Any] | None = None) -> Any:
    """Replace stand-ins by arrays, recursively.

    Raises:
        ValueError: a container holds itself.
    """
    done = {} if done is None else done
    if isinstance(value, _PLAIN):
        return value
    if id(value) in done:
        made = done[id(value)]
        if made is _PENDING:
            raise ValueError("a container holds itself")
        return made
    done[id(value)] = _PENDING
    done[id(value)] = made = _converted(value, done)
    return made


_PENDING = object()


def _converted(value: Any, done: dict[int, Any]) -> Any:
    if isinstance(value, dict):
        return {_plain(key, done): _plain(item, done) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return type(value)(_plain(item, done) for item in value)
    if isinstance(value, _Scalar):
        return value.value
    if isinstance(value, _Array | _Buffer):
        array = value.value
        if array is None:
            raise ValueError("an array without its state")
        if array.dtype.hasobject:
            for place in np.ndindex(array.shape):
                array[place] = _plain(array[place], done)
        return array
    raise _RefusedError(f"a bare {type(value).__name__}")
