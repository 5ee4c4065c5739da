"""Binary glTF (.glb): everybody in one scene, as animated skeletons with bodies.

`rigid_skeleton` defines the skeleton and its rotations. The body has a spindle for each bone,
because most viewers do not draw bare skeletons. Metres and y up, as glTF requires; time 0 is the
first frame of the result. Animation keys are at the times of frames in which the person is
present; an absent person is scaled to 0.

Reference: https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import vidpose
from vidpose.export.motion import Motion, motion_of
from vidpose.export.rigid_skeleton import NODES, RigidMotion, rigid_motion
from vidpose.options import ExportOptions
from vidpose.poses import Pose3D
from vidpose.render.colours import Colour, person_colours, side
from vidpose.utils.gaps import shown_times

MARK = b'"generator":"vidpose '
COMPONENT = {np.dtype(np.float32): 5126, np.dtype(np.uint8): 5121}
ARRAY_BUFFER = 34962
SHAPES = {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
JSON_CHUNK, BINARY_CHUNK = b"JSON", b"BIN\0"

THICKNESS, THICKEST_M = 0.12, 0.05
"""Half-width of a bone's spindle: this fraction of its length, up to the maximum."""
WIDEST_AT = 0.25
"""Position of the maximum width, as a fraction of the length from the upper end."""


def write(result: Pose3D, path: Path, name: str, options: ExportOptions) -> None:
    """Write everybody whose joints are known in some frame.

    Args:
        result: the people.
        path: path to write to.
        name: final name of the file.
        options: axes.
    """
    scene = _Scene()
    for person, number in enumerate(result.person_ids.tolist()):
        motion = motion_of(result, person, axes=options.axes, up="y")
        if motion.known.any():
            _add_person(scene, motion, number)
    path.write_bytes(scene.to_bytes())


class _Scene:
    """Builder of the two parts of a file: the JSON and the numbers it refers to."""

    def __init__(self) -> None:
        self.numbers = bytearray()
        self.json: dict[str, Any] = {
            "asset": {"generator": f"vidpose {vidpose.__version__}", "version": "2.0"},
            "scene": 0,
            "scenes": [{"nodes": []}],
            "animations": [{"name": "motion", "channels": [], "samplers": []}],
        }

    def add(self, kind: str, item: dict[str, Any]) -> int:
        """Append to one of the file's lists; return the index."""
        items = self.json.setdefault(kind, [])
        items.append(item)
        return len(items) - 1

    def add_numbers(
        self, values: NDArray[Any], *, vertices: bool = False, limits: bool = False
    ) -> int:
        """Add an accessor to (N,) or (N, 3, 4 or 16) numbers.

        Args:
            values: float32 or uint8.
            vertices: whether they are a vertex attribute.
            limits: write minimum and maximum, which glTF requires for positions and times.
        """
        columns = 1 if values.ndim == 1 else values.shape[1]
        view = {"buffer": 0, "byteOffset": len(self.numbers), "byteLength": values.nbytes}
        if vertices:
            view["target"] = ARRAY_BUFFER
        self.numbers += values.tobytes()
        self.numbers += bytes(-len(self.numbers) % 4)
        accessor = {
            "bufferView": self.add("bufferViews", view),
            "componentType": COMPONENT[values.dtype],
            "count": len(values),
            "type": SHAPES[columns],
        }
        if limits:
            rows = values.reshape(len(values), columns)
            accessor |= {"min": rows.min(axis=0).tolist(), "max": rows.max(axis=0).tolist()}
        return self.add("accessors", accessor)

    def add_channel(
        self, node: int, path: str, times: int, values: NDArray[np.float32], how: str = "LINEAR"
    ) -> None:
        """Animate a node's translation, rotation or scale."""
        animation = self.json["animations"][0]
        output = self.add_numbers(values)
        animation["samplers"].append({"input": times, "output": output, "interpolation": how})
        sampler = len(animation["samplers"]) - 1
        animation["channels"].append({"sampler": sampler, "target": {"node": node, "path": path}})

    def to_bytes(self) -> bytes:
        """The bytes of the file."""
        self.json["buffers"] = [{"byteLength": len(self.numbers)}]
        text = json.dumps(self.json, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        chunks = b"".join(
            struct.pack("<I4s", len(chunk), kind) + chunk
            for kind, chunk in ((JSON_CHUNK, text), (BINARY_CHUNK, bytes(self.numbers)))
        )
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _add_person(scene: _Scene, motion: Motion, number: int) -> None:
    """A person's nodes, body and animation."""
    known = motion.known
    rigid = rigid_motion(motion.joints[known], motion.times[known])
    first = len(scene.json.get("nodes", []))
    for n, node in enumerate(NODES):
        item: dict[str, Any] = {"name": f"{node.name}_{number}"}
        item["translation"] = (rigid.offsets[n] if n else rigid.root[0]).tolist()
        children = [first + child for child, other in enumerate(NODES) if other.parent == n]
        if children:
            item["children"] = children
        scene.add("nodes", item)
    body = {"name": f"person {number}", **_body(scene, rigid, first, number)}
    scene.json["scenes"][0]["nodes"] += [first, scene.add("nodes", body)]

    # Times are 32-bit; after a long gap they could not resolve single frames.
    since_start = (shown_times(motion.times) - motion.times[0]).astype(np.float32)
    times = scene.add_numbers(since_start[known], limits=True)
    scene.add_channel(first, "translation", times, rigid.root.astype(np.float32))
    for n, rotation in enumerate(rigid.rotations):
        if any(other.parent == n for other in NODES):
            scene.add_channel(first + n, "rotation", times, continuous(rotation.as_quat()))
    if not known.all():
        size = np.repeat(known.astype(np.float32)[:, None], 3, axis=1)
        changes = np.append(True, np.diff(known))
        times = scene.add_numbers(since_start[changes], limits=True)
        scene.add_channel(first, "scale", times, size[changes], "STEP")


def continuous(quaternions: NDArray[np.float64]) -> NDArray[np.float32]:
    """(T, 4): the same rotations, each with the sign that is closer to the previous frame, so that
    viewers interpolate the short way.
    """
    opposite = (quaternions[1:] * quaternions[:-1]).sum(axis=1) < 0
    signs = np.where(np.append(False, np.cumsum(opposite) % 2 == 1), -1, 1)
    return (quaternions * signs[:, None]).astype(np.float32)


def _body(scene: _Scene, rigid: RigidMotion, first: int, number: int) -> dict[str, Any]:
    """A person's mesh, and the skin that binds it to the nodes, which start at index `first`."""
    rest = np.zeros_like(rigid.offsets)
    for n, node in enumerate(NODES[1:], start=1):
        rest[n] = rest[node.parent] + rigid.offsets[n]
    primitives = []
    for which, colour in enumerate(person_colours(number)):
        bones = [
            n
            for n, node in enumerate(NODES)
            if side(node.joint) == which and np.linalg.norm(rigid.offsets[n]) > 0
        ]
        if bones:
            uppers = [NODES[n].parent for n in bones]
            primitives.append(
                _primitive(scene, spindles(rest[uppers], rest[bones]), uppers, colour)
            )
    inverse = np.tile(np.eye(4, dtype=np.float32), (len(NODES), 1, 1))
    inverse[:, 3, :3] = -rest  # glTF matrices are column-major
    skin = {
        "joints": list(range(first, first + len(NODES))),
        "skeleton": first,
        "inverseBindMatrices": scene.add_numbers(inverse.reshape(-1, 16)),
    }
    mesh = {"name": f"person {number}", "primitives": primitives}
    return {"mesh": scene.add("meshes", mesh), "skin": scene.add("skins", skin)}


def _primitive(
    scene: _Scene, corners: NDArray[np.float32], uppers: list[int], colour: Colour
) -> dict[str, Any]:
    """The spindles of some bones, which rotate with the nodes at their upper ends."""
    edges = corners[:, :, 1:] - corners[:, :, :1]
    normals = np.cross(edges[:, :, 0], edges[:, :, 1])
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    vertices = corners.reshape(-1, 3)
    joints = np.zeros((len(vertices), 4), np.uint8)
    joints[:, 0] = np.repeat(uppers, len(vertices) // len(uppers))
    weights = np.tile(np.array([1, 0, 0, 0], np.float32), (len(vertices), 1))
    # glTF colours are linear; a gamma of 2.2 approximates sRGB.
    linear = [round((value / 255) ** 2.2, 4) for value in colour]
    material = {"baseColorFactor": [*linear, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.8}
    return {
        "attributes": {
            "POSITION": scene.add_numbers(vertices, vertices=True, limits=True),
            "NORMAL": scene.add_numbers(
                np.repeat(normals, 3, axis=1).reshape(-1, 3), vertices=True
            ),
            "JOINTS_0": scene.add_numbers(joints, vertices=True),
            "WEIGHTS_0": scene.add_numbers(weights, vertices=True),
        },
        "material": scene.add("materials", {"pbrMetallicRoughness": material}),
    }


def spindles(starts: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.float32]:
    """The faces of an octahedron around each bone.

    Args:
        starts, ends: (B, 3) metres, the upper and lower ends, which must differ.

    Returns:
        (B, 8, 3, 3) metres: corners of triangles, counter-clockwise seen from outside.
    """
    along = ends - starts
    length = np.linalg.norm(along, axis=1, keepdims=True)
    # Perpendicular to the bone and to the axis that it is least aligned with.
    helper = np.eye(3)[np.abs(along).argmin(axis=1)]
    aside = np.cross(along, helper)
    aside *= np.minimum(THICKNESS * length, THICKEST_M) / np.linalg.norm(aside, axis=1)[:, None]
    other = np.cross(along / length, aside)
    middle = starts + WIDEST_AT * along
    ring = [middle + aside, middle + other, middle - aside, middle - other]
    faces = []
    for corner, following in zip(ring, [*ring[1:], ring[0]], strict=True):
        faces += [np.stack([corner, following, ends], 1), np.stack([following, corner, starts], 1)]
    return np.stack(faces, axis=1).astype(np.float32)
