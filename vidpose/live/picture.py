"""The content of the live window: the frame with its people, next to a 3D panel."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from vidpose.poses import Pose3D
from vidpose.render.compose import Layout, compose_frame
from vidpose.render.scene import ScenePanel, placed_joints
from vidpose.render.view import View
from vidpose.skeleton import H36M17
from vidpose.streaming import FramePeople
from vidpose.video import Image

RECENT_S = 3.0
"""The extent of the scene and its floor are found from this much of the recent past."""
SETTLES_S = (0.5, 1.5, 3.0)
"""Times after the first person came into view at which the scene is found again."""
AT_MOST_EVERY_S = 0.5
"""Minimum interval between changes of the scene to keep people and newcomers in it."""


class LivePicture:
    """Draws frame after frame; the scene does not move as long as all people are in it.

    Args:
        frame_size: width and height of the source's frames, pixels.
        view: viewpoint of the 3D panel.
        width: maximum width of the image, pixels.
    """

    def __init__(self, frame_size: tuple[int, int], view: View, width: int) -> None:
        self.layout = Layout.of(frame_size, width)
        self._frame_size, self._view = frame_size, view
        self._recent: deque[FramePeople] = deque()
        self._scene: ScenePanel | None = None
        self._now: Pose3D
        self._known: set[int] = set()
        self._began_s = self._made_s = -np.inf

    def draw(self, picture: Image, frame: FramePeople) -> Image:
        """Draw a frame: (H, W, 3) RGB of `layout.size`.

        Args:
            picture: (H, W, 3) RGB of `layout.picture`.
            frame: the people in it; times increase from call to call.
        """
        self._now = as_result([frame], self._frame_size)
        self._recent.append(frame)
        while self._recent[0].time_s < frame.time_s - RECENT_S:
            self._recent.popleft()
        if self._scene is None or self._is_out_of_date(self._scene, frame.time_s):
            if frame.people and not np.isfinite(self._began_s):
                self._began_s = frame.time_s
            recent = as_result(list(self._recent), self._frame_size)
            self._scene = ScenePanel(recent, self.layout.panel, self._view)
            self._known = set(recent.person_ids.tolist())
            self._made_s = frame.time_s
        return compose_frame(self._now, 0, picture, _Now(self._scene, self._now), self.layout)

    def _is_out_of_date(self, scene: ScenePanel, now_s: float) -> bool:
        if not self._now.people:
            return False
        if not np.isfinite(self._began_s):
            return True
        if any(self._made_s < self._began_s + after <= now_s for after in SETTLES_S):
            return True
        if now_s < self._made_s + AT_MOST_EVERY_S:
            return False
        newcomers = not self._known.issuperset(self._now.person_ids.tolist())
        return newcomers or not scene.shows(placed_joints(self._now)[:, 0])


class _Now:
    """Draws the current people in a scene that was made earlier."""

    def __init__(self, scene: ScenePanel, now: Pose3D) -> None:
        self._scene, self._now = scene, now

    def draw(self, t: int, image: Image) -> Image:
        placed = placed_joints(self._now)[:, t]
        thin = ~self._now.observed[:, t]
        return self._scene.draw_people(placed, self._now.person_ids, thin, image)


def as_result(frames: Sequence[FramePeople], frame_size: tuple[int, int]) -> Pose3D:
    """Combine the people of some frames into one `Pose3D`; missing values are NaN.

    Args:
        frames: one or more, in order.
        frame_size: width and height of the frames, pixels.
    """
    ids = sorted({person.id for frame in frames for person in frame.people})
    shape = len(ids), len(frames), len(H36M17)
    keypoints, joints = (np.full((*shape, n), np.nan, np.float32) for n in (2, 3))
    scores, roots = np.zeros(shape, np.float32), np.full((*shape[:2], 3), np.nan, np.float32)
    present = np.zeros(shape[:2], bool)
    for t, frame in enumerate(frames):
        for person in frame.people:
            at = ids.index(person.id), t
            keypoints[at], scores[at] = person.keypoints_2d, person.scores_2d
            joints[at], roots[at], present[at] = person.joints_3d, person.root_3d, True
    return Pose3D(
        keypoints_2d=keypoints,
        scores_2d=scores,
        present=present,
        observed=present.copy(),
        person_ids=np.array(ids, np.int32),
        frame_indices=np.array([frame.index for frame in frames], np.int64),
        timestamps=np.array([frame.time_s for frame in frames]),
        fps=30.0,
        frame_size=frame_size,
        joints_3d=joints,
        root_3d=roots,
    )
