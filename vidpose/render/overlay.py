"""2D skeletons on a video frame."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vidpose.render import colours, draw
from vidpose.render.colours import OVERLAY_OUTLINE as OUTLINE
from vidpose.render.draw import Image
from vidpose.skeleton import H36M17
from vidpose.utils.gaps import known_joints

SURE_SCORE = 0.3
"""Bones of joints with a lower score are drawn faintly."""
FAINT = 0.4
"""Opacity of a faint bone."""
THORAX, NOSE, HEAD = (H36M17.index(name) for name in ("Thorax", "Neck/Nose", "Head"))
MIDDLE = len(H36M17)
"""Index of an extra point halfway between thorax and head top. The neck is drawn straight through
it, and the nose branches off: a line through the nose would run down the face in profile."""
BONES = [bone for bone in H36M17.bones if not {NOSE, HEAD} & set(bone)]
BONES += [(THORAX, HEAD), (MIDDLE, NOSE)]
PARENTS, CHILDREN = (np.array(ends) for ends in zip(*BONES, strict=True))
SIDES = [colours.side(child) for _, child in BONES]


def draw_people(
    image: Image,
    keypoints_px: NDArray[np.floating[Any]],
    scores: NDArray[np.floating[Any]],
    observed: NDArray[np.bool_],
    person_ids: NDArray[np.integer[Any]],
) -> None:
    """Draw the people of one frame onto `image`, in place.

    Interpolated people (not `observed`) and bones of joints with a score below `SURE_SCORE` are
    faint and thinner. The colours are in `vidpose.render.colours`.

    Args:
        image: (H, W, 3) uint8 RGB.
        keypoints_px: (P, 17, 2) h36m17 joints in pixels of `image`; NaN joints are not drawn.
        scores: (P, 17) confidence, 0 to 1.
        observed: (P,) whether the person was detected in this frame.
        person_ids: (P,).
    """
    people = [
        _Person(image, *person)
        for person in zip(keypoints_px, scores, observed, person_ids.tolist(), strict=True)
        if _in_picture(person[0], image)
    ]
    people.sort(key=lambda person: person.height)  # the nearest (tallest) last
    for person in people:
        person.draw_faint(image)
    for person in people:
        person.draw_sure(image)
    for person in people:
        person.draw_label(image)


def _in_picture(keypoints: NDArray[np.floating[Any]], image: Image) -> bool:
    height, width = image.shape[:2]
    return bool(((keypoints >= 0) & (keypoints < (width, height))).all(axis=-1).any())


class _Person:
    def __init__(
        self,
        image: Image,
        keypoints: NDArray[np.floating[Any]],
        scores: NDArray[np.floating[Any]],
        observed: bool,
        person_id: int,
    ) -> None:
        self.keypoints = keypoints.astype(np.float64)
        self.id = person_id
        self.colours = colours.person_colours(person_id)
        self.joints = known_joints(self.keypoints)
        known = self.keypoints[self.joints]
        # Without the head top, attach the nose to the thorax.
        end = HEAD if self.joints[HEAD] else THORAX
        ends = [THORAX, end]
        self.points = np.vstack([self.keypoints, self.keypoints[ends].mean(axis=0)])
        there = np.append(self.joints, self.joints[ends].all())
        low, high = known.min(axis=0), known.max(axis=0)
        self.height = float(max(high - low))
        self.top = np.array([(low[0] + high[0]) / 2, low[1]])

        picture = min(image.shape[:2])
        radius = np.clip(self.height * 0.0085, picture * 0.0016, picture * 0.0045)
        self.radius = max(0.8, float(radius)) * (1.0 if observed else 0.6)
        self.edge = max(0.7, self.radius * 0.4)

        self.bones = there[PARENTS] & there[CHILDREN]
        sure = (np.append(scores, scores[ends].min()) >= SURE_SCORE) & observed
        self.sure_bones = self.bones & sure[PARENTS] & sure[CHILDREN]
        # A joint is drawn like the clearest of its bones.
        clear = np.zeros_like(there)
        clear[PARENTS[self.sure_bones]] = True
        clear[CHILDREN[self.sure_bones]] = True
        self.sure_joints = clear[:MIDDLE]

    def draw_sure(self, image: Image) -> None:
        self._draw(image, self.sure_bones, self.sure_joints, self.radius)

    def draw_faint(self, image: Image) -> None:
        bones, joints = self.bones & ~self.sure_bones, self.joints & ~self.sure_joints
        if not joints.any() and not bones.any():
            return
        window = self._window(image)
        if window.size == 0:
            return
        before = window.copy()
        self._draw(image, bones, joints, self.radius * 0.7)
        cv2.addWeighted(window, FAINT, before, 1 - FAINT, 0, dst=window)

    def _window(self, image: Image) -> Image:
        """The part of the image around the person, as a view."""
        margin = 4 * self.radius + 2
        known = self.keypoints[self.joints]
        left, top = np.maximum(known.min(axis=0) - margin, 0).astype(int)
        right, bottom = np.maximum(known.max(axis=0) + margin, 0).astype(int)
        return image[top:bottom, left:right]

    def _draw(
        self, image: Image, bones: NDArray[np.bool_], joints: NDArray[np.bool_], radius: float
    ) -> None:
        start, end = self.points[PARENTS[bones]], self.points[CHILDREN[bones]]
        radii = np.full((len(start), 2), radius)
        outer = draw.capsules(start, end, radii + self.edge)
        inner = draw.capsules(start, end, radii)
        # All outlines first, so that they do not cut through bones.
        for outline in outer:
            draw.fill(image, outline, OUTLINE)
        for joint in np.flatnonzero(joints):
            draw.disc(image, self.keypoints[joint], radius * 1.5 + self.edge, OUTLINE)
        for bone, outline in zip(np.flatnonzero(bones), inner, strict=True):
            draw.fill(image, outline, self.colours[SIDES[bone]])
        for joint in np.flatnonzero(joints):
            colour = self.colours[colours.side(int(joint))]
            draw.disc(image, self.keypoints[joint], radius * 1.5, colour)

    def draw_label(self, image: Image) -> None:
        height, width = image.shape[:2]
        head = self.keypoints[[NOSE, HEAD]]
        known = head[np.isfinite(head).all(axis=1)]
        x, y = known[-1] if len(known) else self.top
        tall = max(6.0, min(height, width) * 0.014)
        text = str(self.id)
        text_width, _ = draw.text_size(text, tall)
        thick = 1.05 * tall
        reach = max(0.0, (text_width - tall) / 2)
        rim = reach + thick + 1
        x = float(np.clip(x, rim, max(rim, width - rim)))
        rim = thick + 1
        middle = float(np.clip(y - 5 * self.radius - thick, rim, max(rim, height - rim)))
        ends = (x - reach, middle), (x + reach, middle)
        draw.bar(image, *ends, thick + 1, OUTLINE)
        draw.bar(image, *ends, thick, self.colours[colours.CENTRE])
        draw.write(image, text, x - text_width / 2, middle + tall / 2, tall, colours.WHITE)
