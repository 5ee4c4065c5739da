"""Whatever is done to a file from elsewhere: a result, or a sentence. No pickle is ever run."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.robustness.damage import damaged
from tests.robustness.readers import Reader, readers
from vidpose.errors import LONGEST_SENTENCE, VidposeError

CASES = 25
"""A reader; `benchmarks/robustness.py data` tries thousands."""


@pytest.fixture(scope="session", params=readers(), ids=str)
def reader(request: pytest.FixtureRequest) -> Reader:
    return request.param


@pytest.fixture(scope="session")
def whole(reader: Reader, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A valid file of the reader."""
    path = tmp_path_factory.mktemp("data") / reader.file
    path.parent.mkdir(exist_ok=True)
    reader.make(path)
    return path


def attempt(reader: Reader, path: Path) -> bool:
    """Whether there was a result; otherwise it was a sentence in bounds."""
    try:
        reader.read(path)
    except VidposeError as error:
        text = str(error)
        assert len(text) <= LONGEST_SENTENCE + 10
        assert text.encode().decode().rstrip().endswith((".", "]", "..."))
        return False
    return True


def test_a_valid_file_is_read(reader: Reader, whole: Path) -> None:
    assert attempt(reader, whole)


def test_damage_gives_a_result_or_a_sentence(reader: Reader, whole: Path) -> None:
    content = whole.read_bytes()

    @settings(
        max_examples=CASES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def property(data: st.DataObject) -> None:
        whole.write_bytes(data.draw(damaged(content, reader.kind)))
        attempt(reader, whole)

    try:
        property()
    finally:
        whole.write_bytes(content)


class Bomb:
    """A pickle that makes a folder as soon as it is loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def _npz(path: Path, bomb: Bomb) -> None:
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
    arrays: dict[str, Any] = {name: np.array([bomb], object) for name in names}
    np.savez(path, **arrays)


def _npy(path: Path, bomb: Bomb) -> None:
    np.save(path, np.array([bomb], object), allow_pickle=True)


def _torch(path: Path, bomb: Bomb) -> None:
    torch.save({"format": bomb, "model_pos": {"a": bomb}}, path)


def _pickle(path: Path, bomb: Bomb) -> None:
    path.write_bytes(pickle.dumps(bomb))


def _in_mat(path: Path, bomb: Bomb) -> None:
    path.write_bytes(path.read_bytes() + pickle.dumps(bomb))


HOSTILE: dict[str, tuple[Callable[[Path, Bomb], None], ...]] = {
    ".npz": (_npz, _pickle),
    ".npy": (_npy, _pickle),
    ".bin": (_torch, _pickle),
    ".pt": (_torch, _pickle),
    ".mat": (_in_mat, _pickle),
}


def test_no_pickle_is_run(reader: Reader, whole: Path, tmp_path: Path) -> None:
    content, bomb = whole.read_bytes(), Bomb(tmp_path / "executed")
    for write in HOSTILE.get(whole.suffix, (_pickle,)):
        write(whole, bomb)
        attempt(reader, whole)
        assert not bomb.folder.exists()
        whole.write_bytes(content)
    pickle.loads(pickle.dumps(bomb))  # it would have been seen
    assert bomb.folder.is_dir()


def test_an_archive_that_would_fill_the_memory(tmp_path: Path) -> None:
    """6 MB of zip that claim to be gigabytes, as a dataset, a result and 2D joints."""
    path = tmp_path / "a.npz"
    header = io.BytesIO()
    count = 1 << 27
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (count,)}
    )
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("keypoints_2d.npy", "w") as stream,
    ):
        stream.write(header.getvalue())
        for _ in range(4 * count >> 20):
            stream.write(bytes(1 << 20))
    for reader in readers():
        if reader.name in ("result", "2D file", "custom dataset"):
            with pytest.raises(VidposeError, match="claim to unpack to 536,871,040"):
                reader.read(path)
