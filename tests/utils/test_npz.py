import io
import os
import pickle
import pickletools
import struct
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vidpose.errors import DataError
from vidpose.utils.npz import read_arrays, read_npz, write_pickled_npz

TREE = {
    "S1": {
        "Walking 1": [np.arange(12, dtype=np.float32).reshape(2, 3, 2), np.zeros((0, 2))],
        "empty": np.zeros((0, 17, 3), np.float32),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big-endian": np.arange(3, dtype=">i2"),
        "flags": np.array([True, False]),
        "names": np.array(["a", "bcd"]),
        "objects": np.array([{"a": 1}, [1, 2]], dtype=object),
    },
    "number": np.float64(1.5),
    "plain": (1, 2.5, None, True, b"bytes", b"", "text", {1, 2}, frozenset({3})),
}


def entry(path: Path, payload: bytes, key: str = "data") -> Path:
    """An .npz whose only entry is this pickle, with the header of a single object."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|O", "fortran_order": False, "shape": ()}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{key}.npy", header.getvalue() + payload)
    return path


def pickled(value: Any, protocol: int) -> bytes:
    array = np.empty((), object)
    array[()] = value
    return pickle.dumps(array, protocol)


def assert_same(left: Any, right: Any) -> None:
    assert type(left) is type(right)
    if isinstance(left, np.ndarray):
        assert left.dtype == right.dtype
        assert left.shape == right.shape
        for a, b in zip(left.flat, right.flat, strict=True):
            if left.dtype.hasobject:
                assert_same(a, b)
            else:
                assert a == b
    elif isinstance(left, dict):
        assert list(left) == list(right)
        for key in left:
            assert_same(left[key], right[key])
    elif isinstance(left, list | tuple):
        assert len(left) == len(right)
        for a, b in zip(left, right, strict=True):
            assert_same(a, b)
    else:
        assert left == right


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = write_pickled_npz(tmp_path / "a.npz", {"data": TREE, "other": np.arange(3)})
    found = read_npz(path)
    assert_same(found["data"], TREE)
    np.testing.assert_array_equal(found["other"], np.arange(3))
    assert list(read_npz(path, "other")) == ["other"]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("core", [b"numpy.core.", b"numpy._core."])
def test_pickles_of_every_age(tmp_path: Path, protocol: int, core: bytes) -> None:
    """NumPy 2 calls its inner package `_core`; both names are read, whichever is installed."""
    payload = _without_frames(pickled(TREE, protocol))
    for module in (b"multiarray", b"numeric"):
        new = core + module
        for old in (b"numpy.core." + module, b"numpy._core." + module):
            payload = payload.replace(b"c" + old + b"\n", b"c" + new + b"\n")
            payload = payload.replace(bytes([len(old)]) + old, bytes([len(new)]) + new)
    assert core in payload
    assert_same(read_npz(entry(tmp_path / "a.npz", payload))["data"], TREE)


def _without_frames(payload: bytes) -> bytes:
    """Removes frames, which are optional, since their lengths change with names."""
    places = [at for op, _, at in pickletools.genops(payload) if op.name == "FRAME" and at]
    for place in reversed([at for at in places if at is not None]):
        payload = payload[:place] + payload[place + 9 :]
    return payload


def test_a_file_of_python_2(tmp_path: Path) -> None:
    """Bytes of its arrays are text with one byte per character."""
    payload = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01)cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK?tb\x89]}U\x02S1"
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89U\x08\x00\x00\x80?\x00\x00\xc0\xc0tbsatb."
    )
    found = read_npz(entry(tmp_path / "a.npz", payload))["data"]
    assert list(found) == ["S1"]
    np.testing.assert_array_equal(found["S1"], np.array([1.0, -6.0], np.float32))


class Bomb:
    def __reduce__(self) -> Any:
        return os.mkdir, ("bang",)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("deep", [False, True], ids=["bare", "deep"])
def test_code_is_refused_and_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int, deep: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    value = {"S1": {"Walking": [np.zeros(3), Bomb()]}} if deep else Bomb()
    path = entry(tmp_path / "a.npz", pickled(value, protocol))
    with pytest.raises(
        DataError, match=r"a\.npz: data holds posix\.mkdir, which is not plain data"
    ):
        read_npz(path)
    assert not (tmp_path / "bang").exists()


class Builds:
    """Pickles as a call, followed by a state change of its result."""

    def __init__(self, call: Any, args: tuple[Any, ...], state: Any = None) -> None:
        self.made = (call, args, state)

    def __reduce__(self) -> Any:
        return self.made


RECONSTRUCT: Any = np.zeros(1).__reduce__()[0]
SCALAR: Any = np.float32(1).__reduce__()[0]


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        (Builds(eval, ("1",)), r"(__builtin__|builtins)\.eval"),
        (Builds(getattr, ("a", "upper")), r"\.getattr"),
        (Builds(np.load, ("x",)), r"numpy\.load"),
        (np.random.RandomState(0), r"numpy\.random"),
        (np.zeros(2, "f4,i4"), "values of the type 'V8'"),
        (np.zeros(2, "M8[s]"), "values of the type 'M8'"),
        (Builds(np.dtype, (Builds(np.dtype, ("f4",)),)), "values of the type"),
        # Objects that claim not to be: NumPy would take the bytes for addresses.
        (Builds(np.ndarray, ((1,), "O", b"\x01" * 8)), "an array of no known form"),
        (Builds(RECONSTRUCT, (Path, (0,), b"b")), r"pathlib\."),
        (Path, r"pathlib\."),
        (np.ndarray, "a bare type"),
        (np.dtype("f4"), "a bare _Dtype"),
        (Builds(SCALAR, ("f4", b"1234")), "of no known form"),
        (Builds(OrderedDict, ()), None),
    ],
)
def test_only_data_passes(tmp_path: Path, value: Any, holds: str | None) -> None:
    path = entry(tmp_path / "a.npz", pickled(value, 2))
    if holds is None:
        assert read_npz(path) == {"data": {}}
        return
    with pytest.raises(DataError, match=rf"a\.npz: data holds .*{holds}"):
        read_npz(path)


def test_an_array_of_objects_cannot_be_forged_from_bytes(tmp_path: Path) -> None:
    state = (1, (1,), np.dtype("O"), False, b"\x41" * 8)
    path = entry(
        tmp_path / "a.npz", pickled(Builds(RECONSTRUCT, (np.ndarray, (0,), b"b"), state), 2)
    )
    with pytest.raises(DataError, match="data is damaged"):
        read_npz(path)


def test_what_is_named_cannot_be_changed(tmp_path: Path) -> None:
    """BUILD on a name would modify an object of this process."""
    changed = b"\x80\x02cnumpy\ndtype\n}U\x05value}sb."
    with pytest.raises(DataError, match="data is damaged"):
        read_npz(entry(tmp_path / "a.npz", changed))


def test_containers_that_hold_themselves_or_grow_without_end(tmp_path: Path) -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(DataError, match="data is damaged"):
        read_npz(entry(tmp_path / "a.npz", pickled(loop, 4)))
    bush: list[Any] = []
    for _ in range(100):  # 2 ** 100 leaves, if each was walked to
        bush = [bush, bush]
    assert len(read_npz(entry(tmp_path / "b.npz", pickled(bush, 4)))["data"]) == 2


def test_a_damaged_pickle_wherever_it_is_cut(tmp_path: Path) -> None:
    payload = pickled({"S1": np.arange(4)}, 3)
    for cut in range(0, len(payload), 7):
        with pytest.raises(DataError, match=r"a\.npz: data (is damaged|holds)"):
            read_npz(entry(tmp_path / "a.npz", payload[:cut]))


def test_a_damaged_header(tmp_path: Path) -> None:
    path = entry(tmp_path / "a.npz", pickled({"S1": np.arange(4)}, 3))
    with zipfile.ZipFile(path) as archive:
        content = archive.read("data.npy")
    for wrong in (b"\x80", b"(", b"'"):
        for place in range(0, content.index(b"}") + 1):
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("data.npy", content[:place] + wrong + content[place + 1 :])
            try:
                read_npz(path)
            except DataError as error:
                assert "data is damaged" in str(error)  # noqa: PT017


def test_shapes_that_claim_more_than_there_is(tmp_path: Path) -> None:
    state = (1, (10**9, 10**9), np.dtype("f4"), False, b"1234")
    path = entry(
        tmp_path / "a.npz", pickled(Builds(RECONSTRUCT, (np.ndarray, (0,), b"b"), state), 2)
    )
    with pytest.raises(DataError, match="data is damaged"):
        read_npz(path)
    plain = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        plain, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.npy", plain.getvalue() + struct.pack("<d", 1.0))
    with pytest.raises(DataError, match="data is damaged"):
        read_npz(path)


def test_files_that_are_no_npz(tmp_path: Path) -> None:
    path = write_pickled_npz(tmp_path / "a.npz", {"data": TREE})
    whole = path.read_bytes()
    with pytest.raises(DataError, match=r"a\.npz has no positions_3d, but data\.$"):
        read_npz(path, "positions_3d")
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"a\.npz is not .* \(it is incomplete, like an"):
        read_npz(path)
    path.write_bytes(b"\n<!DOCTYPE html><html>")
    with pytest.raises(DataError, match=r"a\.npz is not .* \(it is a web page"):
        read_npz(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.npz is not an \.npz"):
        read_npz(path)
    with pytest.raises(DataError, match="is a folder"):
        read_npz(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        read_npz(tmp_path / "b.npz")


def test_bytes_that_went_bad(tmp_path: Path) -> None:
    path = write_pickled_npz(
        tmp_path / "a.npz", {"data": {"S1": np.random.default_rng(0).random(1000)}}
    )
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npz: data is damaged"):
        read_npz(path)


def test_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise RuntimeError("stop")

    monkeypatch.setattr(zipfile.ZipFile, "open", full)
    with pytest.raises(RuntimeError):
        write_pickled_npz(tmp_path / "a.npz", {"data": TREE})
    assert not list(tmp_path.iterdir())


def test_text_beyond_unicode(tmp_path: Path) -> None:
    """NumPy would make a string of it that Python's own functions fail on."""
    beyond = np.array([0x61, sys.maxunicode + 1], np.uint32).view("U2")
    for array in (beyond, beyond.astype(beyond.dtype.newbyteorder(">"), copy=False)):
        path = tmp_path / "plain.npz"
        with zipfile.ZipFile(path, "w") as archive, archive.open("data.npy", "w") as stream:
            np.lib.format.write_array(stream, array)
        with pytest.raises(DataError, match="data is damaged"):
            read_npz(path)
        with pytest.raises(DataError, match=r"data is damaged.*not valid Unicode"):
            read_arrays(path)
        with pytest.raises(DataError, match="data is damaged"):
            read_npz(entry(path, pickle.dumps([array])))
    good = np.array(["a\N{GRINNING FACE}", ""])
    write_pickled_npz(tmp_path / "good.npz", {"data": good})
    assert read_arrays(tmp_path / "good.npz")["data"].tolist() == good.tolist()
