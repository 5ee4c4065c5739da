from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.clips import make_clip
from tests.render.people import walk
from tests.viewer.pages import Page, Reader, read_page
from vidpose.errors import UsageError, VideoError, VidposeError
from vidpose.events import Event, FileWritten, Warn
from vidpose.poses import Pose3D
from vidpose.postprocess.ground_plane import place_in_world
from vidpose.postprocess.joint_angles import joint_angles
from vidpose.provenance import describe_file
from vidpose.render import colours
from vidpose.viewer import page as page_module
from vidpose.viewer.options import ViewOptions
from vidpose.viewer.page import inline, write_page

HALF_STEP_M = 0.00005 + 1e-6
WITHOUT = ViewOptions(without_video=True)


def two_people(**changes: Any) -> Pose3D:
    """Person 0 is always present, person 1 from frame 5 to 19, interpolated at 8 and 9."""
    result = walk(starts=((-0.8, 4.0), (0.6, 5.0)), speeds=((0.5, 0.0), (-0.3, 0.1)))
    present, observed = result.present.copy(), result.observed.copy()
    present[1, :5] = present[1, 20:] = False
    observed[1] = present[1]
    observed[1, 8:10] = False
    joints, root, keypoints = (
        np.where(
            present.reshape(*present.shape, *[1] * (array.ndim - 2)), array, np.float32(np.nan)
        )
        for array in (result.joints_3d, result.root_3d, result.keypoints_2d)
    )
    scores = np.random.default_rng(0).random(result.scores_2d.shape).astype(np.float32)
    fields: dict[str, Any] = {
        "present": present,
        "observed": observed,
        "joints_3d": joints,
        "root_3d": root,
        "keypoints_2d": keypoints,
        "scores_2d": scores,
    }
    return replace(result, **(fields | changes))


def written(result: Pose3D, folder: Path, options: ViewOptions = WITHOUT, **more: Any) -> Page:
    out = write_page(result, folder / "a.html", options=options, **more)
    return read_page(out.read_text(encoding="utf-8"))


def scene_joints(page: Page, person: int) -> NDArray[np.float64]:
    """(frames, 17, 3) metres, scene axes."""
    block = page.people[person]
    return block["root"][:, None] + block["joints"].reshape(-1, 17, 3)


def test_the_page_holds_the_joints_of_the_result(tmp_path: Path) -> None:
    result = place_in_world(two_people(), camera_pitch=0.0)
    page = written(result, tmp_path)
    world = result.joints_world()
    assert page.header["has_world"]
    np.testing.assert_allclose(scene_joints(page, 0), world[0], atol=HALF_STEP_M)
    np.testing.assert_allclose(scene_joints(page, 1), world[1, 5:20], atol=HALF_STEP_M)
    np.testing.assert_array_equal(page.times, result.timestamps)
    np.testing.assert_array_equal(page.frame_indices, result.frame_indices)


def test_people_are_packed_from_their_first_frame_to_their_last(tmp_path: Path) -> None:
    result = two_people()
    page = written(result, tmp_path)
    about = page.header["people"]
    assert [(one["id"], one["first"], one["frames"]) for one in about] == [(0, 0, 30), (1, 5, 15)]
    flags = page.people[1]["flags"][:, 0].astype(int)
    np.testing.assert_array_equal(flags & 1 > 0, result.present[1, 5:20])
    np.testing.assert_array_equal(flags & 2 > 0, result.observed[1, 5:20])
    scores = page.people[1]["scores"]
    np.testing.assert_allclose(scores, result.scores_2d[1, 5:20], atol=0.5 / 255 + 1e-6)
    keypoints = page.people[1]["keypoints"].reshape(-1, 17, 2)
    np.testing.assert_allclose(keypoints, result.keypoints_2d[1, 5:20], atol=1 / 32 + 1e-3)


def test_angles_are_those_of_python(tmp_path: Path) -> None:
    result = place_in_world(two_people(), camera_pitch=0.0)
    page = written(result, tmp_path)
    angles = joint_angles(result)
    assert len(page.header["angle_names"]) == len(angles.names)
    assert "Right knee flexion" in page.header["angle_names"]
    np.testing.assert_allclose(page.people[0]["angles"], angles.degrees[0], atol=0.00501)
    assert np.nanmax(page.people[0]["angles"]) > 20


def test_without_a_world_up_is_the_cameras(tmp_path: Path) -> None:
    result = two_people()
    page = written(result, tmp_path)
    assert not page.header["has_world"]
    joints = scene_joints(page, 0)
    camera = result.joints_camera()[0]
    np.testing.assert_allclose(joints[..., 0], camera[..., 0], atol=HALF_STEP_M)
    np.testing.assert_allclose(joints[..., 1], camera[..., 2], atol=HALF_STEP_M)
    height = joints[..., 2] + camera[..., 1]  # the floor's: the same for all joints
    np.testing.assert_allclose(height, np.median(height), atol=HALF_STEP_M)
    assert "camera's up" in page.text


def test_the_camera_of_the_page_sees_the_joints_where_the_detector_did(tmp_path: Path) -> None:
    meta = {"camera": {"focal_px": 1.1 * 1280}}
    result = place_in_world(two_people(meta=meta), camera_pitch=0.0)
    page = written(result, tmp_path)
    camera = page.header["camera"]
    to_scene = np.array(camera["to_scene"])
    joints = (scene_joints(page, 0) - to_scene[:3, 3]) @ to_scene[:3, :3]
    pixels = joints[..., :2] / joints[..., 2:] * camera["focal_px"]
    pixels += np.array(camera["frame_size"]) / 2
    np.testing.assert_allclose(pixels, result.keypoints_2d[0], atol=0.2)


def test_unknown_positions_are_marked(tmp_path: Path) -> None:
    result = two_people()
    root = result.root_3d.copy()
    root[0, 10:13] = np.nan
    page = written(replace(result, root_3d=root), tmp_path)
    placed = page.people[0]["flags"][:, 0].astype(int) & 4 > 0
    assert np.flatnonzero(~placed).tolist() == [10, 11, 12]
    assert np.isfinite(scene_joints(page, 0)).all()  # drawn where they may be


def test_far_joints_get_larger_steps_and_stay(tmp_path: Path) -> None:
    result = two_people()
    joints = result.joints_3d.copy()
    joints[0, 3, 5] = (0.0, 40.0, 0.0)
    page = written(replace(result, joints_3d=joints), tmp_path)
    step = page.header["steps"]["joints_m"]
    relative = page.people[0]["joints"].reshape(-1, 17, 3)[3, 5]
    np.testing.assert_allclose(relative, (0, 0, -40), atol=step / 2 + 1e-6)


def test_colours_are_those_of_the_overlay(tmp_path: Path) -> None:
    page = written(two_people(), tmp_path)
    for about in page.header["people"]:
        shades = [tuple(bytes.fromhex(shade[1:])) for shade in about["colours"]]
        assert shades == list(colours.person_colours(about["id"]))


def test_a_part_of_the_result(tmp_path: Path) -> None:
    result = two_people()
    options = ViewOptions(without_video=True, start=0.2, end=0.8, every=3)
    page = written(result, tmp_path, options)
    assert page.frame_indices.tolist() == [6, 9, 12, 15, 18, 21]
    assert page.header["fps"] == pytest.approx(10)
    assert [one["frames"] for one in page.header["people"]] == [6, 5]
    later = written(result, tmp_path, ViewOptions(without_video=True, start=0.9))
    assert [one["id"] for one in later.header["people"]] == [0]


def test_the_floor_and_the_angles_of_a_part_are_those_of_the_whole(tmp_path: Path) -> None:
    result = two_people()
    whole = written(result, tmp_path)
    part = written(result, tmp_path, ViewOptions(without_video=True, start=0.5))
    np.testing.assert_allclose(scene_joints(part, 0), scene_joints(whole, 0)[15:], atol=2e-4)
    np.testing.assert_allclose(part.people[0]["angles"], whole.people[0]["angles"][15:], atol=0.02)


@pytest.mark.parametrize("span", [{"start": 9.0}, {"end": -1.0}])
def test_a_part_without_frames(span: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"goes from 0\.00 s to 0\.97 s"):
        written(two_people(), tmp_path, ViewOptions(without_video=True, **span))
    assert not list(tmp_path.iterdir())


def test_nobody(tmp_path: Path) -> None:
    result = two_people()
    empty = replace(
        result,
        present=np.zeros_like(result.present),
        observed=np.zeros_like(result.observed),
        joints_3d=np.full_like(result.joints_3d, np.nan),
    )
    with pytest.raises(UsageError, match="nobody is in these frames"):
        written(empty, tmp_path)
    assert not list(tmp_path.iterdir())


# What a result says about itself.


NASTY = "</script><script>alert(1)</script><!-- \u2028 {{player}} & \"quotes\" 'too'"


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    moment = {
        **{"time_s": 0.1, "from_s": 0.1, "to_s": 0.1, "person": 0, "what": "jitter_mm"},
        **{"where": NASTY, "value": 3.0, "usually": 1.0, "also": []},
    }
    meta = {
        "source": {"path": f"/clips\\{NASTY}"},
        "detector": {"name": NASTY},
        "lifter": {"weights": NASTY},
        "camera": {"focal": NASTY, "focal_px": "a"},
        "warnings": [NASTY, 3],
        "trust": {"worst_moments": [moment, NASTY, {}, moment | {"time_s": "x"}]},
    }
    page = written(two_people(meta=meta), tmp_path)
    usual = written(two_people(), tmp_path)
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in usual.elements]
    assert page.header["title"] in page.text
    assert page.header["title"].endswith(NASTY.rpartition("/")[2])
    facts = dict(page.header["facts"])
    assert NASTY in facts["Detector"]
    (shown,) = page.header["moments"]
    assert shown["text"].count("jumps by 3 mm") == 1


def test_no_script_but_the_player_may_run(tmp_path: Path) -> None:
    page = written(two_people(), tmp_path)
    (policy,) = (
        attributes["content"]
        for tag, attributes in page.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "http" not in policy
    links = {"src", "href", "srcset", "action"}
    assert not [tag for tag, attributes in page.elements if links & set(attributes)]


def test_worst_moments_of_the_report(tmp_path: Path) -> None:
    moment = {
        **{"time_s": 0.5, "from_s": 0.4, "to_s": 0.6, "person": 1, "what": "jitter_mm"},
        **{"where": "LFoot", "value": 103.0, "usually": 14.0, "also": []},
    }
    moments = [moment, moment | {"time_s": 8.0}, moment | {"person": 7}]
    page = written(two_people(meta={"trust": {"worst_moments": moments}}), tmp_path)
    text = "0:00.5, person 1: left foot jumps by 103 mm (usually 14)"
    assert [one["text"] for one in page.header["moments"]] == [text]


def test_a_worst_moment_has_the_time_of_its_frame(tmp_path: Path) -> None:
    # At 30 frames/s, frame 16 is at 0.5333... s, which the report rounds down.
    moment = {
        **{"time_s": 0.533, "from_s": 0.533, "to_s": 0.633, "person": 0, "what": "jitter_mm"},
        **{"where": "LFoot", "value": 103.0, "usually": 14.0, "also": []},
    }
    result = two_people(timestamps=np.arange(30) / 30, meta={"trust": {"worst_moments": [moment]}})
    for options in (WITHOUT, replace(WITHOUT, start=16 / 30)):
        (shown,) = written(result, tmp_path, options).header["moments"]
        assert shown["time_s"] == shown["from_s"] == 16 / 30
        assert shown["to_s"] == 19 / 30


# Video.


@pytest.fixture
def filmed(tmp_path: Path) -> tuple[Pose3D, Path]:
    """A result and its video, 640 x 480, 30 frames."""
    video = make_clip(tmp_path / "film.mp4", size=(64, 48), frames=30)
    result = two_people(
        frame_size=(64, 48),
        timestamps=np.arange(30) * 1001 / 30000,
        meta={"source": describe_file(video)},
    )
    return result, video


def test_the_video_is_embedded_frame_by_frame(filmed: tuple[Pose3D, Path], tmp_path: Path) -> None:
    result, _ = filmed
    page = written(result, tmp_path, ViewOptions(start=0.3, every=2))
    assert page.header["video"] == {
        "embedded": True, "src": None, "start_s": pytest.approx(page.times[0])
    }  # fmt: skip
    assert page.video is not None
    (tmp_path / "copy.mp4").write_bytes(page.video)
    with av.open(str(tmp_path / "copy.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context is not None
        assert stream.codec_context.name == "h264"
        times = [frame.time for frame in container.decode(stream)]
    np.testing.assert_allclose(np.array(times, float), page.times - page.times[0], atol=1e-4)


def test_a_linked_video_is_named_relative_to_the_page(
    filmed: tuple[Pose3D, Path], tmp_path: Path
) -> None:
    result, video = filmed
    odd = video.rename(tmp_path / "10:30 #1 <b>.mp4")
    (tmp_path / "pages").mkdir()
    page = written(result, tmp_path / "pages", ViewOptions(link_video=True), video=odd)
    assert page.header["video"]["src"] == "../10%3A30%20%231%20%3Cb%3E.mp4"
    assert page.video is None


def test_a_linked_video_with_a_long_pause_is_out_of_sync(
    filmed: tuple[Pose3D, Path], tmp_path: Path
) -> None:
    result, _ = filmed

    def warnings(pause_s: float, **options: Any) -> list[str]:
        said: list[Event] = []
        times = result.timestamps + np.where(np.arange(result.frames) > 9, pause_s, 0.0)
        paused = replace(result, timestamps=times)
        written(paused, tmp_path, ViewOptions(link_video=True, **options), report=said.append)
        return [str(event) for event in said if isinstance(event, Warn)]

    (warning,) = warnings(100)
    assert (
        "out of sync with the poses after 0:00.3, because it pauses there for more than 60 s"
        in warning
    )
    assert warnings(50) == []
    assert warnings(100, end=1.0) == []


def test_a_missing_video_gives_a_warning(tmp_path: Path) -> None:
    said: list[Event] = []
    page = written(
        two_people(meta={"source": {"path": "/no/such.mp4"}}),
        tmp_path, ViewOptions(), report=said.append,
    )  # fmt: skip
    assert page.header["video"] is None
    warning, file = said
    assert isinstance(warning, Warn)
    assert "--video" in str(warning)
    assert isinstance(file, FileWritten)


@pytest.mark.parametrize(
    ("change", "why"),
    [({"size": (48, 64)}, "48x64 pixels, not 64x48"), ({"frames": 31}, "another SHA-256")],
)
def test_another_video(
    filmed: tuple[Pose3D, Path], tmp_path: Path, change: dict[str, Any], why: str
) -> None:
    result, _ = filmed
    film: dict[str, Any] = {"size": (64, 48), "frames": 30} | change
    other = make_clip(tmp_path / "other.mp4", **film)
    with pytest.raises(VideoError, match=why):
        write_page(result, tmp_path / "a.html", other)
    assert not (tmp_path / "a.html").exists()


def test_a_video_of_other_times(filmed: tuple[Pose3D, Path], tmp_path: Path) -> None:
    result, video = filmed
    unknown = replace(result, meta={}, timestamps=np.arange(30) / 25)
    with pytest.raises(VideoError, match="frame 1 has another time"):
        write_page(unknown, tmp_path / "a.html", video)
    assert not (tmp_path / "a.html").exists()


# Where it goes.


def test_only_pages_are_replaced(tmp_path: Path) -> None:
    out = tmp_path / "a.html"
    out.write_text("<p>mine</p>")
    with pytest.raises(UsageError, match="was not written by vidpose"):
        write_page(two_people(), out, options=WITHOUT)
    assert out.read_text() == "<p>mine</p>"
    out.unlink()
    for _ in range(2):
        write_page(two_people(), out, options=WITHOUT)
    with pytest.raises(UsageError, match=r"give the name of the \.html"):
        write_page(two_people(), tmp_path / "a.npz", options=WITHOUT)
    with pytest.raises(VidposeError, match="is a file, not a folder"):
        write_page(two_people(), out / "b.html", options=WITHOUT)


def test_large_pages_are_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "LARGE_BYTES", 5000)
    said: list[Event] = []
    page = written(two_people(), tmp_path, report=said.append)
    size = sum(block.nbytes for person in page.people for block in person.values())
    assert size > 5000
    warning = str(said[0])
    assert "--start" in warning
    assert "--every 3" in warning


def test_a_video_that_no_browser_opens(
    filmed: tuple[Pose3D, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "LARGEST_VIDEO_BYTES", 100)
    with pytest.raises(UsageError, match="give --link-video"):
        write_page(filmed[0], tmp_path / "a.html")
    assert not (tmp_path / "a.html").exists()


def test_a_minute_of_one_person_is_small(tmp_path: Path) -> None:
    out = write_page(walk(frames=1800), tmp_path / "a.html", options=WITHOUT)
    assert out.stat().st_size < 3_000_000


# Notebooks.


def test_inline() -> None:
    html = inline(two_people())
    assert html.startswith('<iframe sandbox="allow-scripts')
    reader = Reader()
    reader.feed(html)
    ((tag, attributes),) = reader.elements
    assert tag == "iframe"
    document = attributes["srcdoc"]
    assert document is not None
    page = read_page(document)
    assert len(page.people) == 2
    assert page.video is None


def test_inline_of_a_long_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "INLINE_BYTES", 1000)
    assert inline(two_people()).startswith("<p>vidpose: 2 people in 30 frames, too large")
