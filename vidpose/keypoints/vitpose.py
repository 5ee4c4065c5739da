"""easy_ViTPose's JSON (`--save-json`): all frames of a video, people by their track IDs.

    {"keypoints": [{"0": [[y1, x1, score1], [y2, x2, score2], ...]}, ...],
     "skeleton": {"0": "nose", "1": "left_eye", ...}}

Points are y, x, in pixels. The frame number is the position in the list.
"""

from __future__ import annotations

from vidpose.keypoints.base import (
    NOTHING,
    Asked,
    Item,
    KeypointFile,
    PersonKeypoints,
    agreed,
)
from vidpose.keypoints.joint_names import missing_joints, skeleton_of_names

NAME = "vitpose"


def matches(item: Item) -> bool:
    """Whether the content of a JSON file is easy_ViTPose's."""
    value = item.value
    return (
        isinstance(value, dict)
        and isinstance(value.get("skeleton"), dict)
        and isinstance(value.get("keypoints"), list)
        and all(isinstance(frame, dict) for frame in value["keypoints"])
    )


def read(item: Item, asked: Asked = NOTHING) -> KeypointFile:
    """Parse the content of a JSON file.

    Args:
        item: the whole file.
        asked: the skeleton, if the joint names are unknown.

    Raises:
        KeypointsError: the content is not easy_ViTPose's, or its joints are unknown.
        UsageError: the requested skeleton contradicts the names.
    """
    listed = item["skeleton"]
    names = tuple(listed[str(n)].text() for n in range(len(listed.value)))
    skeleton = skeleton_of_names(names)
    if skeleton is not None:
        skeleton = agreed(skeleton, asked.skeleton, item.path)
    elif asked.skeleton is not None and len(asked.skeleton) == len(names):
        skeleton = asked.skeleton
    else:
        listed.fail(f"lacks {', '.join(missing_joints(names)[:3])}; see --skeleton")
    frames: dict[int, list[PersonKeypoints]] = {}
    for index, frame in enumerate(item["keypoints"]):
        frames[index] = []
        for id in frame.value:
            rows = frame[id].array(len(skeleton), 3, of=skeleton)
            number = int(id) if id.isdecimal() else None
            seen = frame[id].person(rows[:, 1::-1], rows[:, 2], number)
            frames[index].extend([seen] if seen else [])
    return KeypointFile(path=item.path, format=NAME, skeleton=skeleton, frames=frames)
