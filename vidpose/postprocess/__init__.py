"""Postprocessing of lifted poses: each step takes a `Pose3D` and returns a new one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vidpose.events import Info, Report, Warn, ignore
from vidpose.options import PostprocessOptions
from vidpose.poses import Pose3D, who_is_there
from vidpose.postprocess.body_height import scale_to_height
from vidpose.postprocess.ground_plane import place_in_world
from vidpose.postprocess.quality import quality_report
from vidpose.postprocess.refinement import refine
from vidpose.postprocess.root_trajectory import root_trajectory
from vidpose.postprocess.smoothing import NONE, PICTURES, parameters, smooth_joints

if TYPE_CHECKING:
    from vidpose.lifting.lifter import LiftedPoses


def postprocess(
    lifted: LiftedPoses, options: PostprocessOptions, report: Report = ignore
) -> Pose3D:
    """Turn lifted poses into a result: refinement, root trajectory, and the optional steps.

    Args:
        lifted: root-relative poses, as the network predicts them.
        options: which steps to run.
        report: called with each message.

    Returns:
        A new result; `meta` records the steps.
    """
    # Before refinement, which hides the signs that the report looks for.
    quality = quality_report(lifted.poses, lifted.flip_disagreement_m)
    result = lifted.poses
    if options.rigid:
        result = refine(result, lifted.focal_px)
    result = root_trajectory(result, lifted.focal_px)
    used = _smoothing(options)
    meta = {"trust": quality, "world": None, "scale": None, "smoothing": used}
    result = replace(result, meta=result.meta | meta)
    return _optional_steps(result, options, used["data"], report)


def _smoothing(options: PostprocessOptions) -> dict[str, Any]:
    pictures = options.smooth or PICTURES
    return {"data": options.smooth or NONE, "pictures": pictures} | parameters(pictures)


def _optional_steps(
    result: Pose3D, options: PostprocessOptions, smoothing: str, report: Report
) -> Pose3D:
    """Apply body height, smoothing and the world frame, if requested."""
    if options.height_cm is not None:
        result = scale_to_height(result, options.height_cm)
        unknown = result.meta["scale"]["not_there"]
        if unknown:
            there = who_is_there(result.person_ids.tolist())
            report(Warn(f"--height-cm: there is no person {' or '.join(unknown)}; {there}."))
        if result.meta["scale"]["people"]:
            report(Info(_heights(result.meta["scale"])))
    result = smooth_joints(result, smoothing)
    if options.world:
        camera = {
            "camera_pitch": options.camera_pitch,
            "camera_roll": options.camera_roll,
            "horizon": options.horizon,
        }
        result = place_in_world(result, **camera)  # type: ignore[arg-type]
        report(Info(_sentence(result.meta["world"])))
        if not result.meta["world"]["sure"]:
            report(
                Warn(
                    "hardly anybody stands or walks, so the estimated up direction is hardly "
                    "better than the camera's own; give --camera-pitch or --horizon."
                )
            )
    return result


def _heights(scale: dict[str, Any]) -> str:
    asked = scale["height_cm"]
    people = [
        f"person {name} {about['before_cm']:.0f} -> "
        f"{asked[name] if isinstance(asked, dict) else asked:g} cm"
        for name, about in scale["people"].items()
    ]
    return f"Body height: {', '.join(people)}."


def _sentence(world: dict[str, Any]) -> str:
    where = {"motion": "the people's motion"}.get(world["up"], world["up"])
    about = "" if world["tilt_sd_deg"] is None else f", to about {world['tilt_sd_deg']:.0f} degrees"
    up = f"up from {where}{about}" if world["sure"] else "up is a guess"
    pitch, roll, height = (
        world[f"camera_{name}"] for name in ("pitch_deg", "roll_deg", "height_m")
    )
    rolled = round(roll) or 0  # never -0
    return (
        f"World: {up}; the camera looks {abs(pitch):.0f} degrees "
        f"{'down' if pitch >= 0 else 'up'}, rolled {rolled}, {abs(height):.1f} m "
        f"{'above' if height >= 0 else 'below'} the floor."
    )
