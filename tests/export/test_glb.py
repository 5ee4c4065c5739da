from pathlib import Path
from typing import Any

import numpy as np
import pygltflib
import trimesh
from trimesh.transformations import quaternion_matrix

from tests.export.people import ABSENT, passers_by, varying
from vidpose.export import export
from vidpose.export.motion import JOINT_NAMES, motion_of
from vidpose.options import ExportOptions
from vidpose.poses import Pose3D
from vidpose.skeleton import H36M17

TYPES = {pygltflib.FLOAT: np.float32, pygltflib.UNSIGNED_BYTE: np.uint8}
COLUMNS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


def numbers(glb: Any, which: int) -> np.ndarray:
    """The array of an accessor."""
    accessor = glb.accessors[which]
    view = glb.bufferViews[accessor.bufferView]
    columns = COLUMNS[accessor.type]
    values = np.frombuffer(
        glb.binary_blob(), TYPES[accessor.componentType], accessor.count * columns, view.byteOffset
    )
    return values.reshape(accessor.count, columns)


def channels(glb: Any) -> dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]:
    """Times and values, by node name and animated property."""
    found = {}
    animation = glb.animations[0]
    for channel in animation.channels:
        sampler = animation.samplers[channel.sampler]
        key = (glb.nodes[channel.target.node].name, channel.target.path)
        found[key] = (numbers(glb, sampler.input)[:, 0], numbers(glb, sampler.output))
    return found


def places(path: Path, person: int) -> tuple[np.ndarray, np.ndarray]:
    """Times of the keyframes and (keyframes, 17, 3) joints, by trimesh's scene graph."""
    glb = pygltflib.GLTF2().load(str(path))
    graph = trimesh.load_scene(str(path)).graph
    moving = {key: value for key, value in channels(glb).items() if key[0].endswith(f"_{person}")}
    times, root = moving[f"Hip_{person}", "translation"]
    rest = {node.name: node.translation for node in glb.nodes}
    joints = np.empty((len(times), 17, 3))
    for k in range(len(times)):
        for (name, what), (_, values) in moving.items():
            if what == "rotation":
                x, y, z, w = values[k]
                matrix = quaternion_matrix([w, x, y, z])
                matrix[:3, 3] = root[k] if name == f"Hip_{person}" else rest[name]
                graph.update(
                    frame_to=name, matrix=matrix, frame_from=graph.transforms.parents[name]
                )
        joints[k] = [graph.get(f"{name}_{person}")[0][:3, 3] for name in JOINT_NAMES]
    return times, joints


def check(result: Pose3D, path: Path) -> None:
    for row, person in enumerate(result.person_ids.tolist()):
        motion = motion_of(result, row, axes="world", up="y")
        times, joints = places(path, person)
        since = motion.times - motion.times[0]
        np.testing.assert_allclose(times, since[motion.known], atol=1e-6)
        np.testing.assert_allclose(joints, motion.joints[motion.known], atol=1e-5)
        for parent, child in H36M17.bones:
            assert np.ptp(np.linalg.norm(joints[:, child] - joints[:, parent], axis=1)) < 1e-5


def test_read_by_other_programs(tmp_path: Path) -> None:
    result = passers_by()
    check(result, export(result, tmp_path / "walk.glb", "glb"))


def test_keyframes_are_at_the_frames_own_times(tmp_path: Path) -> None:
    result = varying(passers_by())
    check(result, export(result, tmp_path / "walk.glb", "glb"))


def test_absent_people_are_scaled_to_zero(tmp_path: Path) -> None:
    result = passers_by()
    glb = pygltflib.GLTF2().load(str(export(result, tmp_path / "walk.glb", "glb")))
    found = channels(glb)
    assert ("Hip_1", "scale") not in found
    times, size = found["Hip_2", "scale"]
    edges = [0, 5, ABSENT[1].start, ABSENT[1].stop, ABSENT[2].start]
    np.testing.assert_allclose(times, np.array(edges) / 29.97, atol=1e-6)
    assert size[:, 0].tolist() == [0, 1, 0, 1, 0]
    (sampler,) = {
        glb.animations[0].samplers[channel.sampler].interpolation
        for channel in glb.animations[0].channels
        if channel.target.path == "scale"
    }
    assert sampler == "STEP"


def test_the_body_is_where_the_bones_are(tmp_path: Path) -> None:
    result = passers_by()
    path = export(result, tmp_path / "walk.glb", "glb")
    scene = trimesh.load_scene(str(path))
    assert len(scene.geometry) == 6  # left, middle and right of two people
    bones = 0
    for mesh in scene.geometry.values():
        mesh.merge_vertices(merge_norm=True)
        for body in mesh.split():
            bones += 1
            assert body.is_watertight
            assert body.volume > 0  # its faces look outward
    assert bones == 2 * 16
    glb = pygltflib.GLTF2().load(str(path))
    for skin in glb.skins:
        inverse = numbers(glb, skin.inverseBindMatrices).reshape(-1, 4, 4).transpose(0, 2, 1)
        assert len(skin.joints) == len(inverse) == 23


def test_axes_of_the_camera(tmp_path: Path) -> None:
    result = passers_by(world=False)
    path = export(result, tmp_path / "walk.glb", "glb", ExportOptions(axes="camera"))
    _, joints = places(path, 1)
    np.testing.assert_allclose(joints, result.joints_camera()[0] * [1, -1, -1], atol=1e-5)
