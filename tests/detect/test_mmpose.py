from __future__ import annotations

import os
import pickle
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.detect.conftest import save_hrnet
from vidpose.detect import mmpose
from vidpose.detect.mmcv_ops import prepare_mmpose, quiet
from vidpose.detect.mmpose import HRNet, decode_msra_maps, open_hrnet
from vidpose.detect.networks import read_tensors
from vidpose.detect.topdown import find_poses
from vidpose.errors import MissingDependencyError, WeightsError

BOXES = np.array(
    [[500, 100, 800, 500], [1300, 600, 1500, 900], [-50, -30, 200, 100], [700, 900, 1768, 994]],
    np.float32,
)
"""Both people; beyond the edges; and much wider than high."""


@pytest.fixture(scope="module")
def hrnet(hrnet_file: Path) -> HRNet:
    return open_hrnet(hrnet_file, half=False)


def assert_same_as_mmpose(
    width: int, file: Path, picture: NDArray[np.uint8], boxes: NDArray[np.float32], flip_test: bool
) -> None:
    """Our joints and those of MMPose's own API, with the same file and boxes."""
    network = open_hrnet(file, half=False, flip_test=flip_test)
    (ours,) = find_poses(network, [picture], [boxes])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MMPose's own way in warns about itself
        import mmpose as package
        from mmpose.apis import inference_topdown, init_model

        config = Path(package.__file__).parent / mmpose.CONFIGS / mmpose.VARIANTS[width].config
        model = init_model(config, str(file), device="cpu")
        model.test_cfg["flip_test"] = flip_test
        samples = inference_topdown(model, np.ascontiguousarray(picture[..., ::-1]), boxes)
    keypoints = np.concatenate([sample.pred_instances.keypoints for sample in samples])
    scores = np.concatenate([sample.pred_instances.keypoint_scores for sample in samples])
    apart = np.linalg.norm(ours.keypoints - keypoints, axis=2)
    assert apart.shape == (len(boxes), 17)
    assert apart.mean() < 0.1
    assert np.ptp(keypoints[0], axis=0).min() > 50  # they are all over the crop
    np.testing.assert_allclose(ours.scores, scores.clip(0, 1), atol=1e-4)


@pytest.mark.parametrize("flip_test", [False, True])
def test_the_keypoints_are_those_of_mmpose(
    flip_test: bool, hrnet_file: Path, pictures: list[NDArray[np.uint8]]
) -> None:
    assert_same_as_mmpose(32, hrnet_file, pictures[3 * flip_test], BOXES, flip_test)


def test_the_keypoints_of_the_large_hrnet_are_those_of_mmpose(
    pictures: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    file = save_hrnet(48, tmp_path / "w48.pth")
    assert_same_as_mmpose(48, file, pictures[0], BOXES[:1], flip_test=False)


def test_a_batch_is_the_same_as_one_by_one(hrnet: HRNet, pictures: list[NDArray[np.uint8]]) -> None:
    boxes = [BOXES[:2], BOXES[:0], BOXES[1:2], BOXES[2:3]]
    together = find_poses(hrnet, pictures, boxes)
    assert [len(found) for found in together] == [2, 0, 1, 1]
    for picture, some, found in zip(pictures, boxes, together, strict=True):
        for n, box in enumerate(some):
            (alone,) = find_poses(hrnet, [picture], [box[None]])
            apart = np.linalg.norm(alone.keypoints[0] - found.keypoints[n], axis=1)
            assert apart.mean() < 0.1


def test_half_precision_gives_nearly_the_same_heat_maps(
    hrnet: HRNet, hrnet_file: Path, pictures: list[NDArray[np.uint8]]
) -> None:
    crops = np.ascontiguousarray(pictures[0][None, 200:456, 500:692])
    half = open_hrnet(hrnet_file, half=True)
    assert half.description["options"]["precision"] == "bfloat16"
    maps, exact = half._maps(crops), hrnet._maps(crops)
    assert np.abs(maps - exact).mean() < 0.05 * exact.std()


def test_the_description_is_complete(hrnet: HRNet, hrnet_file: Path) -> None:
    assert hrnet.description["network"] == "HRNet-W32 256x192"
    assert len(hrnet.description["weights"][hrnet_file.name]) == 64
    assert hrnet.description["options"] == {"flip_test": False, "precision": "float32"}


def test_crops_keep_their_middle_and_aspect_ratio(hrnet: HRNet) -> None:
    """A box 100 x 100, 1.25 times as large, fills the width of 192."""
    ((across, down),) = hrnet.affines(np.array([[100.0, 200, 200, 300]]))
    assert (across @ (150, 250, 1), down @ (150, 250, 1)) == pytest.approx((96, 128))
    assert across[0] == down[1] == pytest.approx(192 / 125)
    assert across[1] == down[0] == 0
    assert np.isfinite(hrnet.affines(np.zeros((1, 4)))).all()  # a box of no size


def test_crops_of_another_size_are_refused(hrnet: HRNet) -> None:
    with pytest.raises(ValueError, match=r"\(any, 256, 192, 3\)"):
        hrnet.joints(np.zeros((1, 192, 256, 3), np.uint8))


def test_nobody(hrnet: HRNet) -> None:
    keypoints, scores = hrnet.joints(np.zeros((0, 256, 192, 3), np.uint8))
    assert keypoints.shape == (0, 17, 2)
    assert scores.shape == (0, 17)


def test_decoding_as_mmpose_does() -> None:
    """Peaks anywhere, including the border, and maps that are nowhere above 0."""
    from mmpose.codecs import MSRAHeatmap

    maps = np.random.default_rng(0).normal(size=(60, 17, 8, 6)).astype(np.float32)
    maps[5] -= 10
    codec = MSRAHeatmap(input_size=(24, 32), heatmap_size=(6, 8), sigma=2)
    pixels, scores = decode_msra_maps(maps)
    for n, some in enumerate(maps):
        keypoints, values = codec.decode(some)
        there = values[0] > 0
        np.testing.assert_allclose(pixels[n, there] * 4, keypoints[0, there])
        np.testing.assert_allclose(scores[n], values[0].clip(0, 1))
        assert np.isnan(pixels[n, ~there]).all()


@pytest.fixture
def tensors(hrnet_file: Path) -> dict[str, Any]:
    return read_tensors(hrnet_file, "")


def test_the_file_tells_which_hrnet_it_is(tmp_path: Path, tensors: dict[str, Any]) -> None:
    """W32's tensors with the last layer of W48 are rejected as a W48."""
    tensors[mmpose.WIDTH_KEY] = torch.zeros(17, 48, 1, 1)
    torch.save(tensors, tmp_path / "w48.pth")
    with pytest.raises(WeightsError, match="is no HRNet-W48 384x288 for 17 COCO joints"):
        open_hrnet(tmp_path / "w48.pth")


def test_what_does_not_fit_is_named(tmp_path: Path, tensors: dict[str, Any]) -> None:
    del tensors["backbone.conv1.weight"]
    tensors["extra"] = torch.zeros(1)
    tensors["head.final_layer.bias"] = torch.zeros(16)
    tensors["backbone.bn1.weight"] = torch.full((64,), torch.nan)
    torch.save({"state_dict": tensors}, tmp_path / "wrong.pth")
    with pytest.raises(WeightsError) as error:
        open_hrnet(tmp_path / "wrong.pth")
    for words in (
        "backbone.bn1.weight is not finite",
        "backbone.conv1.weight is missing",
        "extra is not part of the network",
        "head.final_layer.bias is (16,) where (17,) is needed",
    ):
        assert words in str(error.value)


def test_no_more_than_five_misfits_are_named(tmp_path: Path, tensors: dict[str, Any]) -> None:
    torch.save({k: v for k, v in tensors.items() if "stage4" not in k}, tmp_path / "part.pth")
    with pytest.raises(WeightsError, match=r"and \d+ more\.$") as error:
        open_hrnet(tmp_path / "part.pth")
    assert str(error.value).count(" is missing") == 5


def test_another_networks_file_is_refused(rtmdet_file: Path) -> None:
    with pytest.raises(WeightsError, match="is no HRNet-W32 256x192 or HRNet-W48"):
        open_hrnet(rtmdet_file)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        open_hrnet(tmp_path / "nowhere.pth")


@pytest.mark.parametrize("content", [b"", b"not weights", b"PK\x03\x04 cut off"])
def test_a_damaged_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.pth").write_bytes(content)
    with pytest.raises(WeightsError, match="no weights that can be read"):
        open_hrnet(tmp_path / "bad.pth")


class Hostile:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("as_pickle", [False, True])
def test_code_in_a_file_is_not_run(as_pickle: bool, tmp_path: Path) -> None:
    path, target = tmp_path / "hostile.pth", tmp_path / "was_run"
    content = {"state_dict": {}, "meta": Hostile(target)}
    if as_pickle:
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path)
    with pytest.raises(WeightsError, match="without running code"):
        open_hrnet(path)
    assert not target.exists()


def test_training_state_next_to_the_weights_is_ignored(tmp_path: Path) -> None:
    """MMEngine's log contains arrays, and methods by name."""
    prepare_mmpose()
    with quiet():
        from mmengine.logging import HistoryBuffer

    meta = {"losses": HistoryBuffer([1.0], [1]), "best": np.float64(0.7), "seeds": np.arange(3)}
    state = OrderedDict(weight=torch.ones(2))
    torch.save({"meta": meta, "state_dict": state}, tmp_path / "trained.pth")
    assert read_tensors(tmp_path / "trained.pth", "")["weight"].tolist() == [1, 1]


def test_weights_must_be_tensors(tmp_path: Path) -> None:
    torch.save({"state_dict": {"weight": [1, 2]}}, tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="holds no weights"):
        read_tensors(tmp_path / "list.pth", "HRNet")


def test_without_mmpose_the_message_has_the_fix(
    monkeypatch: pytest.MonkeyPatch, hrnet_file: Path
) -> None:
    monkeypatch.setattr("vidpose.detect.mmcv_ops.missing_packages", lambda: ["mmpose"])
    with pytest.raises(MissingDependencyError, match="pip install"):
        open_hrnet(hrnet_file)


def test_stderr_stays_clean(
    capfd: pytest.CaptureFixture[str], hrnet_file: Path, pictures: list[NDArray[np.uint8]]
) -> None:
    find_poses(open_hrnet(hrnet_file), pictures[:1], [BOXES[:1]])
    assert capfd.readouterr() == ("", "")
