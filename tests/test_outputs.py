import os
from pathlib import Path
from typing import Any

import pytest

import vidpose
from tests.clips import make_clip
from tests.fakes import tiny_weights, use_fake_detector
from vidpose.events import Event, Warn
from vidpose.from_keypoints import lift_file
from vidpose.outputs import lifted_path, result_path


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("link", "link"),
        ("link/", "link"),
        ("walk/take1", "take1"),
        ("walk/take1/", "take1"),
        ("walk/take1/..", "walk"),
        (".", "inside"),
        ("./", "inside"),
        ("..", "outside"),
        ("../", "outside"),
    ],
)
def test_results_of_folders_take_the_name_that_was_given(
    folder: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / "outside" / "inside"
    (inside / "walk" / "take1").mkdir(parents=True)
    (inside / "link").symlink_to(inside / "walk" / "take1", target_is_directory=True)
    monkeypatch.chdir(inside)
    assert result_path(Path(folder), "out") == Path("out") / f"{name}.npz"
    assert lifted_path(Path(folder), "out") == Path("out") / f"{name}.npz"


def test_files_of_an_earlier_result_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    weights = tiny_weights(tmp_path / "tiny.safetensors")
    (folder := tmp_path / "out").mkdir()
    video = make_clip(tmp_path / "a.mp4", frames=5)
    said: list[Event] = []

    def older(run: Any, source: Path, **options: Any) -> list[str]:
        """The names in the warning after a run, where all files are older."""
        for path in folder.iterdir():
            os.utime(path, (1, 1))
        said.clear()
        run(source, folder, weights=weights, report=said.append, **options)
        start = f"{folder / 'a.npz'} is new, and files next to it are older and may show an "
        start += "earlier result: "
        texts = [event.message for event in said if isinstance(event, Warn)]
        (names,) = [text.removeprefix(start) for text in texts if text.startswith(start)] or [""]
        return names.removesuffix("; write them again, or delete them.").split(", ")

    def infer(source: Path, *rest: Any, **options: Any) -> None:
        vidpose.infer(source, *rest, **options)

    everything: dict[str, Any] = {"save_2d": True, "save_mmpose": True, "export": "csv,angles,trc"}
    everything |= {"render": True, "view_html": True, "axes": "camera"}
    assert older(infer, video, **everything) == [""]
    exports = ["a.csv", "a.angles.csv", "a_person1.trc"]
    found = ["a.mp4", "a.html", "a.2d.npz", "a.mmpose.json", *exports]
    content = {name: (folder / name).read_bytes() for name in found}
    assert older(infer, video) == [""]  # the same result
    assert older(infer, video, flip=False) == found
    assert content == {name: (folder / name).read_bytes() for name in found}
    assert older(infer, video, relift=True, render=True) == ["a.html", *exports]
    assert older(lift_file, folder / "a.2d.npz") == ["a.mp4", "a.html", *exports]
    # Files of others are not named: the source, a table, notes.
    for name in found:
        (folder / name).unlink()
    (folder / "a.mp4").write_bytes(video.read_bytes())
    for name in ("a.csv", "a.html", "a.mmpose.json", "a_person1.trc", "a_personal.trc"):
        (folder / name).write_text("mine")
    assert older(infer, video) == [""]
    # Nor is the source, if it is an export.
    (folder / "a.csv").unlink()
    infer(video, folder, weights=weights, export="csv,json")
    (folder / "a.npz").unlink()
    assert older(lift_file, folder / "a.json", fps=10.0) == ["a.csv"]
