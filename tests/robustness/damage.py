"""Damage to files: bits and bytes anywhere, and odd values in the place of single ones."""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
from contextlib import suppress
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from tests.robustness.readers import Kind

NUMBERS = (
    *(0, -1, 1, 2, 255, 65536, 2**31, 2**63, -(2**63), 10**30, 10**400),
    *(0.5, -0.0, 1e-45, 1e30, 1e300, float("nan"), float("inf"), float("-inf")),
)
TEXTS = ("", "a", "NaN", "é", "\ud800", "\x00", "\x1b[2J", "x" * 5000, "../../etc/passwd", "1e999")
ODD_JSON: SearchStrategy[Any] = st.one_of(
    st.sampled_from(NUMBERS),
    st.sampled_from(TEXTS),
    st.sampled_from((None, True, [], {}, [[]], {"a": 1}, [None], [[1, 2, 3]] * 30)),
)
ODD_TOKENS = (
    *("", "nan", "inf", "-inf", "1e999", "1e30", "-1", "0", "3.5", "9" * 400, "x", "{", "}"),
    *("\n" * 50, "\t\t", "Xrotation", "CHANNELS", "JOINT", "MOTION", "Frames:", "é", "\x00", "#"),
)
DEEP = 3000


@st.composite
def damaged(draw: DrawFn, whole: bytes, kind: Kind) -> bytes:
    """A valid file's bytes, damaged in one to five places."""
    inside = 0 if kind == "bytes" else draw(st.integers(0, 3))
    for _ in range(inside):
        try:
            whole = draw(_INSIDE[kind](whole))
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
            break  # the last damage leaves nothing to exchange a value in
    for _ in range(draw(st.sampled_from((0, 0, 0, 1) if inside else (1, 1, 2)))):
        whole = draw(_bytes(whole))
    return whole


@st.composite
def _bytes(draw: DrawFn, whole: bytes) -> bytes:
    size = len(whole)
    place = draw(st.integers(0, size))
    # Headers decide on most things.
    if draw(st.booleans()):
        place = min(place, draw(st.integers(0, 300)))
    length = draw(st.sampled_from((1, 1, 2, 4, 8, 64)))
    how = draw(st.sampled_from(("flip", "set", "cut", "remove", "repeat", "insert")))
    head, part, tail = whole[:place], whole[place : place + length], whole[place + length :]
    if how == "flip" and part:
        flipped = bytearray(part)
        flipped[0] ^= 1 << draw(st.integers(0, 7))
        return head + bytes(flipped) + tail
    if how == "set":
        return head + draw(st.sampled_from((b"\x00", b"\xff", b"\x7f", b"\x80"))) * len(part) + tail
    if how == "cut":
        return head
    if how == "remove":
        return head + tail
    if how == "repeat":
        return head + part * draw(st.integers(2, 40)) + tail
    return head + draw(st.binary(min_size=1, max_size=16)) + part + tail


@st.composite
def _text(draw: DrawFn, whole: bytes) -> bytes:
    """A word, or what stands between words, becomes another."""
    parts = re.split(rb"(\s+)", whole)
    place = draw(st.integers(0, len(parts) - 1))
    parts[place] = draw(st.sampled_from(ODD_TOKENS)).encode()
    return b"".join(parts)


@st.composite
def _json(draw: DrawFn, whole: bytes) -> bytes:
    """A value anywhere in it becomes another, or goes."""
    if draw(st.integers(0, 30)) == 0:
        return b"[" * DEEP + b"]" * DEEP
    root = [json.loads(whole)]
    holder: Any = root
    key: Any = 0
    while isinstance(holder[key], dict | list) and holder[key] and draw(st.integers(0, 4)):
        holder = holder[key]
        key = draw(
            st.sampled_from(list(holder) if isinstance(holder, dict) else range(len(holder)))
        )
    if holder is not root and draw(st.integers(0, 5)) == 0:
        del holder[key]
    else:
        holder[key] = draw(ODD_JSON)
    return json.dumps(root[0]).encode()


def _odd_arrays(old: bytes) -> SearchStrategy[Any]:
    """Arrays in the place of one: of other values, types and shapes."""
    try:
        array = np.load(io.BytesIO(old), allow_pickle=False)
    except Exception:  # a pickle
        array = np.zeros((2, 3))
    if array.dtype.kind not in "fiubSU":  # odd already
        array = np.zeros((2, 3))
    numeric = array.dtype.kind in "fiu" and array.size
    spoiled = st.just(array)
    if numeric:
        kind = float if array.dtype.kind == "f" else int
        values = [n for n in NUMBERS if isinstance(n, kind) and (kind is float or 0 <= n < 100)]
        spoiled = st.builds(_with, st.just(array), st.integers(0, 10**6), st.sampled_from(values))
    return st.one_of(
        spoiled,
        st.sampled_from(
            (
                *(array[..., :1] if array.ndim else array, array.reshape(-1), array[None]),
                *(array.astype(str), array.astype("S3"), array.astype(bool)),
                _as(array, np.complex64) if numeric else array,
                _as(array, ">f8") if numeric else array,
                *(np.array(t.encode("utf-8", "surrogatepass")) for t in TEXTS),
                *(np.array(v) for v in (np.nan, np.inf, -1.0, 0, 2**62, 1e300)),
                np.zeros(0),
                np.zeros((0, 17, 3), np.float32),
                np.zeros((3, 0)),
                np.array([{"a": 1}], object),
                np.zeros(2, [("a", "f4")]),
                np.array(["2020-01-01"], "M8[D]"),
            )
        ),
    )


def _as(array: Any, dtype: Any) -> Any:
    with np.errstate(all="ignore"):
        return array.astype(dtype)


def _with(array: Any, place: int, value: Any) -> Any:
    array = array.copy()
    with np.errstate(all="ignore"):
        array.reshape(-1)[place % array.size] = np.asarray(value).astype(array.dtype)
    return array


@st.composite
def _npz(draw: DrawFn, whole: bytes) -> bytes:
    """An entry becomes another array, other bytes, other JSON, or goes; the archive is sound."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    name = draw(st.sampled_from(sorted(entries)))
    old = entries[name]
    how = draw(st.sampled_from(("array", "array", "bytes", "json", "drop", "header")))
    if how == "drop":
        del entries[name]
    elif how == "bytes":
        entries[name] = draw(_bytes(old))
    elif how == "header":
        shape = draw(
            st.sampled_from(("(10**30,)", "(-1,)", "(1" + "0" * 30 + ",)", "((" * 99, "("))
        )
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
        entries[name] = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(64)
    else:
        new: Any = None
        meta = b""
        if how == "json" and "meta.npy" in entries:
            name = "meta.npy"
            with suppress(Exception):  # NumPy raises almost anything on what is damaged already
                meta = str(np.load(io.BytesIO(entries[name]))).encode()
            if meta:
                new = np.array(draw(_json(meta)).decode())
        if new is None:
            new = draw(_odd_arrays(old))
        stream = io.BytesIO()
        np.save(stream, new, allow_pickle=True)
        entries[name] = stream.getvalue()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return stream.getvalue()


@st.composite
def _safetensors(draw: DrawFn, whole: bytes) -> bytes:
    """A value of the header becomes another, in the JSON that lies in it, too."""
    (size,) = struct.unpack("<Q", whole[:8])
    header, data = json.loads(whole[8 : 8 + size]), whole[8 + size :]
    if draw(st.booleans()):
        about = header["__metadata__"]
        key = draw(st.sampled_from(sorted(about)))
        inner = about[key].encode()
        about[key] = (
            draw(_json(inner)).decode()
            if inner[:1] == b"{"
            else str(draw(st.one_of(st.sampled_from(NUMBERS), st.sampled_from(TEXTS))))
        )
        new = json.dumps(header).encode()
    else:
        new = draw(_json(json.dumps(header).encode()))
    return struct.pack("<Q", len(new)) + new + data


_INSIDE: dict[str, Any] = {
    "text": _text,
    "json": _json,
    "npz": _npz,
    "safetensors": _safetensors,
}
