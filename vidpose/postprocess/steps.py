"""What is done with poses after lifting, if it is asked for: real size, smoothing, the world.

It needs nothing but a result, so it can be done again and otherwise with any result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from vidpose.errors import UsageError
from vidpose.poses import Pose3D
from vidpose.postprocess.body_height import Heights, as_json, check_heights, scale_to
from vidpose.postprocess.ground_plane import Horizon, check_camera, place_in_world
from vidpose.postprocess.smoothing import NONE, PICTURES, check_method, parameters, smooth_joints


@dataclass(frozen=True, kw_only=True)
class Finish:
    """The options of `vidpose.infer` that come after lifting; see there.

    Raises:
        UsageError: they make no sense.
    """

    world: bool = False
    camera_pitch: float | None = None
    camera_roll: float | None = None
    horizon: Horizon | None = None
    height_cm: Heights | None = None
    smooth: str | None = None

    def __post_init__(self) -> None:
        for name in ("camera_pitch", "camera_roll", "horizon"):
            if getattr(self, name) is not None and not self.world:
                option = f"--{name.replace('_', '-')}"
                raise UsageError(f"{option} is about the world's axes; give --world, too.")
        check_camera(self.camera_pitch, self.camera_roll, self.horizon)
        if self.height_cm is not None:
            check_heights(self.height_cm)
        if self.smooth is not None:
            check_method(self.smooth)

    @classmethod
    def of(cls, options: dict[str, Any]) -> Finish:
        """Those among the options of `vidpose.infer`."""
        names = {f.name for f in fields(cls)}
        return cls(**{name: value for name, value in options.items() if name in names})

    def told(self) -> dict[str, Any]:
        """What `meta` will hold of what was asked for."""
        horizon = self.horizon
        if horizon is not None and not isinstance(horizon, (int, float)):
            horizon = [float(number) for number in horizon]
        camera = {"pitch": self.camera_pitch, "roll": self.camera_roll, "horizon": horizon}
        height_cm = self.height_cm
        return {
            "world": {"asked": camera} if self.world else None,
            "scale": None if height_cm is None else {"height_cm": as_json(height_cm)},
            "smoothing": {"data": self.smooth or NONE, "pictures": self.smooth or PICTURES},
        }

    def __call__(self, result: Pose3D, report: Callable[[str], None] = lambda line: None) -> Pose3D:
        """Do it; `meta` says what was done.

        Args:
            result: as it was lifted.
            report: takes lines for the user.
        """
        told = self.told()
        used = parameters(told["smoothing"]["pictures"])
        result = replace(result, meta=result.meta | told | {"smoothing": told["smoothing"] | used})
        if self.height_cm is not None:
            result = scale_to(result, self.height_cm)
            unknown = result.meta["scale"]["not_there"]
            if unknown:
                ids = ", ".join(map(str, result.person_ids.tolist()))
                report(
                    f"Warning: --height-cm names person {', '.join(unknown)}, who is not there; "
                    f"there are {ids}."
                )
        result = smooth_joints(result, told["smoothing"]["data"])
        if self.world:
            result = place_in_world(
                result,
                camera_pitch=self.camera_pitch,
                camera_roll=self.camera_roll,
                horizon=self.horizon,
            )
            world = result.meta["world"] = told["world"] | result.meta["world"]
            report(_sentence(world))
            if not world["sure"]:
                report(
                    "Warning: hardly anybody stands or walks, so up is little more than the "
                    "camera's own; say it with --camera-pitch or --horizon."
                )
        return result


def _sentence(world: dict[str, Any]) -> str:
    where = {"motion": "the people's motion"}.get(world["up"], world["up"])
    about = "" if world["tilt_sd_deg"] is None else f", to about {world['tilt_sd_deg']:.0f} degrees"
    pitch, roll, height = (
        world[f"camera_{name}"] for name in ("pitch_deg", "roll_deg", "height_m")
    )
    rolled = round(roll) or 0  # never -0
    return (
        f"World: up from {where}{about}; the camera looks {abs(pitch):.0f} degrees "
        f"{'down' if pitch >= 0 else 'up'}, rolled {rolled}, {abs(height):.1f} m "
        f"{'above' if height >= 0 else 'below'} the floor."
    )
