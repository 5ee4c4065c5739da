from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.charts import pixels
from tests.results import make_result
from vidpose.errors import UsageError, VidposeError
from vidpose.evaluation.options import PICTURES
from vidpose.evaluation.options import PLOTS as NAMES
from vidpose.poses import Pose3D
from vidpose.postprocess.ground_plane import place_in_world
from vidpose.postprocess.quality import quality_report
from vidpose.render.plots import COLOURS, new_figure, save
from vidpose.render.result_plots import PLOTS, places, plot, speeds


def walkers(people: int = 2, frames: int = 40) -> Pose3D:
    """People who walk to the right at 1.5 m/s, with stretches interpolated or absent."""
    times = np.arange(frames) / 30
    root = np.zeros((people, frames, 3), np.float32)
    root[..., 0] = 1.5 * times + np.arange(people)[:, None]
    root[..., 2] = 5
    joints = make_result(people=people, frames=1).joints_3d.repeat(frames, axis=1)
    present, observed = np.ones((2, people, frames), bool)
    present[-1, 25:] = observed[-1, 25:] = False
    observed[:, 10:14] = False
    joints[~present] = np.nan
    root[~present] = np.nan
    return make_result(
        people=people, frames=frames, root_3d=root, joints_3d=joints, timestamps=times,
        present=present, observed=observed,
    )  # fmt: skip


def with_report(result: Pose3D) -> Pose3D:
    result.meta["trust"] = quality_report(result)
    return result


def test_option_names_match_the_plots() -> None:
    assert tuple(PLOTS) == NAMES


@pytest.mark.parametrize("what", PLOTS)
@pytest.mark.parametrize("world", [False, True])
def test_every_plot_shows_everybody(what: str, world: bool, tmp_path: Path) -> None:
    result = walkers()
    if world:
        result = place_in_world(result, camera_pitch=0.0)
    out = save(plot(with_report(result), what, name="me"), tmp_path / "a.png")
    for colour in COLOURS[:2]:
        assert pixels(out, colour) > 150


@pytest.mark.parametrize("format", PICTURES)
def test_formats(format: str, tmp_path: Path) -> None:
    """The same figure gives the same file."""
    first, second = (
        save(plot(walkers(), "speeds"), tmp_path / f"{n}.{format}").read_bytes() for n in "ab"
    )
    assert first == second
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[format]
    assert first.startswith(start)


def test_nothing_is_left_of_a_figure_that_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(VidposeError, match="not a folder"):
        save(new_figure(1, 1), tmp_path / "file" / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_one_person_and_named_joints() -> None:
    figure = plot(walkers(), "speeds", person=2, joints=("Head", "RKnee"))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Head", "RKnee"]
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"person 2"}


def test_of_many_people_those_who_are_seen_longest() -> None:
    result = walkers(people=6)
    present = result.present.copy()
    figure = plot(result, "trajectories", name="me")
    assert not present[5].all()
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [f"person {n}" for n in (1, 2, 3, 4)]
    title = figure.get_suptitle()
    assert title.startswith("me: the 4 of 6 people who are visible longest")


def test_axes_have_names_with_units() -> None:
    for what in ("trajectories", "angles", "speeds"):
        figure = plot(walkers(), what)
        named = [axes.get_xlabel() for axes in figure.axes]
        assert "time, s" in named
        said = figure.get_supylabel() + "".join(
            axes.get_title(loc="left") + axes.get_ylabel() for axes in figure.axes
        )
        assert {"trajectories": ", m", "angles": "degrees", "speeds": "m/s"}[what] in said


@pytest.mark.parametrize(
    "damage",
    [
        {"worst_moments": [5, {"person": 1}, {"person": 1, "time_s": "soon"}]},
        {"worst_moments": 5},
        {"people": [{"person": 1, "jitter_mm": "a lot"}, {"person": 2, "jitter_mm": 1e400}, 7]},
    ],
)
def test_a_malformed_quality_report_is_drawn_as_far_as_it_goes(damage: dict[str, Any]) -> None:
    result = with_report(walkers())
    result.meta["trust"] |= damage
    plot(result, "quality").canvas.draw()


def test_the_worst_moments_of_a_part_are_within_it() -> None:
    result = with_report(walkers())
    moment = {
        **{"time_s": 1.2, "from_s": 1.1, "to_s": 1.3, "person": 1, "what": "jitter_mm"},
        **{"where": "LFoot", "value": 103.0, "usually": 14.0, "also": []},
    }
    result.meta["trust"]["worst_moments"] = [moment, moment | {"time_s": 0.5}]
    figure = plot(result.between(0, 1), "quality")
    assert "0:01.2" not in figure.get_suptitle()
    assert "1  0:00.5" in figure.get_suptitle()
    assert figure.axes[-1].get_xlim()[1] < 1.1


@pytest.mark.parametrize("time_s", [0.333, 0.667])
def test_a_worst_moment_in_the_first_or_last_frame_is_drawn(time_s: float) -> None:
    """At 30 frames/s, a third of a second is rounded out of the part that begins or ends there."""
    result = with_report(walkers())
    result.meta["trust"]["worst_moments"] = [
        {
            **{"time_s": time_s, "from_s": time_s, "to_s": time_s, "person": 1},
            **{"what": "jitter_mm", "where": "LFoot", "value": 103.0, "usually": 14.0, "also": []},
        }
    ]
    third = 1 / 3 - 1e-9
    assert (
        "left foot jumps" in plot(result.between(third, 2 * third + 1e-8), "quality").get_suptitle()
    )


def test_what_cannot_be_drawn() -> None:
    result = walkers()
    for options, why in (
        ({"what": "photos"}, "no plot photos; choose trajectories"),
        ({"person": 9}, "no person 9; there are 1, 2"),
        ({"joints": ("Tail",)}, "no joint Tail; choose Hip"),
        ({"what": "quality"}, "has no quality report"),
    ):
        with pytest.raises(UsageError, match=why):
            plot(result, **options)
    result.meta["trust"] = {"people": 5}
    with pytest.raises(UsageError, match="has no quality report"):
        plot(result, "quality")


def test_speeds() -> None:
    """1.5 m/s for all; no speed across absences or from a single frame."""
    result = walkers()
    found = speeds(result)
    np.testing.assert_allclose(found[0], 1.5, atol=1e-3)
    np.testing.assert_allclose(found[1, :25], 1.5, atol=1e-3)
    assert np.isnan(found[1, 25:]).all()
    assert np.isnan(speeds(walkers(people=1, frames=1))).all()
    apart = make_result(people=1, frames=4, timestamps=np.array([0.0, 0.1, 5.0, 5.1]))
    steps = np.linalg.norm(np.diff(apart.joints_camera()[0], axis=0), axis=-1) / 0.1
    np.testing.assert_allclose(speeds(apart)[0], steps[[0, 0, 2, 2]], rtol=1e-3)


def test_places_are_right_away_and_up() -> None:
    result = walkers(people=2)
    camera, names = places(result, in_world=False)
    np.testing.assert_allclose(camera[..., 0, 0], result.root_3d[..., 0])
    np.testing.assert_allclose(camera[0, :, 0, 1], 5)
    np.testing.assert_allclose(camera[..., 2], -result.joints_camera()[..., 1], atol=1e-6)
    assert names[2] == "height over the camera, m"
    level = place_in_world(result, camera_pitch=0.0)
    world, names = places(level, in_world=True)
    np.testing.assert_allclose(world[..., :2], camera[..., :2], atol=1e-5)
    assert names[2] == "height over the floor, m"
