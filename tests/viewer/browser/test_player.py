"""The player in a real browser. No test may leave an error in the console (see conftest)."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.viewer.browser.conftest import MOMENT, Player
from tests.viewer.chromium import wait_until
from vidpose.poses import Pose3D
from vidpose.render import colours
from vidpose.skeleton import H36M17
from vidpose.viewer.options import ViewOptions
from vidpose.viewer.page import inline, write_page

SPINE, HIP = H36M17.index("Spine"), H36M17.index("Hip")


def projected(player: Player, points: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N, 3) metres to (N, 2) pixels of the canvas, by the matrix of the page's camera."""
    matrix = np.array(player.page.evaluate("vidpose.matrix")).reshape(4, 4).T
    clip = np.c_[points, np.ones(len(points))] @ matrix.T
    size = player.page.evaluate("(c => [c.clientWidth, c.clientHeight])(scene)")
    return (clip[:, :2] / clip[:, 3:] * (0.5, -0.5) + 0.5) * size


@pytest.mark.parametrize("frame", [0, 7, 19, 29])
def test_joints_on_the_screen_are_those_of_the_file(player: Player, frame: int) -> None:
    player.seek(frame)
    world = player.result.joints_world()[:, frame]
    for person, joints in zip(player.result.person_ids.tolist(), world, strict=True):
        shown = [player.page.evaluate(f"vidpose.project({person}, {j})") for j in range(17)]
        if np.isnan(joints).any():
            assert shown == [None] * 17
        else:
            np.testing.assert_allclose(shown, projected(player, joints), atol=0.05)


def test_people_are_drawn_in_their_colours_where_their_joints_are(player: Player) -> None:
    player.seek(12)
    drawn = player.page.evaluate("(vidpose.look('camera'), vidpose.drawn)")
    player.wait(f"vidpose.drawn > {drawn}")
    picture = cv2.imdecode(
        np.frombuffer(player.page.locator("#scene").screenshot(), np.uint8), cv2.IMREAD_COLOR
    )
    assert picture is not None
    for person in player.result.person_ids.tolist():
        x, y = player.page.evaluate(f"vidpose.project({person}, {SPINE})")
        blue, green, red = picture[round(y), round(x)].astype(int)
        _, base, _ = colours.person_colours(person)
        order = np.argsort(base, kind="stable").tolist()
        assert np.argsort([red, green, blue], kind="stable").tolist() == order, (red, green, blue)


def test_keys(player: Player) -> None:
    press = player.page.keyboard.press
    press("End")
    assert player.frame == 29
    press("ArrowLeft")
    assert player.frame == 28
    press("Home")
    press("ArrowRight")
    assert player.frame == 1
    press("m")
    assert player.frame == 15  # at 0.5005 s, which the report rounds to 0.5
    press("m")
    assert player.frame == 15  # it is the only one
    chip = player.page.locator("#people button").nth(1)
    assert chip.get_attribute("aria-pressed") == "true"
    press("2")
    assert chip.get_attribute("aria-pressed") == "false"
    press("t")
    assert player.page.evaluate("document.documentElement.dataset.theme") == "dark"
    press("ArrowUp")
    assert player.page.input_value("#speed") == "2"


def test_scrub_and_marks(player: Player) -> None:
    lanes = player.page.locator("#timeline canvas").bounding_box()
    middle = lanes["x"] + lanes["width"] / 2, lanes["y"] + 5
    player.page.mouse.click(*middle)
    assert player.frame == 15
    player.page.mouse.move(*middle)
    player.page.mouse.down()
    player.page.mouse.move(lanes["x"] + 1, middle[1])
    player.page.mouse.up()
    assert player.frame == 0
    player.page.locator(".mark").click()
    assert player.frame == 15
    assert "left foot jumps" in player.page.locator(".mark").get_attribute("title")


def test_it_plays_in_step_with_the_video(player: Player) -> None:
    video = "document.querySelector('video')"
    player.wait(f"{video}.readyState >= 2")
    assert player.page.evaluate(f"{video}.videoWidth") == 64
    player.seek(20)
    player.wait(f"!{video}.seeking")
    shown = player.page.evaluate(f"{video}.currentTime")
    assert shown == pytest.approx(player.result.timestamps[20], abs=0.01)
    player.page.select_option("#speed", "0.25")
    player.page.click("#play")
    player.wait("vidpose.frame > 22")
    player.page.click("#play")
    frame = player.frame
    player.wait(f"!{video}.seeking")
    shown = player.page.evaluate(f"{video}.currentTime")
    assert shown == pytest.approx(player.result.timestamps[frame], abs=0.01)


def test_loop_and_end(player: Player) -> None:
    player.page.click("#loop")
    player.seek(27)
    player.page.click("#play")
    player.wait("!document.body.classList.contains('playing')")
    assert player.frame == 29
    player.page.click("#loop")
    player.seek(28)
    player.page.click("#play")
    player.wait("vidpose.frame < 20")
    assert player.page.evaluate("document.body.classList.contains('playing')")


def test_saved_joints(player: Player) -> None:
    player.page.keyboard.press("1")
    with player.page.expect_download() as download:
        player.page.click("#save-csv")
    text = Path(download.value.path()).read_text()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert download.value.suggested_filename == "film.mp4-joints.csv"
    assert {row["person"] for row in rows} == {"1"}  # the other is hidden
    assert len(rows) == 15 * 17
    world = player.result.joints_world()[1]
    for row in rows[::29]:
        joint = H36M17.index(row["joint"])
        saved = [float(row[f"{axis}_m"]) for axis in "xyz"]
        np.testing.assert_allclose(saved, world[int(row["frame"]), joint], atol=2e-4)


def test_saved_curves_have_speeds_and_angles(player: Player) -> None:
    wrist = H36M17.index("RWrist")
    with player.page.expect_download() as download:
        player.page.click("#save-curves")
    text = Path(download.value.path()).read_text()
    rows = [row for row in csv.DictReader(io.StringIO(text)) if row["person"] == "0"]
    path = player.result.joints_world()[0, :, wrist].astype(np.float64)
    times = player.result.timestamps
    speed = np.linalg.norm(path[2:] - path[:-2], axis=1) / (times[2:] - times[:-2])
    saved = [float(row["RWrist speed (m/s)"]) for row in rows[1:-1]]
    np.testing.assert_allclose(saved, speed, atol=0.01)
    assert float(rows[5]["Right knee flexion (deg)"]) > 0


def test_saved_picture(player: Player) -> None:
    with player.page.expect_download() as download:
        player.page.click("#save-picture")
    data = np.frombuffer(Path(download.value.path()).read_bytes(), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape[1] > picture.shape[0]
    assert picture.std() > 5


def test_tabs_and_help(player: Player) -> None:
    player.page.click("[data-tab=doubts]")
    player.page.locator("#moments button").click()
    assert player.frame == 15
    player.page.click("[data-tab=about]")
    assert "world frame: x right" in player.page.locator("#facts").inner_text()
    assert player.page.locator("#axes").is_hidden()
    player.page.keyboard.press("?")
    assert player.page.locator("#help").is_visible()


def test_space_plays_after_a_click_on_a_control(player: Player) -> None:
    player.page.locator("#people button").first.click()
    player.page.keyboard.press("Space")
    assert player.page.evaluate("document.body.classList.contains('playing')")


def test_a_frame_of_a_notebook(browser: Any, result: Pose3D) -> None:
    page = browser.new_page()
    page.set_content(f"<body>{inline(result)}</body>")
    frame = page.frames[1]
    wait_until(frame, "!!window.vidpose && vidpose.drawn > 0")
    assert frame.evaluate("vidpose.project(0, 0)") is not None
    page.close()


def test_nothing_is_wider_than_a_phone(player: Player) -> None:
    player.page.set_viewport_size({"width": 360, "height": 740})
    assert player.page.evaluate("document.documentElement.scrollWidth") <= 360
    stage = player.page.locator("#scene").bounding_box()
    assert stage["width"] > 300
    assert stage["height"] > 300


def test_a_phone_on_its_side_shows_scene_video_and_controls(player: Player) -> None:
    for width, height in ((667, 375), (844, 390), (932, 430)):
        player.page.set_viewport_size({"width": width, "height": height})
        assert player.page.evaluate("document.documentElement.scrollWidth") <= width
        boxes = (
            player.page.locator(name).bounding_box() for name in ("#stage", "#video", "footer")
        )
        stage, video, controls = boxes
        assert stage["height"] > 0.6 * height
        assert stage["x"] + stage["width"] <= video["x"]
        for box in (stage, video):
            assert box["y"] + box["height"] <= controls["y"]


def test_next_worst_moment_on_a_page_with_every_fourth_frame(
    browser: Any, result: Pose3D, tmp_path: Path
) -> None:
    moments = [MOMENT, MOMENT | {"time_s": 0.767}]  # frames 15 and 23; the page has 12 and 20
    several = replace(result, meta=result.meta | {"trust": {"worst_moments": moments}})
    options = ViewOptions(every=4, without_video=True)
    page = browser.new_page()
    page.goto(write_page(several, tmp_path / "a.html", options=options).as_uri())
    wait_until(page, "!!window.vidpose && vidpose.drawn > 0")
    frames = []
    for key in ("m", "m", "m", "M"):
        page.keyboard.press(key)
        frames.append(page.evaluate("vidpose.frame"))
    page.close()
    assert frames == [3, 5, 5, 3]
