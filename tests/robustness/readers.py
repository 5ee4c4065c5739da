"""Every reader of files from elsewhere, with a small valid file for it to begin with."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from tests.bvh_files import bvh_text
from tests.dataset_files import make_checkpoint
from tests.datasets.prepare import raw_files
from tests.keypoints import files as keypoint_files
from tests.official_files import poseformer_state, videopose_state, write_official
from tests.results import make_result
from vidpose.batch.find import find_videos
from vidpose.datasets import open_dataset
from vidpose.datasets.bvh import read_bvh
from vidpose.datasets.joint_clips import read_joint_file
from vidpose.datasets.motion_clips import read_clip
from vidpose.datasets.prepare import h36m, humaneva, mpi_inf_3dhp, raw
from vidpose.datasets.synthetic import write_synthetic
from vidpose.detect.base import Detections, FrameDetections
from vidpose.detect.cache import DetectionCache
from vidpose.evaluation.reference import read_reference
from vidpose.export import export
from vidpose.export.motion import of_people
from vidpose.keypoints import read_keypoints, write_2d
from vidpose.models import load_checkpoint, save_checkpoint
from vidpose.options import ExportOptions
from vidpose.paper.runs import _read as read_run_result
from vidpose.poses import load, read_metadata, save
from vidpose.provenance import check_same_source, recorded_options
from vidpose.skeleton import H36M17
from vidpose.training.learning_curve import _read_log
from vidpose.training.recipe import Recipe
from vidpose.training.run_folder import RunFolder, RunState
from vidpose.viewer.page import inline
from vidpose.zoo.registry import _recorded

Kind = Literal["bytes", "text", "json", "npz", "safetensors"]
"""What is known of a file's inside, and so what can be exchanged in it."""


@dataclass(frozen=True)
class Reader:
    """A reader, and how to make what it reads."""

    name: str
    kind: Kind
    file: str
    """Of the folder, the one that is damaged."""
    make: Callable[[Path], Any]
    """Writes a valid file, and what has to lie around it, into a folder."""
    read: Callable[[Path], Any]
    """What is tried with the file; it gets the file's path."""

    def __str__(self) -> str:
        return self.name


# What reads.


def _result(path: Path) -> None:
    found = read_metadata(path)
    if found is not None:
        recorded_options(found.meta)
        check_same_source(path, {"sha256": "0"})
    result = load(path)
    recorded_options(result.meta)
    repr(result)
    inline(result)
    result.angles()


_keypoints = partial(read_keypoints, skeleton="h36m17", fps=30.0, size=keypoint_files.SIZE)
_told = partial(read_keypoints, fps=30.0, size=keypoint_files.SIZE)
_of_coco = partial(read_keypoints, skeleton="coco17", fps=30.0, size=keypoint_files.SIZE)


def _openpose(path: Path) -> None:
    read_keypoints(path, fps=30.0, size=keypoint_files.SIZE)


def _dataset(name: str, keypoints: str | None = "gt", **choice: Any) -> Callable[[Path], Any]:
    def read(path: Path) -> None:
        dataset = open_dataset(name, path.parent, keypoints=keypoints, **choice)
        for sequence in dataset.train + dataset.test:
            _ = sequence.name, dataset.title

    return read


def _training_mat(path: Path) -> None:
    mpi_inf_3dhp._read_training(path, "S1 Seq1")


def _humaneva_mat(path: Path) -> None:
    humaneva._read(path, ("Validate/S1", "Walking 1"))


def _cache(path: Path) -> None:
    with closing(DetectionCache(path.parent.parent / "a.npz", {"video": 1}, H36M17)) as cache:
        for found in cache.detections():
            assert found.time_s == found.time_s


def _unpack(path: Path) -> None:
    raw.unpack(path, path.parent / "out", re.compile(r"(S1)/(\w+\.cdf)$"))


def _bvh(path: Path) -> None:
    positions, _ = read_bvh(path).world()
    assert np.isfinite(positions).all()
    read_clip(path)


def _npy_reference(path: Path) -> None:
    read_reference(path, fps=30.0)


# What makes.


def _make_bare(path: Path) -> None:
    joints = np.random.default_rng(0).uniform(0, 400, (9, 17, 3)).astype(np.float32)
    joints[..., 2] /= 400  # scores
    np.save(path, joints)


def _make_custom(path: Path) -> None:
    joints = np.random.default_rng(1).normal((0, 0, 4), 0.3, (9, 17, 3))
    np.savez(
        path,
        keypoints_2d=600 * joints[..., :2] / joints[..., 2:] + (320, 240),
        joints_3d=joints,
        fps=25.0,
        frame_size=[640, 480],
        focal_px=600.0,
        subject="me",
        valid=np.ones(9, bool),
    )


def _make_joints(path: Path) -> None:
    np.savez(
        path,
        joints=np.random.default_rng(0).normal(0, 1, (30, 17, 3)),
        joint_names=np.array(H36M17.joint_names),
        fps=30.0,
        starts=[0, 10, 30],
        clips=["walk", "run"],
        valid=np.ones(30, bool),
    )


def _make_export(form: str, path: Path) -> None:
    result = of_people(make_result(people=1), (1,))
    export(result, path, form, ExportOptions(axes="camera"))


def _make_h36m(path: Path) -> None:
    write_synthetic(path.parent, seconds=0.1, actions=["Walking"])


def _make_humaneva(path: Path) -> None:
    write_synthetic(path.parent, "humaneva", seconds=0.1)


def _make_3dhp(path: Path) -> None:
    write_synthetic(path.parent, "mpi_inf_3dhp", seconds=0.1, subjects=["S1", "TS1"])


def _make_state(path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    learned = {"model": model.state_dict(), "optimizers": [optimizer.state_dict()], "average": {}}
    run = RunState(epoch=1, log=[{"epoch": 1.0}])
    RunFolder(path.parent).save(run, Recipe(), {"dataset": "h36m"}, learned)


def _make_run_result(path: Path) -> None:
    content = {
        "format": "vidpose-paper-run/1",
        "model": "poseformer",
        "frames": 9,
        "parameters": 100,
        "keypoints": "gt",
        "means": {"mpjpe_mm": 50.0},
        "columns": {"Walking": {"mpjpe_mm": 40.0}},
    }
    path.write_text(json.dumps(content))


def _make_cache(path: Path) -> None:
    cache = DetectionCache(path.parent.parent / "a.npz", {"video": 1}, H36M17)
    people = Detections(
        np.ones((2, 17, 2), np.float32),
        np.ones((2, 17), np.float32),
        H36M17,
        np.zeros((2, 17), bool),
    )
    cache.add(FrameDetections(0, 0.0, people))
    in_between = replace(people, shift=np.full((2, 17, 2), np.nan, np.float32))
    cache.add(FrameDetections(1, 0.1, in_between))
    cache.write({"box": [1, 2]}, [])
    cache.close()


def _make_training_mat(v73: bool, path: Path) -> None:
    flat = raw_files.walk(4, 28).reshape(4, 84)
    raw_files.write_mat(
        path,
        v73,
        annot2=[flat[:, :56]] * 14,
        univ_annot3=[flat] * 14,
        cameras=np.arange(14)[None],
    )


def _make_humaneva_mat(path: Path) -> None:
    start, stop = humaneva.FRAMES["Validate/S1", "Walking 1"]
    poses = raw_files.walk(stop - start, 15)
    raw_files.write_mat(path, poses_3d=poses, poses_2d=np.stack([poses[..., :2]] * 3))


def _make_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("S1/Walking.cdf", b"x" * 100)


def _make_list(path: Path) -> None:
    path.with_name("b.mp4").touch()
    path.write_text("a.mp4\nb.mp4\n")


def _make_log(path: Path) -> None:
    path.write_text("epoch,lr,train_mpjpe_mm,val_mpjpe_mm,val_p_mpjpe_mm\n1,0.1,50,60,40\n")


def _make_openpose(path: Path) -> None:
    folder = keypoint_files.openpose(path.parent / "made", range(1))
    (folder / "clip_000000000000_keypoints.json").rename(path)


def _make_yolo(path: Path) -> None:
    folder = keypoint_files.yolo_texts(path.parent / "made", range(1))
    next(folder.glob("*.txt")).rename(path)


def _keypoint_file(write: Callable[..., Path]) -> Callable[[Path], Any]:
    return lambda path: write(path, range(4))


@cache
def readers() -> tuple[Reader, ...]:
    """All of them."""
    take = raw_files.walk(4, 32)
    return (
        Reader("result", "npz", "a.npz", lambda p: save(make_result(), p), _result),
        Reader(
            "2D file",
            "npz",
            "a.npz",
            lambda p: write_2d(make_result(), p, {"source": {}}),
            read_keypoints,
        ),
        Reader("bare array", "bytes", "a.npy", _make_bare, _keypoints),
        Reader("detections", "npz", ".a.partial/000000000.npz", _make_cache, _cache),
        *(
            Reader(f"{write.__name__} JSON", "json", "a.json", _keypoint_file(write), _of_coco)
            for write in (
                keypoint_files.mmpose,
                keypoint_files.mmpose_demo,
                keypoint_files.coco,
                keypoint_files.coco_annotations,
                keypoint_files.alphapose,
            )
        ),
        *(
            Reader(f"{write.__name__} JSON", "json", "a.json", _keypoint_file(write), _told)
            for write in (
                keypoint_files.poseflow,
                keypoint_files.alphapose_open,
                keypoint_files.ultralytics,
                keypoint_files.mediapipe,
                keypoint_files.vitpose,
            )
        ),
        *(
            Reader(f"{write.__name__} table", "text", "a.csv", _keypoint_file(write), _told)
            for write in (
                keypoint_files.mediapipe_csv,
                keypoint_files.mediapipe_long,
                keypoint_files.sleap,
                keypoint_files.deeplabcut,
            )
        ),
        Reader("YOLO text", "text", "a_0.txt", _make_yolo, _told),
        Reader("OpenPose JSON", "json", "a_0_keypoints.json", _make_openpose, _openpose),
        Reader("custom dataset", "npz", "a.npz", _make_custom, _dataset("custom", None)),
        Reader("motion capture .npz", "npz", "a.npz", _make_joints, read_joint_file),
        Reader("h36m 3D", "npz", "data_3d_h36m.npz", _make_h36m, _dataset("h36m")),
        Reader("h36m 2D", "npz", "data_2d_h36m_gt.npz", _make_h36m, _dataset("h36m")),
        Reader("humaneva", "npz", "data_3d_humaneva15.npz", _make_humaneva, _dataset("humaneva")),
        *(
            Reader(
                f"3dhp {part}",
                "npz",
                f"data_{part}_3dhp.npz",
                _make_3dhp,
                _dataset("mpi_inf_3dhp", None, train_subjects=["S1"], test_subjects=["TS1"]),
            )
            for part in ("train", "test")
        ),
        Reader("CDF", "bytes", "a.cdf", lambda p: raw_files.write_cdf(p, take), h36m.read_take),
        Reader("HDF5", "bytes", "a.h5", lambda p: raw_files.write_h5(p, take), h36m.read_take),
        Reader("MATLAB", "bytes", "annot.mat", partial(_make_training_mat, False), _training_mat),
        Reader(
            "MATLAB 7.3", "bytes", "annot.mat", partial(_make_training_mat, True), _training_mat
        ),
        Reader("HumanEva MATLAB", "bytes", "Walking_1.mat", _make_humaneva_mat, _humaneva_mat),
        Reader("archive", "bytes", "a.zip", _make_zip, _unpack),
        Reader("BVH", "text", "a.bvh", lambda p: p.write_text(bvh_text(frames=4)), _bvh),
        Reader("TRC", "text", "a.trc", partial(_make_export, "trc"), read_reference),
        Reader("C3D", "bytes", "a.c3d", partial(_make_export, "c3d"), read_reference),
        Reader(
            "BVH reference",
            "text",
            "a.bvh",
            lambda p: p.write_text(bvh_text(frames=4)),
            read_reference,
        ),
        Reader("reference array", "bytes", "a.npy", _make_bare, _npy_reference),
        Reader(
            "checkpoint",
            "safetensors",
            "a.safetensors",
            lambda p: save_checkpoint(p, make_checkpoint()),
            load_checkpoint,
        ),
        Reader(
            "PoseFormer .bin",
            "bytes",
            "a.bin",
            lambda p: write_official(p, poseformer_state(depths=(1, 1)), optimizer={}),
            load_checkpoint,
        ),
        Reader(
            "VideoPose3D .bin",
            "bytes",
            "a.bin",
            lambda p: write_official(p, videopose_state(9), optimizer={}, legacy=True),
            load_checkpoint,
        ),
        Reader("run state", "bytes", "state.pt", _make_state, lambda p: RunFolder(p.parent).read()),
        Reader("experiment", "json", "result.json", _make_run_result, read_run_result),
        Reader("learning curve", "text", "log.csv", _make_log, _read_log),
        Reader(
            "recorded hash",
            "text",
            "a.sha256",
            lambda p: p.write_text(f"{'0' * 64}  a.safetensors\n"),
            _recorded,
        ),
        Reader(
            "list of videos",
            "text",
            "a.txt",
            _make_list,
            lambda p: find_videos([p], p.parent / "out"),
        ),
    )
