from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.clips import make_clip
from tests.fakes import tiny_weights, use_fake_detector
from tests.render.people import walk
from tests.viewer.pages import read_page
from vidpose.cli import main
from vidpose.poses import save

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str | Path) -> Result:
        return CliRunner().invoke(main, [str(a) for a in arguments])

    return invoke


def test_infer_and_view(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_fake_detector(monkeypatch)
    make_clip(tmp_path / "a.mp4")
    weights = tiny_weights(tmp_path / "tiny.safetensors")
    made = run("infer", "a.mp4", "--weights", weights, "--view-html", "-o", "out")
    assert made.exit_code == 0, made.output
    assert "3D player (0." in made.stdout
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.html", "a.npz"]
    page = read_page((tmp_path / "out" / "a.html").read_text(encoding="utf-8"))
    assert page.header["title"] == "a.mp4"
    assert page.video is not None

    part = run("view", "out/a.npz", "-o", "b.html", "--every", "2", "--without-video")
    assert part.exit_code == 0, part.output
    assert part.stdout.endswith("b.html\n")
    page = read_page((tmp_path / "b.html").read_text(encoding="utf-8"))
    assert page.frame_indices.tolist() == [0, 2, 4, 6, 8, 10]
    assert page.video is None


def test_a_batch_writes_pages_that_are_missing(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_fake_detector(monkeypatch)
    (tmp_path / "clips").mkdir()
    make_clip(tmp_path / "clips" / "a.mp4")
    weights = tiny_weights(tmp_path / "tiny.safetensors")
    for more in ([], ["--view-html"]):
        made = run("infer", "clips", "--weights", weights, "-o", "out", *more)
        assert made.exit_code == 0, made.output
    assert (tmp_path / "out" / "a.html").exists()
    before = (tmp_path / "out" / "a.html").stat().st_mtime_ns
    run("infer", "clips", "--weights", weights, "-o", "out", "--view-html")
    assert (tmp_path / "out" / "a.html").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["no.npz"], 1, "no.npz does not exist"),
        (["a.npz", "-o", "a.txt"], 2, "give the name of the .html"),
        (["a.npz", "-o", "mine.html"], 2, "was not written by vidpose"),
        (["a.npz", "--video", "other.mp4"], 1, "is not the video of this result"),
        (["a.npz", "--start", "5"], 2, "give another --start or --end"),
        (["a.npz", "--start", "2", "--end", "1"], 2, "--end 1 is not after --start 2"),
        (["a.npz", "--link-video", "--without-video"], 2, "contradict each other"),
    ],
)
def test_mistakes(run: Run, tmp_path: Path, arguments: list[str], code: int, says: str) -> None:
    save(walk(), tmp_path / "a.npz")
    make_clip(tmp_path / "other.mp4")
    (tmp_path / "mine.html").write_text("<p>mine</p>")
    before = sorted(tmp_path.iterdir())
    failed = run("view", *arguments)
    assert failed.exit_code == code, failed.output
    (line,) = failed.stderr.strip().splitlines()
    assert says in line
    assert sorted(tmp_path.iterdir()) == before


def test_link_video_without_a_source_video(run: Run, tmp_path: Path) -> None:
    save(walk(), tmp_path / "a.npz")
    made = run("view", "a.npz", "--link-video")
    assert made.exit_code == 0, made.output
    assert "Warning: The page has no video: this result was made without one" in made.output
    assert "Warning" not in run("view", "a.npz").output
