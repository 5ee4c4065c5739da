"""The header of a page: everything about a result except its arrays, as JSON values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

import vidpose
from vidpose.poses import SURE_OUTSIDE, Pose3D, section
from vidpose.postprocess.foot_contact import ANKLE_HEIGHT_M
from vidpose.postprocess.quality import ROUNDED_S, joint_in_words, moments_of
from vidpose.postprocess.rays import focal_px_of
from vidpose.render import VIEWS, colours
from vidpose.render.overlay import FAINT, SURE_SCORE
from vidpose.render.scene import (
    HEAD,
    HEAD_RADIUS_M,
    LIMB_RADIUS_M,
    NOSE,
    RADII_M,
    THIN,
    scene_box,
)
from vidpose.skeleton import H36M17
from vidpose.viewer.packing import Packed, blocks, page_times

NO_TITLE = "vidpose result"


def title_of(result: Pose3D) -> str:
    """File name of the video, from a path of any operating system."""
    path = section(result.meta, "source").get("path")
    if not isinstance(path, str):
        return NO_TITLE
    pure = PureWindowsPath(path) if "\\" in path else PurePosixPath(path)
    name = pure.name.encode("utf-8", "replace").decode()  # file names may be any bytes
    return name or NO_TITLE


def header_of(part: Pose3D, packed: Packed) -> dict[str, Any]:
    """Everything that the player reads from the header, see `web/src/recording.ts`."""
    return {
        "title": title_of(part),
        "facts": list(_facts(part, packed)),
        "has_world": part.camera_to_world is not None,
        "joint_names": H36M17.joint_names,
        "joint_labels": [joint_in_words(name).capitalize() for name in H36M17.joint_names],
        "parents": H36M17.parents,
        "sides": colours.BONE_SIDES,
        "joint_sides": colours.JOINT_SIDES,
        "bone_radii_m": RADII_M.tolist(),
        "head": {"joints": (NOSE, HEAD), "radius_m": HEAD_RADIUS_M},
        "interpolated": {"thin": THIN, "paler": colours.INTERPOLATED_SHARE},
        "overlay": {"sure_score": SURE_SCORE, "faint": FAINT, "sure_outside": SURE_OUTSIDE},
        # The drawn leg ends at the ankle, and that end touches the floor.
        "floor_m": ANKLE_HEIGHT_M - LIMB_RADIUS_M,
        "box_m": scene_box(packed.bodies).tolist(),
        "views": {name: (view.azimuth_deg, view.elevation_deg) for name, view in VIEWS.items()},
        "camera": {
            "to_scene": packed.ground.camera_to_world.tolist(),
            "focal_px": focal_px_of(part),
            "frame_size": part.frame_size,
        },
        "fps": part.fps,
        "steps": packed.steps,
        "angle_names": [name.replace("_", " ").capitalize() for name in packed.angle_names],
        "blocks": [block._asdict() for block in blocks(len(packed.angle_names))],
        "people": [
            {
                "id": person.id,
                "first": person.first,
                "frames": person.frames,
                "colours": [_hex(colour) for colour in colours.person_colours(person.id)],
            }
            for person in packed.people
        ],
        "moments": list(_moments(part)),
    }


def _hex(colour: colours.Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _moments(part: Pose3D) -> Iterator[dict[str, Any]]:
    """The worst moments within this part; malformed ones are skipped.

    The report rounds their times to milliseconds. Here they get the exact times of their frames:
    the player shows the last frame that has begun, and so the one before a time rounded down.
    """
    seconds, shown = part.seconds, page_times(part)
    for moment in moments_of(section(part.meta, "trust")):
        times = {key: _of_frame(moment[key], seconds) for key in ("time_s", "from_s", "to_s")}
        if seconds[0] <= times["time_s"] <= seconds[-1] and moment["person"] in part.person_ids:
            yield moment | {key: float(np.interp(at, seconds, shown)) for key, at in times.items()}


def _of_frame(time_s: float, seconds: NDArray[np.float64]) -> float:
    """The time of the frame that a rounded time means; the time itself if there is none here."""
    nearest = float(seconds[np.abs(seconds - time_s).argmin()])
    return nearest if abs(nearest - time_s) <= ROUNDED_S else time_s


def _facts(part: Pose3D, packed: Packed) -> Iterator[tuple[str, str]]:
    """Facts for the About tab of the page."""
    meta = part.meta
    detector, lifter, camera = (section(meta, name) for name in ("detector", "lifter", "camera"))
    width, height = part.frame_size
    yield "Video", f"{title_of(part)}, {width} x {height}, {part.fps:.4g} frames/s"
    if part.camera_to_world is None:
        yield (
            "Axes",
            "x right, y away from the camera, z up in the camera's orientation, since the result "
            "was made without --world. The floor is under the lowest feet at rest.",
        )
    else:
        yield "Axes", "world frame: x right, y away from the camera, z up, floor at 0"
    yield "Detector", " ".join(str(detector.get(key, "")) for key in ("name", "network")).strip()
    yield "Lifter", str(lifter.get("weights") or lifter.get("model") or "not recorded")
    yield "Focal length", f"{focal_px_of(part):.0f} px, {camera.get('focal', 'assumed')}"
    yield "Smoothing", str(section(meta, "smoothing").get("data", "not recorded"))
    steps = packed.steps
    yield (
        "Rounding",
        f"joints to {steps['joints_m'] * 1000:.2g} mm, angles to {steps['angles_deg']:.2g}°; "
        "nothing is smoothed for this page",
    )
    warnings = meta.get("warnings")
    for warning in warnings if isinstance(warnings, list) else []:
        yield "Warning", str(warning)
    made = str(meta.get("vidpose", "(version not recorded)"))
    yield "Made by", f"vidpose {made}, this page by vidpose {vidpose.__version__}"
