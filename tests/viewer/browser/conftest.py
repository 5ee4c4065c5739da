from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.clips import make_clip
from tests.viewer.chromium import open_browser, wait_until
from tests.viewer.test_page import two_people
from vidpose.poses import Pose3D
from vidpose.postprocess.ground_plane import place_in_world
from vidpose.provenance import describe_file
from vidpose.viewer.page import write_page

MOMENT = {
    **{"time_s": 0.5, "from_s": 0.4, "to_s": 0.6, "person": 1, "what": "jitter_mm"},
    **{"where": "LFoot", "value": 103.0, "usually": 14.0, "also": []},
}


@dataclass(frozen=True, eq=False)
class Player:
    """A page that is open in a browser, and everything that the browser complained about."""

    page: Any
    result: Pose3D
    errors: list[str] = field(default_factory=list)

    def seek(self, frame: int) -> None:
        self.page.evaluate(f"vidpose.seek({frame})")

    def wait(self, condition: str) -> None:
        wait_until(self.page, condition)

    @property
    def frame(self) -> int:
        return int(self.page.evaluate("vidpose.frame"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    with open_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def result(tmp_path_factory: pytest.TempPathFactory) -> Pose3D:
    """Two people with a world, a video and a worst moment."""
    video = make_clip(tmp_path_factory.mktemp("film") / "film.mp4", size=(64, 48), frames=30)
    meta = {"source": describe_file(video), "trust": {"worst_moments": [MOMENT]}}
    filmed = two_people(frame_size=(64, 48), timestamps=np.arange(30) * 1001 / 30000)
    placed = place_in_world(filmed, camera_pitch=0.0)
    placed.meta.update(meta)
    return placed


@pytest.fixture(scope="session")
def written(result: Pose3D, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(result, tmp_path_factory.mktemp("page") / "film.html")


@pytest.fixture
def player(browser: Any, result: Pose3D, written: Path) -> Iterator[Player]:
    context = browser.new_context(
        viewport={"width": 1000, "height": 700}, color_scheme="light", offline=True
    )
    made = Player(context.new_page(), result)
    note = made.errors.append
    made.page.on("console", lambda said: said.type == "error" and note(said.text))
    made.page.on("pageerror", lambda error: note(str(error)))
    made.page.on("request", lambda asked: asked.url.startswith("http") and note(asked.url))
    made.page.goto(written.as_uri())
    made.wait("!!window.vidpose && vidpose.drawn > 0")
    yield made
    context.close()
    assert made.errors == []
