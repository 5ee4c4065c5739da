from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vidpose.detect import mmdet
from vidpose.detect.mmcv_ops import prepare_mmpose
from vidpose.detect.mmdet import RTMDet, open_rtmdet
from vidpose.detect.networks import read_tensors
from vidpose.errors import WeightsError

Boxes = tuple[NDArray[np.float32], NDArray[np.float32]]


@pytest.fixture(scope="module")
def rtmdet(rtmdet_file: Path) -> RTMDet:
    return open_rtmdet(rtmdet_file, half=False)


@pytest.fixture(scope="module")
def theirs(rtmdet_file: Path) -> Any:
    """MMDet's own model."""
    prepare_mmpose()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MMDet's own way in warns about itself
        import mmdet as package
        from mmdet.apis import init_detector

        config = Path(package.__file__).parent / mmdet.VARIANTS[12, 80].config
        return init_detector(str(config), str(rtmdet_file), device="cpu")


def infer(model: Any, picture: NDArray[np.uint8]) -> Boxes:
    from mmdet.apis import inference_detector

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = inference_detector(model, np.ascontiguousarray(picture[..., ::-1])).pred_instances
    found = found[found.labels == mmdet.PERSON]
    return found.bboxes.numpy(), found.scores.numpy()


def assert_same(ours: Boxes, theirs: Boxes) -> None:
    """Both have the same boxes; those with equal scores may be in any order."""
    assert len(ours[0]) == len(theirs[0])
    rows = [np.column_stack([boxes, scores * 1000]) for boxes, scores in (ours, theirs)]
    apart = np.abs(rows[0][:, None] - rows[1][None]).max(axis=2)
    assert apart.min(axis=0).max() < 0.05
    assert apart.min(axis=1).max() < 0.05


@pytest.mark.parametrize("portrait", [False, True])
def test_the_boxes_are_those_of_mmdet(
    portrait: bool, rtmdet_file: Path, theirs: Any, pictures: list[NDArray[np.uint8]]
) -> None:
    picture = pictures[0][:, 400:1000] if portrait else pictures[0]
    boxes, scores = infer(theirs, picture)
    assert len(boxes) > 50
    everything = open_rtmdet(rtmdet_file, half=False, min_score=0)
    assert_same(everything.people([picture])[0], (boxes, scores))
    enough = float((scores[20] + scores[21]) / 2)
    sure = scores > enough
    strict = open_rtmdet(rtmdet_file, half=False, min_score=enough)
    assert_same(strict.people([picture])[0], (boxes[sure], scores[sure]))


def test_a_batch_is_the_same_as_one_by_one(
    rtmdet: RTMDet, pictures: list[NDArray[np.uint8]]
) -> None:
    mixed = [pictures[0], pictures[1][:, 400:1000], pictures[2]]
    for picture, found in zip(mixed, rtmdet.people(mixed), strict=True):
        assert len(found[0]) > 10
        assert_same(found, rtmdet.people([picture])[0])
    assert rtmdet.people([]) == []


def test_the_most_confident_come_first(rtmdet: RTMDet, pictures: list[NDArray[np.uint8]]) -> None:
    ((_, scores),) = rtmdet.people(pictures[:1])
    assert (np.diff(scores) <= 0).all()
    assert scores.min() > mmdet.MIN_SCORE


@pytest.mark.parametrize("shape", [(16, 16), (1, 1), (2, 300), (3000, 1)])
def test_tiny_pictures(shape: tuple[int, int], rtmdet: RTMDet) -> None:
    ((boxes, scores),) = rtmdet.people([np.zeros((*shape, 3), np.uint8)])
    assert boxes.shape == (len(scores), 4)


def test_half_precision_finds_nearly_the_same(
    rtmdet: RTMDet, rtmdet_file: Path, pictures: list[NDArray[np.uint8]]
) -> None:
    half = open_rtmdet(rtmdet_file, half=True)
    assert half.description["options"]["precision"] == "bfloat16"
    ((_, exact),), ((_, scores),) = (some.people(pictures[:1]) for some in (rtmdet, half))
    assert scores[0] == pytest.approx(exact[0], abs=0.05)


def test_the_description_is_complete(rtmdet: RTMDet, rtmdet_file: Path) -> None:
    assert rtmdet.description["network"] == "RTMDet-tiny"
    assert len(rtmdet.description["weights"][rtmdet_file.name]) == 64


@pytest.mark.parametrize("key", [(24, 80), (24, 1)])
def test_the_configs_match_their_variants(key: tuple[int, int]) -> None:
    prepare_mmpose()
    model, config = mmdet._build(mmdet.VARIANTS[key])
    tensors = model.state_dict()
    assert (tensors[mmdet.WIDTH_KEY].shape[0], tensors[mmdet.CLASSES_KEY].shape[0]) == key
    assert config.model.test_cfg.max_per_img == {80: 300, 1: 100}[key[1]]


def test_another_networks_file_is_refused(hrnet_file: Path) -> None:
    with pytest.raises(WeightsError, match=r"is no checkpoint of RTMDet .*\(0: missing\)"):
        open_rtmdet(hrnet_file)


def test_what_does_not_fit_is_named(tmp_path: Path, rtmdet_file: Path) -> None:
    tensors = read_tensors(rtmdet_file, "")
    del tensors["neck.out_convs.0.conv.weight"]
    torch.save({"state_dict": tensors}, tmp_path / "part.pth")
    with pytest.raises(WeightsError, match=r"RTMDet-tiny: neck\.out_convs\.0\.conv\.weight is mis"):
        open_rtmdet(tmp_path / "part.pth")


def test_stderr_stays_clean(
    capfd: pytest.CaptureFixture[str], rtmdet_file: Path, pictures: list[NDArray[np.uint8]]
) -> None:
    open_rtmdet(rtmdet_file).people(pictures[:1])
    assert capfd.readouterr() == ("", "")
