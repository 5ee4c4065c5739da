"""`vidpose plot` on the command line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.charts import pixels
from tests.results import make_result
from vidpose.cli import main
from vidpose.evaluation.distance_plots import two_results_figure
from vidpose.evaluation.distances import measure
from vidpose.evaluation.reference import of_result, read_reference
from vidpose.poses import load, save
from vidpose.postprocess.quality import quality_report
from vidpose.render.plots import COLOURS

Run = Callable[..., Result]
SOURCE = {"path": "a.mp4", "sha256": "a" * 64}
ERRORS = ("by_joint", "by_joint_and_time", "over_time", "cumulative")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in a folder with two results of one video and one of another."""
    monkeypatch.chdir(tmp_path)
    result = make_result(frames=20, meta={"source": SOURCE})
    result.meta["trust"] = quality_report(result)
    save(result, "a.npz")
    joints = result.joints_3d + np.float32(0.05) * (np.arange(17) > 0)[:, None]
    other = make_result(frames=20, joints_3d=joints.astype(np.float32), meta={"source": SOURCE})
    save(other, "b.npz")
    save(make_result(frames=20, meta={"source": {"sha256": "c" * 64}}), "c.npz")

    def invoke(*arguments: str | Path) -> Result:
        return CliRunner().invoke(main, ["plot", *(str(a) for a in arguments)])

    return invoke


def pictures(folder: str) -> set[str]:
    return {path.name for path in Path(folder).iterdir()}


def test_one_result(run: Run) -> None:
    assert run("a.npz").exit_code == 0
    assert pictures("a_plots") == {
        f"{name}.png" for name in ("trajectories", "angles", "speeds", "quality")
    }
    # Without a quality report there is none to draw.
    assert run("c.npz", "-o", "o", "--formats", "pdf,svg").exit_code == 0
    assert pictures("o") == {
        f"{name}.{format}"
        for name in ("trajectories", "angles", "speeds")
        for format in ("pdf", "svg")
    }


def test_plots_of_chosen_kinds_and_people(run: Run) -> None:
    done = run("a.npz", "-o", "o", "--what", "speeds", "--joints", "Head", "--person", "2")
    assert done.exit_code == 0, done.output
    assert pictures("o") == {"speeds.png"}


def test_two_results_of_one_video(run: Run) -> None:
    done = run("a.npz", "b.npz", "--json", "d.json")
    assert done.exit_code == 0, done.output
    assert pictures("a_plots") == {"two_results.png"}
    for colour in COLOURS[:2]:
        assert pixels(Path("a_plots/two_results.png"), colour) > 2000
    distance = 50 * np.sqrt(3) * 16 / 17
    people = json.loads(Path("d.json").read_text())["people"]
    assert [one["mean_mm"] for one in people] == pytest.approx([distance] * 2, rel=1e-3)
    assert f"{distance:.1f}" in done.output


def test_no_legend_hides_the_knee_angles_of_two_results() -> None:
    results = [make_result(frames=20), make_result(frames=20)]
    differences = measure(results[0], of_result(results[1], "b"), "root", label="a")
    figure = two_results_figure(results, ["a", "b"], differences, "root")
    *_, right, left = figure.axes
    assert [axes.get_title(loc="left") for axes in (right, left)] == [
        "Right knee flexion",
        "Left knee flexion",
    ]
    assert right.get_legend() is left.get_legend() is None
    (below,) = figure.legends
    assert [text.get_text() for text in below.get_texts()] == ["a, person 1", "b, person 1"]


def test_a_reference(run: Run) -> None:
    done = run("a.npz", "--reference", "b.npz", "--csv", "e.csv", "-o", "o", "--align", "none")
    assert done.exit_code == 0, done.output
    assert "Alignment: none" in done.output
    assert pictures("o") == {f"errors_{name}.png" for name in ERRORS}
    assert len(Path("e.csv").read_text().splitlines()) == 1 + 2 * 20 * 17


def test_several_results_against_a_reference(run: Run) -> None:
    done = run("a.npz", "c.npz", "--reference", "b.npz", "--person", "1", "-o", "o")
    assert done.exit_code == 0, done.output
    for colour in COLOURS[:2]:
        assert pixels(Path("o/errors_by_joint.png"), colour) > 2000


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("a.npz", "c.npz"), "a and c are of different videos"),
        (("a.npz", "b.npz", "c.npz"), "give one result, two of one video"),
        (("none.npz",), "does not exist"),
        (("a.npz", "--person", "7"), "there is no person 7; there are 1, 2."),
        (("a.npz", "--what", "photos"), "--what photos: choose among trajectories"),
        (("a.npz", "--joints", "Tail"), "there is no joint Tail"),
        (("a.npz", "--formats", "gif"), "--formats gif: choose among png, svg, pdf"),
        (("a.npz", "--csv", "e.csv"), "--csv and --json write errors"),
        (("a.npz", "b.npz", "--csv", "e.x", "--json", "e.x"), "--csv and --json are both e.x"),
        (
            ("a.npz", "b.npz", "--csv", "a.npz.txt"),
            "was not written by vidpose; choose another --csv",
        ),
        (("a.npz", "--align", "root"), "--align goes with --reference"),
        (("a.npz", "--offset", "1"), "--offset goes with --reference FILE"),
        (("a.npz", "b.npz", "--what", "speeds"), "--what and --joints are for one result"),
        (("a.npz", "--reference", "b.npz", "--offset", "9"), "shift it with --offset S"),
        (("a.npz", "--reference", "x.npy"), "does not exist"),
        (("a.npz", "--reference", "b.npz", "--reference-fps", "3"), "has its own times"),
        (("a.npz", "--reference-fps", "0", "--reference", "x.npy"), "give a positive number"),
    ],
)
def test_mistakes_are_a_sentence(
    run: Run, arguments: tuple[str, ...], sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "a.npz.txt").write_text("mine")
    before = set(tmp_path.iterdir())
    done = run(*arguments, "-o", "o")
    assert done.exit_code in (1, 2)
    assert isinstance(done.exception, SystemExit)
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert set(tmp_path.iterdir()) == before


def test_a_reference_is_read_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from vidpose.evaluation import plot_results

    read: list[Path] = []

    def reading(path: Path, *about: Any) -> Any:
        read.append(path)
        return read_reference(path, *about)

    monkeypatch.setattr(plot_results, "read_reference", reading)
    assert run("a.npz", "c.npz", "--reference", "b.npz", "-o", "o").exit_code == 0
    assert read == [Path("b.npz")]
    # An array without times has those of each result.
    np.save("r.npy", load("b.npz").joints_camera())
    assert run("a.npz", "c.npz", "--reference", "r.npy", "-o", "p").exit_code == 0
    assert len(read) == 3


def test_one_frame(run: Run) -> None:
    result = make_result(frames=1, meta={"source": SOURCE})
    result.meta["trust"] = quality_report(result)
    save(result, "one.npz")
    assert run("one.npz").exit_code == 0
    assert pictures("one_plots") == {
        f"{name}.png" for name in ("trajectories", "angles", "speeds", "quality")
    }
    assert run("one.npz", "one.npz", "-o", "two").exit_code == 0
    assert run("one.npz", "--reference", "one.npz", "-o", "errors").exit_code == 0
