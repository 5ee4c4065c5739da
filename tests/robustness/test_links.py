"""Links in an output folder, made by somebody else: nothing is written or removed through them."""

import os
import zlib
from pathlib import Path

import pytest

from tests.detect.test_cache import KEY, fill, frame
from vidpose.detect.cache import DetectionCache, cache_folder, remove_leftovers
from vidpose.errors import VidposeError, WeightsError
from vidpose.events import Event
from vidpose.skeleton import COCO17
from vidpose.utils import files
from vidpose.utils.files import check_writable, new_file, replacing
from vidpose.zoo import registry


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A folder with files that look like the cache's, none of them in the output folder."""
    folder = tmp_path / "precious"
    folder.mkdir()
    for name in ("000000000.npz", "mine.npz", "victim.txt"):
        (folder / name).write_text("mine")
    return folder


def assert_untouched(precious: Path) -> None:
    assert {path.read_text() for path in precious.iterdir()} == {"mine"}
    assert len(list(precious.iterdir())) == 3


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def test_a_link_in_the_place_of_the_detection_cache(out: Path, precious: Path) -> None:
    target = out / "a.npz"
    link = cache_folder(target)
    link.symlink_to(precious, target_is_directory=True)
    told: list[Event] = []
    with DetectionCache(target, KEY, COCO17, told.append) as cache:
        for index in range(3):
            cache.add(frame(index))
        cache.write(None)
        assert cache.frames == 0
        cache.begin_again()
        cache.remove()
    target.touch()
    remove_leftovers(target)
    assert link.is_symlink()
    assert_untouched(precious)
    assert len(told) == 1
    assert "is a link; it is left alone" in str(told[0])


def test_a_link_that_comes_before_the_first_stretch(out: Path, precious: Path) -> None:
    told: list[Event] = []
    with DetectionCache(out / "a.npz", KEY, COCO17, told.append) as cache:
        cache.add(frame(0))
        cache.folder.symlink_to(precious, target_is_directory=True)
        cache.write(None)
        cache.remove()
    assert_untouched(precious)
    assert "is a link" in str(told[0])


def test_links_and_files_of_others_within_the_detection_cache(out: Path, precious: Path) -> None:
    cache = fill(out / "a.npz")
    (cache.folder / "mine.npz").write_text("mine")
    (cache.folder / "000000099.npz").symlink_to(precious / "victim.txt")
    (cache.folder / "000000006.npz").symlink_to(precious / "victim.txt")
    with DetectionCache(out / "a.npz", KEY, COCO17) as again:
        again.add(frame(6))
        again.write(None)
        again.remove()
    assert sorted(path.name for path in cache.folder.iterdir()) == ["000000099.npz", "mine.npz"]
    assert_untouched(precious)


def test_a_file_in_the_place_of_the_detection_cache(out: Path) -> None:
    cache_folder(out / "a.npz").write_text("mine")
    told: list[Event] = []
    with DetectionCache(out / "a.npz", KEY, COCO17, told.append) as cache:
        cache.add(frame(0))
        cache.write(None)
        cache.remove()
    assert cache.folder.read_text() == "mine"
    assert "is not a folder" in str(told[0])


def test_another_users_detection_cache_is_left_alone(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fill(out / "a.npz").folder
    there = sorted(folder.iterdir())
    monkeypatch.setattr("vidpose.detect.cache.is_own", lambda about: False)
    with DetectionCache(out / "a.npz", KEY, COCO17) as cache:
        assert cache.resumed.frames == 6  # as on a file server that gives all files to one user
    monkeypatch.setattr("vidpose.detect.cache.owner_of_new_files", lambda folder: 12345)
    told: list[Event] = []
    with DetectionCache(out / "a.npz", KEY, COCO17, told.append) as cache:
        assert cache.resumed.frames == 0
        cache.add(frame(0))
        cache.write(None)
        cache.remove()
    assert sorted(folder.iterdir()) == there
    assert "belongs to another user" in str(told[0])


def test_the_detection_cache_is_for_its_owner_only(out: Path) -> None:
    assert fill(out / "a.npz").folder.stat().st_mode & 0o777 == 0o700


def test_two_runs_of_one_result_at_a_time(out: Path) -> None:
    fill(out / "a.npz")
    with DetectionCache(out / "a.npz", KEY, COCO17):
        with pytest.raises(VidposeError, match="another run works on the same result"):
            DetectionCache(out / "a.npz", KEY, COCO17)
        (out / "a.npz").touch()
        remove_leftovers(out / "a.npz")
        assert cache_folder(out / "a.npz").exists()
    assert DetectionCache(out / "a.npz", KEY, COCO17).resumed.frames == 6


def test_a_temporary_name_that_was_guessed(
    out: Path, precious: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names are drawn at random; if somebody hit one all the same, nothing is written."""
    names = []
    for _ in range(2):
        with replacing(out / "a.npz") as temporary:
            names.append(temporary.name)
    assert names[0] != names[1]
    monkeypatch.setattr("vidpose.utils.files.secrets.token_hex", lambda count: "0" * 2 * count)
    mark = f"{zlib.crc32(b'a.npz'):08x}"
    guessed = out / f".{files._machine()}-{os.getpid()}-{'0' * 16}-{mark}.part.npz"
    guessed.symlink_to(precious / "victim.txt")
    with pytest.raises(VidposeError), replacing(out / "a.npz"):
        pytest.fail("a file that was there was opened")
    assert guessed.is_symlink()
    assert_untouched(precious)


def test_a_temporary_file_that_is_exchanged_for_a_link(out: Path, precious: Path) -> None:
    with pytest.raises(VidposeError), replacing(out / "a.npz") as temporary:  # noqa: PT012
        temporary.unlink()
        temporary.symlink_to(precious / "victim.txt")
    assert list(out.iterdir()) == []
    assert_untouched(precious)


def test_a_link_in_the_place_of_the_file_is_replaced(out: Path, precious: Path) -> None:
    (out / "a.txt").symlink_to(precious / "victim.txt")
    (out / "b.txt").symlink_to(out / "nowhere")
    for name in ("a.txt", "b.txt"):
        check_writable(out / name)
        with replacing(out / name) as temporary:
            temporary.write_text("new")
        assert not (out / name).is_symlink()
        assert (out / name).read_text() == "new"
    assert_untouched(precious)
    assert not (out / "nowhere").exists()


def test_a_new_file_takes_the_place_of_a_link(out: Path, precious: Path) -> None:
    (out / "a.f32").symlink_to(precious / "victim.txt")
    with new_file(out / "a.f32") as stream:
        stream.write(b"new")
    assert (out / "a.f32").read_bytes() == b"new"
    assert_untouched(precious)


def test_a_download_that_is_a_link(
    out: Path, precious: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDPOSE_CACHE", str(out))
    path = registry.cache_path("hrnet-w32")
    path.parent.mkdir(parents=True)
    path.with_name(f"{path.name}.part").symlink_to(precious / "victim.txt")
    with pytest.raises(WeightsError, match="was not written by vidpose; move it"):
        registry.fetch("hrnet-w32")
    assert_untouched(precious)
