import errno
import hashlib
import importlib.util
import os
import re
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.file_server import Site, serving
from vidpose.datasets.mocap import TEST
from vidpose.errors import UsageError, VidposeError, WeightsError
from vidpose.models import load_checkpoint
from vidpose.utils.files import sha256
from vidpose.zoo import download
from vidpose.zoo import registry as weights
from vidpose.zoo.registry import REGISTRY, Weights, cache_path, cached, fetch, find_weights, listing

CONTENT = bytes(range(256)) * 20_000  # 5.12 MB: six blocks
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIDPOSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache" / "weights"


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(Site(CONTENT)) as running:
        yield running


def register(monkeypatch: pytest.MonkeyPatch, site: Site, **changes: Any) -> None:
    fields: dict[str, Any] = {
        "file": "net.pth",
        "source": site.url,
        "size": len(CONTENT),
        "sha256": DIGEST,
    }
    entry = Weights(name="net", what="a network", **(fields | changes))
    monkeypatch.setattr(weights, "REGISTRY", {"net": entry})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_download_shows_progress_and_is_recorded(
    site: Site, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, site)
    seen: list[Any] = []

    def progress(steps: Iterable[bytes], total: int | None, label: str) -> Iterator[bytes]:
        seen.append((total, label))
        for step in steps:
            seen.append(len(step))
            yield step

    assert cached("net") is None
    path = fetch("net", progress)
    assert path.read_bytes() == CONTENT
    assert seen == [(6, "net"), *[1_000_000] * 5, 120_000]
    assert names(cache) == ["net.pth", "net.pth.sha256"]
    assert (cache / "net.pth.sha256").read_text() == f"{DIGEST}  net.pth\n"


def test_offline_reuse(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, site)
    path = fetch("net")
    register(monkeypatch, site, source="http://127.0.0.1:9/nothing-listens-here")
    assert fetch("net") == cached("net") == path
    assert site.asked == [None]


@pytest.mark.parametrize("digits", [8, 0], ids=["eight digits known", "no hash known"])
def test_the_first_fetch_records_a_hash_that_is_not_public(
    digits: int, site: Site, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, site, sha256=DIGEST[:digits], size=None)
    fetch("net")
    assert (cache / "net.pth.sha256").read_text().startswith(DIGEST)


def test_resumes_after_broken_connections(
    site: Site, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, site)
    site.break_after = [3_000_000, 500_000]
    assert fetch("net").read_bytes() == CONTENT
    assert site.asked == [None, "bytes=3000000-", "bytes=3500000-"]
    assert names(cache) == ["net.pth", "net.pth.sha256"]


def test_the_next_call_resumes_where_the_last_one_stopped(
    site: Site, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, site)
    site.break_after = [1_000_000] * download.ATTEMPTS
    with pytest.raises(WeightsError, match="broke after 3000000 of 5120000 bytes") as error:
        fetch("net")
    assert site.url in str(error.value)
    assert str(cache / "net.pth") in str(error.value)
    assert cached("net") is None
    assert names(cache) == ["net.pth.part", "net.pth.part.version"]
    assert len(site.asked) == download.ATTEMPTS
    assert fetch("net").read_bytes() == CONTENT
    assert site.asked[-1] == "bytes=3000000-"
    assert names(cache) == ["net.pth", "net.pth.sha256"]


@pytest.mark.parametrize("case", ["no ranges", "no etag", "changed", "changed, If-Range ignored"])
def test_restarts_if_resuming_would_mix_two_files(
    case: str, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = CONTENT[::-1]
    changed = case.startswith("changed")
    known = hashlib.sha256(new if changed else CONTENT).hexdigest()
    site.etag = None if case == "no etag" else '"1"'
    with pytest.MonkeyPatch.context() as patch:
        register(patch, site, sha256=known)
        patch.setattr(download, "ATTEMPTS", 1)
        site.break_after = [1_000_000]
        with pytest.raises(WeightsError):
            fetch("net")
    register(monkeypatch, site, sha256=known)
    site.ranges = case != "no ranges"
    if changed:
        site.content, site.etag = new, '"2"'
    if case.endswith("ignored"):
        monkeypatch.setattr(site, "etag", AnyVersion('"2"'))
    assert fetch("net").read_bytes() == site.content


class AnyVersion(str):
    """An ETag that the server treats as equal to any other."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = str.__hash__


def test_a_wrong_hash_is_refused_and_removed(
    site: Site, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, site, sha256="0" * 8)
    with pytest.raises(WeightsError, match=f"begins {DIGEST[:8]}, not 00000000; it was removed"):
        fetch("net")
    assert names(cache) == []


@pytest.mark.parametrize("says_length", [True, False])
@pytest.mark.parametrize("off", [-1, 1])
def test_a_wrong_size_is_refused(
    off: int, says_length: bool, site: Site, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, site, size=len(CONTENT) + off)
    site.says_length = says_length
    with pytest.raises(WeightsError, match="the file there"):
        fetch("net")
    assert "net.pth" not in names(cache)


def test_a_server_that_does_not_tell_the_length(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, site, size=None)
    site.says_length = False
    assert fetch("net").read_bytes() == CONTENT


def test_a_missing_file_and_a_site_out_of_reach(
    site: Site, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, site)
    site.status = 404
    with pytest.raises(WeightsError, match="answers 404"):
        fetch("net")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    register(monkeypatch, site, source=f"http://127.0.0.1:{port}/net.pth")
    with pytest.raises(WeightsError, match="cannot be reached") as error:
        fetch("net")
    assert f"127.0.0.1:{port}/net.pth" in str(error.value)
    assert f"save it as {cache / 'net.pth'}" in str(error.value)
    assert names(cache) == []


def test_a_file_put_there_by_hand_is_verified(
    site: Site, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, site)
    cache.mkdir(parents=True)
    (cache / "net.pth").write_bytes(CONTENT)
    assert fetch("net") == cache / "net.pth"
    assert names(cache) == ["net.pth", "net.pth.sha256"]

    (cache / "net.pth").write_bytes(b"an error page")
    os.utime(cache / "net.pth", ns=(2**62, 2**62))
    for ask in (cached, fetch):
        with pytest.raises(WeightsError, match=r"net\.pth is not net: its SHA-256 begins"):
            ask("net")
    assert (cache / "net.pth").read_bytes() == b"an error page"
    assert listing()[-1].state == weights.OTHER
    assert site.asked == []


def test_a_hash_recorded_once_holds(
    site: Site, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, site, fetchable=False, sha256="", size=None)
    with pytest.raises(WeightsError, match="with a browser and save it as") as error:
        fetch("net")
    assert site.url in str(error.value)
    cache.mkdir(parents=True)
    (cache / "net.pth").write_bytes(b"first")
    assert fetch("net") == cache / "net.pth"
    (cache / "net.pth").write_bytes(b"second")
    os.utime(cache / "net.pth", ns=(2**62, 2**62))
    with pytest.raises(WeightsError, match="it was replaced"):
        cached("net")


def test_a_file_is_hashed_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, site)
    fetch("net")
    monkeypatch.setattr(weights, "sha256", lambda path: pytest.fail("hashed again"))
    assert cached("net")


def test_two_programs_do_not_write_one_file(
    site: Site, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    register(monkeypatch, site)
    cache.mkdir(parents=True)
    with open(cache / "net.pth.part", "ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(WeightsError, match="another process is downloading net"):
            fetch("net")


def test_a_cache_that_cannot_be_written(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, site)
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(VidposeError, match="cannot be written"):
        fetch("net")


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    name = REGISTRY["hrnet-w32"].file
    monkeypatch.delenv("VIDPOSE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_path("hrnet-w32") == Path("/x/vidpose/weights") / name
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_path("hrnet-w32") == Path("/home/me/.cache/vidpose/weights") / name


def test_the_registry_is_sound() -> None:
    for name, entry in REGISTRY.items():
        assert entry.name == name
        assert urlsplit(entry.source).scheme == "https"
        assert len(entry.sha256) in (0, 8, 64)
        assert set(entry.sha256) <= set("0123456789abcdef")
        if entry.fetchable:  # OpenMMLab's names end with the hash's first digits, maybe a date
            assert entry.source.endswith(f"/{entry.file}")
            assert f"-{entry.sha256[:8]}" in entry.file
    assert len({entry.file for entry in REGISTRY.values()}) == len(REGISTRY)


def test_the_addresses_are_openmmlabs_own() -> None:
    """The model indexes and the inferencer's table in the wheels name the same files."""
    told = ""
    for package in ("mmpose", "mmdet"):
        for place in importlib.util.find_spec(package).submodule_search_locations:  # type: ignore[union-attr]
            folder = Path(place)
            table = folder / "apis/inferencers/utils/default_det_models.py"
            indexes = [
                *folder.glob(".mim/configs/rtmdet/metafile.yml"),
                *folder.glob(".mim/configs/body_2d_keypoint/topdown_heatmap/coco/hrnet_coco.yml"),
                *([table] if table.is_file() else []),
            ]
            told += "".join(path.read_text() for path in indexes)
    told = re.sub(r"'\s+'", "", told)  # the table breaks an address over two lines
    for entry in REGISTRY.values():
        assert not entry.fetchable or entry.source in told


def test_unknown_names() -> None:
    for ask in (cached, fetch, cache_path):
        with pytest.raises(UsageError, match="choose from hrnet-w32, "):
            ask("hrnet")


def test_listing() -> None:
    lines = {line.name: line for line in listing()}
    assert lines["default"].state == "comes with vidpose"
    assert lines["rtmdet-m"].state == "not downloaded"
    assert lines["rtmdet-m"].size == 224_299_609
    assert len(lines["rtmdet-m"].sha256) == len(lines["default"].sha256) == 64
    assert lines["hrnet-w32"].sha256 == "81c58e40... (no more is public)"
    assert lines["hrnet-w32"].size is None
    assert lines["cpn-r50-256x192"].state == "not downloaded; needs a browser"


def test_sha256_of_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert sha256(tmp_path / "empty") == hashlib.sha256().hexdigest()


def test_the_weights_that_come_with_it() -> None:
    path = find_weights("default")
    assert path.stat().st_size <= 25_000_000
    assert path.with_suffix(".md").is_file()
    checkpoint = load_checkpoint(path)
    assert sum(p.numel() for p in checkpoint.model.parameters()) <= 12_000_000
    assert set(TEST) <= set(checkpoint.training["held_out"])


@pytest.mark.parametrize("record", ["net.pth.sha256", "net.pth.part.version"])
def test_pipes_in_the_cache_do_not_hold_it_up(
    record: str, site: Site, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, site)
    cache.mkdir(parents=True)
    (cache / "net.pth.part").write_bytes(CONTENT[:1000])
    os.mkfifo(cache / record)
    with suppress(WeightsError):  # that a record cannot be written is no hindrance, or said
        fetch("net")
    assert listing()[-1].state in (weights.HERE, weights.ABSENT)


def test_a_cache_that_may_not_be_entered(
    site: Site, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The behaviour of pathlib before Python 3.12 for users other than root."""
    register(monkeypatch, site)

    def locked(path: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", locked)
    assert cached("net") is None
    assert listing()[-1].state == weights.ABSENT


def test_a_file_that_cannot_be_read(
    site: Site, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, site)
    cache.mkdir(parents=True)
    (cache / "net.pth").write_bytes(CONTENT)

    def broken(path: Path) -> str:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(weights, "sha256", broken)
    with pytest.raises(WeightsError, match=r"net\.pth cannot be read \(Input/output error\)"):
        cached("net")


def test_a_cache_in_a_system_folder(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, site)
    monkeypatch.setenv("VIDPOSE_CACHE", "/proc/x")
    with pytest.raises(VidposeError, match="cannot be written"):
        fetch("net")
