"""Every lie of a server gives a one-sentence error and no file, and the next fetch works."""

import hashlib
import re
from pathlib import Path

import pytest

from tests.file_server import Site, serving
from tests.lying_server import CONTENT, LIES, lying
from vidpose.errors import WeightsError
from vidpose.zoo import download, registry
from vidpose.zoo.registry import Weights, fetch

DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("name", LIES)
def test_a_lie(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lie, cache = LIES[name], tmp_path / "weights"
    monkeypatch.setenv("VIDPOSE_CACHE", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "LARGEST", 3 * len(CONTENT))
    monkeypatch.setattr(download, "TIMEOUT_S", 0.5 if lie.is_slow else 30.0)

    def register(url: str) -> None:
        size = len(CONTENT) if lie.size_known else None
        entry = Weights(
            name="net", what="a network", file="net.pth", source=url, size=size, sha256=DIGEST
        )
        monkeypatch.setattr(registry, "REGISTRY", {"net": entry})

    with lying(lie) as url:
        register(url)
        with pytest.raises(WeightsError) as told:
            fetch("net")
    sentence = str(told.value)
    assert re.search(lie.sentence, sentence), sentence
    assert "\n" not in sentence
    left = {path.name for path in cache.iterdir()}
    assert left in (set(), {"net.pth.part", "net.pth.part.version"})

    with serving(Site(CONTENT)) as site:
        register(site.url)
        assert fetch("net").read_bytes() == CONTENT
    assert {path.name for path in cache.iterdir()} == {"net.pth", "net.pth.sha256"}


def test_a_slow_download_keeps_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "TIMEOUT_S", 0.2)
    part = tmp_path / "net.part"
    with lying(LIES["a byte now and then"]) as url, pytest.raises(download.DownloadError):
        download.download(url, part, len(CONTENT), lambda steps, total, label: steps, "net")
    came = part.read_bytes()
    assert came
    assert CONTENT.startswith(came)
