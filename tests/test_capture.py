"""Cameras and streams: a loopback stream and a test picture stand in for them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.clips import make_clip, make_sound
from tests.file_server import Site, serving
from tests.streams import nobody_listens, sending
from vidpose.errors import UsageError, VideoError
from vidpose.video import capture, open_source
from vidpose.video.capture import without_password


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    options = {"g": "5", "bf": "0"}
    return make_clip(
        tmp_path / "a.ts", frames=30, rate=Fraction(30), noise=True, codec_options=options
    )


def test_a_stream_gives_every_frame_at_its_time(clip: Path) -> None:
    with sending(clip.read_bytes()) as address:
        source = open_source(address)
        assert source.size == (64, 48)
        assert not source.recorded
        shots = list(source.shots())
        source.close()
    assert [shot.index for shot in shots] == list(range(30))
    np.testing.assert_allclose([shot.time_s for shot in shots], np.arange(30) / 30, atol=1e-4)
    image = shots[3].picture()
    assert image.shape == (48, 64, 3)
    assert image[2, 2, 0] > 200  # red in the top left corner
    assert image[2, 2, 2] < 60


def test_a_cable_that_is_out_ends_the_frames_with_a_sentence(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "READ_S", 0.3)
    with sending(clip.read_bytes(), hang=True) as address:
        source = open_source(address)
        frames = len(list(source.shots()))
        source.close()
    assert 20 <= frames <= 30  # what the parser still holds is lost
    (warning,) = source.warnings
    assert "has stopped sending pictures (nothing comes)" in warning


def test_a_file_on_a_server_is_recorded(tmp_path: Path) -> None:
    content = make_clip(tmp_path / "a.mp4", options={"movflags": "faststart"}).read_bytes()
    with serving(Site(content)) as site:
        source = open_source(site.url)
        assert source.recorded
        assert len(list(source.shots())) == 12
        source.close()


def test_a_camera_is_asked_for_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "_device", lambda number: ("testsrc=duration=0.2", "lavfi", {}))
    source = open_source("0", (64, 48))
    assert source.name == "camera 0"
    assert len(list(source.shots())) == 5
    source.close()
    opened: dict[str, Any] = {}

    def refuse(name: str, **how: Any) -> None:
        opened.update(how)
        raise av.error.OSError(16, "Device or resource busy")

    monkeypatch.setattr(av, "open", refuse)
    with pytest.raises(VideoError, match=r"cannot be opened \(device or resource busy\)"):
        open_source("0", (64, 48))
    assert opened["options"]["video_size"] == "64x48"


def test_a_camera_that_has_no_frame_yet_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class NotYet:
        """A container that gives each packet at the second time of asking."""

        def __init__(self, container: Any) -> None:
            self._container, self._asked = container, 0
            self.streams, self.duration = container.streams, None
            self.close = container.close

        def demux(self, stream: Any) -> Any:
            for packet in self._container.demux(stream):
                self._asked += 1
                yield packet
                if self._asked % 2:
                    raise av.error.BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(capture, "_device", lambda number: ("testsrc=duration=0.2", "lavfi", {}))
    real = av.open
    monkeypatch.setattr(av, "open", lambda *a, **how: NotYet(real(*a, **how)))
    source = open_source("0")
    assert len(list(source.shots())) == 5
    assert source.warnings == []


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (av.error.FileNotFoundError(2, "No such file"), "There is no camera 3; cameras count from"),
        (av.error.PermissionError(13, "Permission denied"), "Camera 3 may not be used; allow it"),
    ],
)
def test_cameras_that_cannot_be_opened(
    error: Exception, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(av, "open", fail)
    with pytest.raises(VideoError, match=message):
        open_source("3")


def test_streams_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "OPEN_S", 0.3)
    with pytest.raises(VideoError, match=r"cannot be opened \(connection refused\)"):
        open_source(nobody_listens())
    with pytest.raises(VideoError, match=r"cannot be opened \(protocol not found\)"):
        open_source("carrier-pigeon://coop")
    with sending(b"", hang=True) as address, pytest.raises(VideoError, match="nothing comes"):
        open_source(address)
    with sending(b"no video" * 999) as address, pytest.raises(VideoError, match="cannot be opened"):
        open_source(address)
    sound = make_sound(tmp_path / "a.ts").read_bytes()
    with sending(sound) as address, pytest.raises(VideoError, match="sends no video"):
        open_source(address)


def test_no_password_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert without_password("rtsp://me:s@cret@host/a?b=c@d") == "rtsp://***@host/a?b=c@d"
    assert without_password("rtsp://host/a@b") == "rtsp://host/a@b"
    address = nobody_listens().replace("://", "://me:secret@")
    with pytest.raises(VideoError) as caught:
        open_source(address)
    assert "secret" not in str(caught.value)


def test_only_cameras_have_a_size(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--size is for cameras"):
        open_source("rtsp://me:secret@host/", (64, 48))
    with pytest.raises(UsageError, match=r"a\.mp4 has its own size"):
        open_source("a.mp4", (64, 48))
