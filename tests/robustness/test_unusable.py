"""What an earlier run has left, forged or stale: it is said, and the work begins again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vidpose
from tests.bvh_files import write_mocap
from tests.clips import make_clip
from tests.detect.test_cache import KEY, fill
from tests.fakes import FakeDetector, tiny_weights, use_fake_detector
from tests.training.test_run import run_mocap
from vidpose import pipeline
from vidpose.detect import cache
from vidpose.detect.cache import DetectionCache
from vidpose.errors import NoPersonError, UsageError, VidposeError
from vidpose.events import Event, Warn
from vidpose.skeleton import COCO17
from vidpose.training.run_folder import RunFolder


class StopsHereError(Exception):
    pass


class StoppingDetector(FakeDetector):
    """Stops after 30 frames, the first time."""

    stops = True

    def detect(self, frames: Any) -> Any:
        for number, found in enumerate(super().detect(frames)):
            if number == 30 and self.stops:
                StoppingDetector.stops = False
                raise StopsHereError
            yield found


def without(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda stretch: {key: value for key, value in stretch.items() if key != name}


def with_(**entries: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda stretch: stretch | entries


def end(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def forge(stretch: dict[str, Any]) -> dict[str, Any]:
        return stretch | {"end": np.array(json.dumps(json.loads(str(stretch["end"])) | changes))}

    return forge


FORGED = {
    "nothing but the key": lambda stretch: {"key": stretch["key"]},
    "no end": without("end"),
    "an end that is no JSON": with_(end=np.array("{")),
    "an end that is a list": with_(end=np.array("[]")),
    "warnings that are a number": end(warnings=3),
    "no times": without("timestamps"),
    "times of another length": lambda s: s | {"timestamps": s["timestamps"][:-1]},
    "times that fall": lambda s: s | {"timestamps": s["timestamps"][::-1].copy()},
    "times that are no numbers": lambda s: s | {"timestamps": s["timestamps"] * np.nan},
    "frames before the first": lambda s: s | {"frame_indices": s["frame_indices"] - 9},
    "text for frames": lambda s: s | {"frame_indices": s["frame_indices"].astype(str)},
    "too many people": lambda s: s | {"people": s["people"] + 1},
    "fewer than no people": lambda s: s | {"people": s["people"] - [5, -5, 0]},
    "another skeleton": lambda s: s | {"keypoints": s["keypoints"][:, :5]},
    "scores beyond 1": lambda s: s | {"scores": s["scores"] + 5},
    "objects": with_(keypoints=np.array([len], object)),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_forged_stretch_is_not_used(forge: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    folder = fill(tmp_path / "a.npz").folder
    first = folder / "000000000.npz"
    with np.load(first) as archive:
        np.savez(first, **forge(dict(archive)))
    told: list[Event] = []
    with DetectionCache(tmp_path / "a.npz", KEY, COCO17, told.append) as again:
        assert again.resumed.frames == 0
    assert "000000000.npz is damaged; what comes after 0 frames is detected again" in str(told[0])


MEMORIES: dict[str, Any] = {"none": None, "a list": [], "empty": {}, "text": {"frames": "many"}}


@pytest.mark.parametrize("memory", MEMORIES.values(), ids=MEMORIES)
def test_a_forged_memory_or_another_videos_frames(
    memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _stopped_run(tmp_path, monkeypatch)
    for stretch in (tmp_path / "out").glob(".*.partial/*.npz"):
        with np.load(stretch) as archive:
            np.savez(stretch, **end(memory=memory)(dict(archive)))
    _begins_again(run, tmp_path)


def test_frames_of_another_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = _stopped_run(tmp_path, monkeypatch)
    for stretch in (tmp_path / "out").glob(".*.partial/*.npz"):
        with np.load(stretch) as archive:
            entries = dict(archive)
            np.savez(stretch, **entries | {"timestamps": entries["timestamps"] + 100})
    _begins_again(run, tmp_path)


def _stopped_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Event]]:
    """Runs to the end when it is called; 30 frames of an earlier run are there."""
    monkeypatch.setattr(cache, "STRETCH_S", 0.0)
    monkeypatch.setattr(StoppingDetector, "stops", True)
    monkeypatch.setattr(
        pipeline, "open_detector", lambda *_: (Remembering(lambda index: True), "a stand-in")
    )
    video, weights = (
        make_clip(tmp_path / "a.mp4", frames=40),
        tiny_weights(tmp_path / "w.safetensors"),
    )

    def run() -> list[Event]:
        told: list[Event] = []
        vidpose.infer(video, tmp_path / "out", weights=weights, report=told.append)
        return told

    with pytest.raises(StopsHereError):
        run()
    return run


class Remembering(StoppingDetector):
    def remember(self, memory: Any) -> None:
        self._frames = int(memory["frames"])


def _begins_again(run: Callable[[], list[Event]], tmp_path: Path) -> None:
    told = [str(event) for event in run() if isinstance(event, Warn)]
    assert any(".a.partial cannot be used" in line for line in told)
    result = vidpose.load(tmp_path / "out" / "a.npz")
    assert result.frames == 40
    assert not list((tmp_path / "out").glob(".*"))


def test_the_warning_is_shown_once_and_a_second_run_is_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    video, weights = make_clip(tmp_path / "a.mp4"), tiny_weights(tmp_path / "w.safetensors")
    for _ in range(2):
        told: list[Event] = []
        vidpose.infer(video, tmp_path / "out", weights=weights, report=told.append)
        assert not [event for event in told if "partial" in str(event)]


def test_what_a_run_with_other_options_has_left_goes_with_the_next_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    video, weights = make_clip(tmp_path / "a.mp4"), tiny_weights(tmp_path / "w.safetensors")
    target = tmp_path / "out" / "a.npz"
    left = fill(target).folder
    use_fake_detector(monkeypatch, lambda index: False)
    with pytest.raises(NoPersonError):  # no result takes its place yet
        vidpose.infer(video, target, weights=weights)
    assert len(list(left.iterdir())) == 2
    use_fake_detector(monkeypatch)
    vidpose.infer(video, target, weights=weights)
    assert not left.exists()
    # What vidpose has not made stays, and so does what is younger than the result.
    (fill(target).folder / "mine.npz").write_text("mine")
    vidpose.infer(video, target, weights=weights)
    assert [path.name for path in left.iterdir()] == ["mine.npz"]
    vidpose.infer(video, target, weights=weights)
    fill(target)
    vidpose.infer(video, target, weights=weights, relift=True)
    assert len(list(left.iterdir())) == 3


STATES = {
    "empty": lambda state: b"",
    "cut off": lambda state: state[: len(state) // 2],
    "text": lambda state: b"this is no state",
}


@pytest.mark.parametrize("damage", STATES.values(), ids=STATES)
def test_a_training_run_that_cannot_be_taken_up_again(
    damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    mocap = write_mocap(tmp_path / "mocap", ("01", "02", "03"))
    out = tmp_path / "run"
    run_mocap(mocap, out, epochs=1)
    best = (out / "best.safetensors").read_bytes()
    (out / "state.pt").write_bytes(damage((out / "state.pt").read_bytes()))
    for number in (1, 2):
        told: list[Event] = []
        run_mocap(mocap, out, epochs=1, resume=True, report=told.append)
        (warning,) = (str(event) for event in told if isinstance(event, Warn))
        assert (
            f"this run starts again; the old files are in {out / f'set-aside-{number}'}" in warning
        )
        (out / "state.pt").write_bytes(b"")
    assert (out / "set-aside-1" / "best.safetensors").read_bytes() == best
    (out / "state.pt").unlink()
    with pytest.raises(UsageError, match="holds no run to resume"):
        run_mocap(mocap, out, epochs=1, resume=True)


@pytest.mark.parametrize(
    "change",
    [
        {"run": {"epoch": "one"}},
        {"run": {"epoch": -1}},
        {"run": {"log": [1]}},
        {"run": 3},
        {"recipe": []},
        {"data": None},
        {"format": "vidpose-run/9"},
    ],
    ids=str,
)
def test_a_state_that_holds_no_run(change: dict[str, Any], tmp_path: Path) -> None:
    state = {"format": "vidpose-run/1", "recipe": {}, "data": {}, "run": {"epoch": 1}}
    folder = RunFolder(tmp_path)
    torch.save(state, folder.state)
    assert folder.is_usable()
    torch.save(state | change, folder.state)
    assert not folder.is_usable()


def test_the_state_of_another_network(tmp_path: Path) -> None:
    mocap = write_mocap(tmp_path / "mocap", ("01", "02", "03"))
    run_mocap(mocap, tmp_path / "run", epochs=1)
    path = tmp_path / "run" / "state.pt"
    state = torch.load(path, weights_only=True)
    torch.save(state | {"model": {"x": torch.zeros(1)}}, path)
    with pytest.raises(VidposeError, match=r"another network's state .*; start a new run"):
        run_mocap(mocap, tmp_path / "run", epochs=2, resume=True)
