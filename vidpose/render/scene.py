"""The 3D panel: everybody in one scene on a floor, seen from a fixed viewpoint."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vidpose.poses import Pose3D, unseen_joints
from vidpose.postprocess.foot_contact import ANKLE_HEIGHT_M
from vidpose.postprocess.ground_plane import ground_of
from vidpose.render import colours, draw
from vidpose.render.colours import BONE_SIDES, Colour
from vidpose.render.draw import BONES, CHILDREN, PARENTS, Image
from vidpose.render.view import View, Viewpoint
from vidpose.skeleton import H36M17
from vidpose.utils.gaps import known_joints

NOSE, HEAD = H36M17.index("Neck/Nose"), H36M17.index("Head")
TRUNK = {H36M17.index(name) for name in ("Hip", "Spine", "Thorax")}

LIMB_RADIUS_M = 0.034
TRUNK_RADIUS_M = 0.042
HEAD_RADIUS_M = 0.105
RADII_M = np.array(
    [TRUNK_RADIUS_M if {p, c} <= TRUNK else LIMB_RADIUS_M for p, c in BONES], np.float64
)

MOST_LOOKED_AT = 20_000
"""Maximum number of poses, sampled evenly, to fit the view to."""
WIDEST_SCENE_M = 10.0
"""Maximum distance, across and in depth, of the people to show. Others may leave the panel, because
a scene that keeps everybody could make everybody tiny."""
SMALLEST_SCENE_M = (1.2, 1.2, 1.9)
HIGHEST_SCENE_M = 6.0
OUTLIERS_PERCENT, OUTLIERS_M = 1.0, 1.0
"""Of the values along an axis, up to this share at each end are outliers, if they are further than
this from the others. Somebody who walks out of the picture takes smaller steps."""
DEFAULT_PLACE = np.array([0.0, 0.0, 4.0])
"""Position of people whose position is unknown, camera frame."""

LINE_M = 0.012
BAND_PX = 90
SHADOW = 130.0
"""Darkness of the shadow at floor contact, 0 to 255."""
SHADOW_FADES_M = 0.55
FAR_SHADOW = 0.16
"""Fraction of it that remains under a person high above the floor, to show their position."""
SHADOW_SPREAD = 1.6
SHINE_OFFSET = np.array([-0.27, -0.35])
"""Offset of the highlight on a limb, in radii."""
THIN = 0.5
"""Thickness factor of interpolated people and of limbs that are not visible."""
NEAREST_M = 0.5
"""Limbs nearer to the viewer than this are not drawn, because they would hide everybody else."""


class ScenePanel:
    """Draws the people of a result, frame by frame, from a fixed viewpoint.

    Args:
        result: the people.
        size: width and height of the panel, pixels.
        view: the viewpoint.
    """

    def __init__(self, result: Pose3D, size: tuple[int, int], view: View) -> None:
        self.size = size
        self._ground = ground_of(result)
        self._placed = placed_joints(result)
        self._thin = ~result.observed
        self._unseen = unseen_joints(result)
        self._present = result.present
        self._ids = result.person_ids
        people, frames = np.nonzero(result.present)
        some = slice(None, None, max(1, len(people) // MOST_LOOKED_AT))
        bodies = self._in_world(self._placed[people[some], frames[some]])
        box = scene_box(bodies)
        self._box = box
        self._viewpoint = Viewpoint.fit(view, _to_show(bodies, box), size)
        self._depth_range = np.percentile(self._viewpoint.project(_corners(box))[1], (0, 100))
        self._background = _background(self._viewpoint, size, box)

    def _in_world(self, placed: NDArray[np.float32]) -> NDArray[np.float64]:
        """(N, 17, 3) camera frame -> world frame, adjusted for drawing."""
        joints = self._ground.to_world(placed)
        # The neck ends in the centre of the head; through the nose, it would lean forwards.
        joints[..., NOSE, :] = (joints[..., NOSE, :] + joints[..., HEAD, :]) / 2
        # Lower the body so that the end of the drawn leg, at the ankle, touches the floor.
        joints[..., 2] -= ANKLE_HEIGHT_M - LIMB_RADIUS_M
        return joints

    def draw(self, t: int, image: Image | None = None) -> Image:
        """(H, W, 3) RGB: the scene at frame `t` of the result, drawn into `image` if given."""
        people = np.flatnonzero(self._present[:, t])
        thin = self._thin[people, t][:, None] | self._unseen[people, t][:, CHILDREN]
        return self.draw_people(self._placed[people, t], self._ids[people], thin, image)

    def draw_people(
        self,
        placed: NDArray[np.float32],
        person_ids: NDArray[np.integer[Any]],
        thin: NDArray[np.bool_],
        image: Image | None = None,
    ) -> Image:
        """(H, W, 3) RGB: any people in this scene, even if they are not in its result.

        Args:
            placed: (P, 17, 3) metres, camera frame, as from `placed_joints`.
            person_ids: (P,).
            thin: (P,) or, per bone, (P, 16): what to draw thinner.
            image: image to draw into.
        """
        image = np.empty_like(self._background) if image is None else image
        image[:] = self._background
        if len(placed):
            joints = self._in_world(placed)
            self._draw_shadows(image, joints)
            thin_bones = np.broadcast_to(thin.reshape(len(placed), -1), (len(placed), len(BONES)))
            self._draw_bodies(image, joints, person_ids, thin_bones)
        return image

    def shows(self, placed: NDArray[np.float32]) -> bool:
        """Whether these people, as for `draw_people`, are within the scene."""
        low, high = self._box
        roots = self._in_world(placed)[:, 0]
        return bool(((roots >= low) & (roots <= high)).all())

    def _draw_shadows(self, image: Image, joints: NDArray[np.float64]) -> None:
        pixels, depth = self._viewpoint.project(joints * (1.0, 1.0, 0.0))
        # At half resolution, since they are blurred anyway.
        pixels, scale = pixels / 2, self._viewpoint.focal_px / depth / 2
        outlines = draw.capsules(*_bones(pixels), _bone_radii(scale) * SHADOW_SPREAD)
        height = np.abs(joints[:, PARENTS, 2] + joints[:, CHILDREN, 2]).reshape(-1) / 2
        fading = np.exp(-height / SHADOW_FADES_M)
        darkness = SHADOW * (fading + FAR_SHADOW * (1 - fading))

        blur = 1.2 + 0.02 * float(scale.mean())
        reach = np.array([[-4 * blur], [4 * blur]])
        corners = np.stack([outlines.min(axis=(0, 1)), outlines.max(axis=(0, 1))])
        window = corners / (1 << draw.SUBPIXEL_BITS) + reach
        (left, top), (right, bottom) = np.clip(window, 0, np.array(self.size) // 2).astype(int)
        if right == left or bottom == top:
            return
        mask: Any = np.zeros((bottom - top, right - left), np.uint8)
        outlines -= np.array([left, top], np.int32) << draw.SUBPIXEL_BITS
        for bone in np.argsort(darkness):  # the darkest last: shadows do not add up
            draw.fill(mask, outlines[bone], round(darkness[bone]))
        light = 255 - cv2.GaussianBlur(mask, (0, 0), blur)
        light = cv2.resize(light, (2 * (right - left), 2 * (bottom - top)))
        floor = image[2 * top : 2 * bottom, 2 * left : 2 * right]
        cv2.multiply(floor, cv2.merge([light] * 3), dst=floor, scale=1 / 255)

    def _draw_bodies(
        self,
        image: Image,
        joints: NDArray[np.float64],
        person_ids: NDArray[np.integer[Any]],
        thin: NDArray[np.bool_],
    ) -> None:
        """Draw limbs from far to near; `thin` (P, bones): interpolated or not visible."""
        pixels, depth = self._viewpoint.project(joints)
        scale = self._viewpoint.focal_px / depth
        start, end = _bones(pixels)
        radii = _bone_radii(scale) * np.where(thin, THIN, 1.0).reshape(-1, 1)
        radii = np.maximum(radii, 0.7)
        shine = radii[:, :1] * SHINE_OFFSET
        outer = draw.capsules(start, end, radii + np.maximum(0.28 * radii, 0.6))
        inner = draw.capsules(start, end, radii)
        light = draw.capsules(start + shine, end + shine, 0.38 * radii)

        shades = [colours.person_colours(person) for person in person_ids.tolist()]
        distance = (depth[:, PARENTS] + depth[:, CHILDREN]).reshape(-1) / 2
        for bone in np.argsort(-distance):  # the nearest last, whichever person's
            person, kind = divmod(int(bone), len(BONES))
            if distance[bone] < NEAREST_M:
                continue
            faint = bool(thin[person, kind])
            colour = shades[person][BONE_SIDES[kind]]
            colour = colours.hazy(colour, self._haze(distance[bone]), interpolated=faint)
            if CHILDREN[kind] == HEAD:
                self._draw_head(image, pixels[person], scale[person], colour, faint)
            else:
                draw.fill(image, outer[bone], colours.edge(colour))
                draw.fill(image, inner[bone], colour)
                draw.fill(image, light[bone], colours.shine(colour))

    def _draw_head(
        self,
        image: Image,
        pixels: NDArray[np.float64],
        scale: NDArray[np.float64],
        colour: Colour,
        thin: bool,
    ) -> None:
        centre = pixels[NOSE]
        radius = max(1.5, HEAD_RADIUS_M * float(scale[HEAD]) * (0.7 if thin else 1.0))
        draw.disc(
            image,
            centre,
            radius * 1.09 + 0.4,
            colours.edge(colour),
        )
        draw.disc(image, centre, radius, colour)
        draw.disc(
            image,
            centre + SHINE_OFFSET * radius,
            radius * 0.34,
            colours.shine(colour),
        )

    def _haze(self, distance: float) -> float:
        """0 at the near end of the scene, 1 at the far end."""
        near, far = self._depth_range
        return float(np.clip((distance - near) / (far - near), 0, 1))


def _bones(pixels: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(P, 17, 2) joints -> (P * 16, 2) starts and ends of bones."""
    return pixels[:, PARENTS].reshape(-1, 2), pixels[:, CHILDREN].reshape(-1, 2)


def _bone_radii(scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P, 17) pixels per metre at each joint -> (P * 16, 2) radii at each bone's start and end."""
    at_ends = np.stack([scale[:, PARENTS], scale[:, CHILDREN]], axis=-1)
    radii: NDArray[np.float64] = RADII_M[:, None] * at_ends
    return radii.reshape(-1, 2)


def placed_joints(result: Pose3D) -> NDArray[np.float32]:
    """(P, T, 17, 3) camera frame, metres: everybody at some position, for drawing only.

    Unknown positions are interpolated in time; a person without any known position goes to the
    median position of the others, or to `DEFAULT_PLACE`.
    """
    known = known_joints(result.root_3d)
    fallback = np.median(result.root_3d[known], axis=0) if known.any() else DEFAULT_PLACE
    roots = np.empty_like(result.root_3d)
    for person, there in enumerate(known):
        for axis in range(3):
            if there.any():
                times = result.timestamps
                values = result.root_3d[person, there, axis]
                roots[person, :, axis] = np.interp(times, times[there], values)
            else:
                roots[person, :, axis] = fallback[axis]
    placed: NDArray[np.float32] = result.joints_3d + roots[:, :, None]
    return placed


def scene_box(bodies: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part of the world to show: the range of the people without outliers.

    Args:
        bodies: (N, 17, 3) world, metres.

    Returns:
        (2, 3) lowest and highest corner; always includes the floor.
    """
    if len(bodies) == 0:
        bodies = np.zeros((1, 1, 3))
    bodies = bodies[_together(bodies[:, 0, :2])]
    edges = np.concatenate([bodies.min(axis=1), bodies.max(axis=1)])
    inner = (OUTLIERS_PERCENT, 100 - OUTLIERS_PERCENT)
    low, high = np.percentile(edges, inner, axis=0)
    low = np.where(edges < low - OUTLIERS_M, np.inf, edges).min(axis=0)
    high = np.where(edges > high + OUTLIERS_M, -np.inf, edges).max(axis=0)
    smallest = np.array(SMALLEST_SCENE_M)
    missing = np.maximum(smallest - (high - low), 0)
    low, high = low - missing / 2, high + missing / 2
    # Heads are drawn larger than their joint.
    low[2], high[2] = 0.0, np.clip(high[2] + HEAD_RADIUS_M, smallest[2], HIGHEST_SCENE_M)
    return np.stack([low, high])


def _together(places: NDArray[np.float64]) -> NDArray[np.intp]:
    """Select as many of (N, 2) places on the floor as fit into a scene, the central ones first.

    Somebody too far away for it, a false detection for example, does not widen it.
    """
    # The median itself may lie between two groups, with nobody near it.
    middle = places[np.linalg.norm(places - np.median(places, axis=0), axis=1).argmin()]
    order = np.linalg.norm(places - middle, axis=1).argsort(kind="stable")
    reach = np.maximum.accumulate(places[order]) - np.minimum.accumulate(places[order])
    return order[reach.max(axis=1) <= WIDEST_SCENE_M]


def _to_show(bodies: NDArray[np.float64], box: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) points inside a box that the view must include: the people, their shadows, and a body
    height above the centre of the floor.
    """
    points = bodies.reshape(-1, 3)
    points = np.clip(points[:: max(1, len(points) // 20_000)], *box)
    low, high = box
    reach = np.array(SMALLEST_SCENE_M) / 2
    smallest = np.stack([(low + high) / 2 - reach, (low + high) / 2 + reach])
    smallest[:, 2] = 0.0, SMALLEST_SCENE_M[2]
    return np.concatenate([points, points * (1.0, 1.0, 0.0), _corners(smallest)])


def _corners(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2, 3) box -> its (8, 3) corners."""
    x, y, z = np.meshgrid(*box.T, indexing="ij")
    corners: NDArray[np.float64] = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    return corners


def _background(viewpoint: Viewpoint, size: tuple[int, int], box: NDArray[np.float64]) -> Image:
    """Floor with a grid of one metre, fading into the sky."""
    width, height = size
    image = np.empty((height, width, 3), np.uint8)
    top = 0
    # In bands, to save memory.
    for band in np.array_split(image, max(1, height // BAND_PX)):
        rows, columns = np.mgrid[top : top + len(band), :width].astype(np.float64)
        band[:] = _floor_colours(*viewpoint.floor_at(columns, rows), box)
        top += len(band)
    return image


def _floor_colours(
    floor: NDArray[np.float64], shown: NDArray[np.bool_], box: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(H, W, 2) floor coordinates, and (H, W) whether it is visible -> (H, W, 3) colours."""
    middle = box[:, :2].mean(axis=0)
    radius = max(2.0, float(np.linalg.norm(box[1, :2] - box[0, :2])) / 2)
    away = np.linalg.norm(floor - middle, axis=-1) / radius
    floor_there = _smooth((2.4 - away) / 1.3) * shown

    bare = np.ones(shown.shape)
    for axis in (0, 1):
        place = floor[..., axis]
        # Size of a pixel on the floor. Lines cover their exact fraction of it, and fade out where
        # they are too dense to be distinguished.
        shows = sum(np.abs(slope) for slope in np.gradient(place)) + 1e-9
        to_line = np.abs(place - np.round(place))
        covered = np.clip((np.maximum(LINE_M, shows) / 2 - to_line) / shows + 0.5, 0, 1)
        bare *= 1 - covered * np.clip(1.2 - 3 * shows, 0, 1)
    grid_there = (1 - bare) * floor_there

    image = np.full((*shown.shape, 3), colours.SKY, np.float64)
    for there, colour in ((floor_there, colours.FLOOR), (grid_there, colours.GRID)):
        image += there[..., None] * (np.array(colour) - image)
    return np.asarray(np.round(image), np.float64)


def _smooth(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smoothstep: 0 below 0, 1 above 1."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)
