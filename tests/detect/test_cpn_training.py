"""Training with MMPose's own runner, with our config and MMPose's HRNet config.

A few steps on real frames must bring the loss down, and the network, looked through the same crops
and decoding that `infer` uses, must then find the joints that it was shown.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.detect.pose_training import (
    Person,
    losses,
    offsets,
    one_thread,
    real_people,
    shorten,
    write_coco,
)
from vidpose.detect import cpn, mmpose
from vidpose.detect.cpn import CPN, CPNPoseNetwork
from vidpose.detect.mmcv_ops import prepare_mmpose, quiet
from vidpose.detect.networks import read_tensors

CONFIG = Path(cpn.__file__).parent / "configs" / "cpn_resnet50_coco_256x192.py"
INPUT_SIZE = (64, 96)
BLOCKS, FEATURES = (1, 1, 1, 1), 64
"""Of a CPN that trains in seconds."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def people(demo_video: Path) -> list[Person]:
    """Five people in three frames."""
    return real_people(demo_video)


def train(config: Any, prepare: Any = None) -> Any:
    """MMEngine's runner after training."""
    with warnings.catch_warnings():
        # MMEngine's runner and what it loads warn about themselves in a dozen ways.
        warnings.simplefilter("ignore")
        from mmengine.runner import Runner

        runner = Runner.from_cfg(config)
        if prepare:
            prepare(runner.model)
        runner.train()
    return runner


def read_config(path: Path) -> Any:
    prepare_mmpose()
    with quiet():
        from mmengine.config import Config

        return Config.fromfile(path)


def distances(away: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(away, axis=1))


def assert_found(away: NDArray[np.float64]) -> None:
    """A pixel of a heat map is 0.05 of a person's size here; the targets decode to 0.023.

    Training amplifies rounding, which is another with memory aligned otherwise: HRNet's ended with
    all joints found and, after a change elsewhere, with 8 of 154 still far away.
    """
    assert distances(away).mean() < 0.05
    assert (distances(away) < 0.1).mean() > 0.9


def test_a_short_training_of_cpn_finds_the_joints_again(
    people: list[Person], tmp_path: Path
) -> None:
    write_coco(people, tmp_path)
    config = read_config(CONFIG)
    shorten(config, tmp_path, input_size=INPUT_SIZE, batch=len(people), steps=80, lr=3e-3)
    config.model.backbone.blocks = BLOCKS
    config.model.neck.features = config.model.head.features = FEATURES

    def scale(model: Any) -> None:
        # The peaks of the targets are 255 high; the last layers would take long to get there.
        for last in (*model.neck.predict, model.head.refine_net.final_predict):
            torch.nn.init.constant_(last[-1].weight, 30)

    runner = train(config, scale)

    history = losses(runner)
    assert len(history) == 80
    assert history[-10:].mean() < 0.4 * history[:3].mean()

    written = tmp_path / "work" / "epoch_80.pth"
    network = CPN(BLOCKS, FEATURES)
    untrained = CPNPoseNetwork(CPN(BLOCKS, FEATURES).eval(), input_size=INPUT_SIZE, half=False)
    tensors = read_tensors(written, "CPN")
    network.load_state_dict({cpn._own_name(key): value for key, value in tensors.items()})
    trained = CPNPoseNetwork(network.eval(), input_size=INPUT_SIZE, half=False, flip_test=True)
    away = offsets(trained, people)
    assert_found(away)
    assert np.abs(away.mean(axis=0)).max() < 0.02  # nothing is off by half a heat map's pixel
    assert distances(offsets(untrained, people)).mean() > 0.2  # the crop alone tells little


def small_hrnet(config: Any) -> None:
    """Make MMPose's HRNet-W32 a W8 with one module and one block in each place."""
    extra = config.model.backbone.extra
    for stage, widths in (
        ("stage2", (8, 16)),
        ("stage3", (8, 16, 32)),
        ("stage4", (8, 16, 32, 64)),
    ):
        extra[stage].update(num_modules=1, num_blocks=(1,) * len(widths), num_channels=widths)
    extra.stage1.update(num_blocks=(1,), num_channels=(16,))
    config.model.head.in_channels = 8


def test_a_short_training_of_hrnet_finds_the_joints_again(
    people: list[Person], tmp_path: Path
) -> None:
    prepare_mmpose()
    with quiet():
        import mmpose as package
    write_coco(people, tmp_path)
    config = read_config(
        Path(package.__file__).parent / mmpose.CONFIGS / mmpose.VARIANTS[32].config
    )
    shorten(config, tmp_path, input_size=INPUT_SIZE, batch=len(people), steps=240, lr=5e-3)
    small_hrnet(config)
    runner = train(config)

    history = losses(runner)
    assert history[-10:].mean() < 0.5 * history[:3].mean()
    away = offsets(mmpose.HRNet(runner.model.eval(), config, half=False, flip_test=True), people)
    assert_found(away)


@pytest.mark.parametrize(
    ("config_file", "size"),
    [("cpn_resnet50_coco_256x192.py", (192, 256)), ("cpn_resnet50_coco_384x288.py", (288, 384))],
)
def test_targets_follow_the_augmented_picture(
    config_file: str, size: tuple[int, int], people: list[Person], tmp_path: Path
) -> None:
    write_coco(people, tmp_path)
    config = read_config(CONFIG.with_name(config_file)).train_dataloader.dataset
    config.update(data_root=str(tmp_path), ann_file="people.json", data_prefix={"img": ""})
    config.pipeline[-1]["pack_transformed"] = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mmpose.datasets  # noqa: F401  (registers them)
        from mmengine.registry import DefaultScope
        from mmpose.registry import DATASETS

        np.random.seed(0)
        with DefaultScope.overwrite_default_scope("mmpose"):
            samples = [sample for sample in DATASETS.build(config) for _ in range(2)]
    assert len(samples) == 2 * len(people)
    for sample in samples:
        assert sample["inputs"].shape == (3, size[1], size[0])
        truth = sample["data_samples"].gt_instances.transformed_keypoints
        weights = sample["data_samples"].gt_instance_labels.keypoint_weights[0] > 0
        finest = sample["data_samples"].gt_fields.heatmaps[-17:].numpy()
        inside = ((truth[0] >= 0) & (truth[0] < size)).all(axis=1)
        assert not (weights.numpy() & ~inside).any()
        found, _ = cpn.decode_refined_maps(finest[None])
        apart = np.linalg.norm(found - truth, axis=2)[0][weights.numpy()]
        assert apart.max() < 5  # a pixel of the heat map is 4
