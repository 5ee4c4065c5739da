from __future__ import annotations

import os
import pickle
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.detect.pose_training import one_thread
from vidpose.detect import cpn
from vidpose.detect.cpn import CPN, CPNPoseNetwork, decode_refined_maps, load_cpn, open_cpn
from vidpose.detect.mmcv_ops import prepare_mmpose, quiet
from vidpose.detect.topdown import find_poses, from_crops
from vidpose.errors import WeightsError
from vidpose.skeleton import COCO17

CONFIGS = Path(cpn.__file__).parent / "configs"
SMALL: dict[str, Any] = {"blocks": (1, 1, 1, 1), "features": 32}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module")
def network() -> CPN:
    torch.manual_seed(0)
    return CPN().eval()


@pytest.fixture(scope="module")
def public(network: CPN, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file like the public PyTorch checkpoints, which have no `num_batches_tracked`."""
    state = OrderedDict(
        (f"module.{key}", value)
        for key, value in network.state_dict().items()
        if not key.endswith("num_batches_tracked")
    )
    optimizer = {"state": {0: {"step": 3, "exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 1.0}]}
    path = tmp_path_factory.mktemp("weights") / "CPN50_256x192.pth.tar"
    torch.save({"epoch": 32, "state_dict": state, "optimizer": optimizer}, path)
    return path


def small_adapter(**options: Any) -> CPNPoseNetwork:
    """A small network with random weights and a different map for each joint."""
    torch.manual_seed(0)
    network = CPN(**SMALL)
    network(torch.randn(4, 3, 128, 96))  # BatchNorm has seen something
    return CPNPoseNetwork(network.eval(), input_size=(96, 128), half=False, **options)


def crops(count: int = 2) -> NDArray[np.uint8]:
    """(count, 128, 96, 3) smooth noise."""
    noise = np.random.default_rng(0).integers(0, 256, (count, 16, 12, 3), np.uint8)
    return np.stack([np.asarray(cv2.resize(image, (96, 128)), np.uint8) for image in noise])


# ---------------------------------------------------------------------------- network


@pytest.mark.parametrize(("height", "width"), [(256, 192), (384, 288)])
def test_four_global_maps_and_the_refined_one(network: CPN, height: int, width: int) -> None:
    with torch.inference_mode():
        maps, refined = network(torch.zeros(1, 3, height, width))
    assert [tuple(level.shape) for level in maps] == [(1, 17, height // 4, width // 4)] * 4
    assert tuple(refined.shape) == (1, 17, height // 4, width // 4)


def test_parameter_count(network: CPN) -> None:
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == 27_406_826
    assert abs(count / 27.2e6 - 1) < 0.05


def test_sizes_that_the_pyramid_cannot_halve_are_refused(network: CPN) -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        network(torch.zeros(1, 3, 250, 192))


def test_keys_are_those_of_the_public_checkpoints(network: CPN) -> None:
    keys = network.state_dict().keys()
    expected = {
        *("resnet.conv1.weight", "resnet.bn1.running_var", "resnet.layer3.5.bn3.bias"),
        *(f"global_net.laterals.{i}.{j}.weight" for i in range(4) for j in (0, 1)),
        *(f"global_net.upsamples.{i}.{j}.weight" for i in range(3) for j in (1, 2)),
        *(f"global_net.predict.{i}.{j}.weight" for i in range(4) for j in (0, 1, 3, 5)),
        *(f"refine_net.cascade.{i}.{3 - i - 1}.downsample.1.weight" for i in range(3)),
        *(
            "refine_net.final_predict.0.conv3.weight",
            "refine_net.final_predict.0.downsample.0.weight",
        ),
        *("refine_net.final_predict.1.weight", "refine_net.final_predict.2.running_mean"),
    }
    assert expected <= keys
    parts = {".".join(key.split(".")[:3]) for key in keys if key.startswith("refine_net.cascade")}
    assert parts == {"refine_net.cascade.0", "refine_net.cascade.1", "refine_net.cascade.2"}
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert all(convolution.bias is None for convolution in convolutions)


# ---------------------------------------------------------------------------- files


def same(a: CPN, b: CPN) -> bool:
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return torch.equal(a(x)[1], b(x)[1])


def test_a_public_checkpoint_loads(network: CPN, public: Path) -> None:
    loaded = load_cpn(public)
    assert not loaded.training
    assert same(loaded, network)


def test_a_state_dict_alone_loads(network: CPN, tmp_path: Path) -> None:
    path = tmp_path / "state.pth"
    torch.save(network.state_dict(), path, _use_new_zipfile_serialization=False)
    assert same(load_cpn(path), network)


def test_a_resnet_101_is_known_by_its_keys(tmp_path: Path) -> None:
    torch.save(CPN(cpn.RESNET101).state_dict(), tmp_path / "deep.pth")
    adapter = open_cpn(tmp_path / "deep.pth", input_size=(288, 384))
    assert adapter.description["network"] == "CPN-ResNet101"
    assert adapter.description["options"]["input_size"] == [288, 384]


def test_a_checkpoint_of_mmpose_loads(network: CPN, tmp_path: Path) -> None:
    model = build(CONFIGS / "cpn_resnet50_coco_256x192.py")
    state = model.state_dict()
    assert {cpn._own_name(key) for key in state} == network.state_dict().keys()
    torch.save({"meta": {"epoch": 1}, "state_dict": state, "message_hub": {}}, tmp_path / "e.pth")
    loaded = load_cpn(tmp_path / "e.pth")
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        maps, refined = model.eval()(x, None, mode="tensor")
        ours = loaded(x)
    assert torch.equal(refined, ours[1])
    assert all(torch.equal(a, b) for a, b in zip(maps, ours[0], strict=True))


Change = Callable[[dict[str, Tensor]], None]
LAST = "module.refine_net.final_predict.1.weight"
CHANGES: dict[str, tuple[Change, str]] = {
    "missing": (lambda state: void(state.pop(LAST)), "final_predict.1.weight is missing"),
    "extra": (
        lambda state: state.update({"module.fc.weight": torch.ones(2)}),
        "fc.weight is not part of the network",
    ),
    "joints": (
        lambda state: state.update({LAST: torch.ones(16, 256, 3, 3)}),
        r"final_predict.1.weight is \(16, 256, 3, 3\) where \(17, 256, 3, 3\) is needed",
    ),
    "not finite": (
        lambda state: state.update({LAST: torch.full((17, 256, 3, 3), torch.nan)}),
        "final_predict.1.weight is not finite",
    ),
}


def void(_: object) -> None:
    pass


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_does_not_fit_is_refused(change: str, public: Path, tmp_path: Path) -> None:
    content = torch.load(public, weights_only=True)
    edit, message = CHANGES[change]
    edit(content["state_dict"])
    torch.save(content, tmp_path / "bad.pth")
    with pytest.raises(WeightsError, match=message):
        load_cpn(tmp_path / "bad.pth")


def test_of_many_faults_five_are_named(tmp_path: Path) -> None:
    torch.save({"resnet.conv1.weight": torch.ones(1)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError) as refusal:
        load_cpn(tmp_path / "other.pth")
    assert str(refusal.value).count(";") == 5
    assert "more" in str(refusal.value)


class Hostile:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.victim),)


@pytest.mark.parametrize(
    "write", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))]
)
def test_code_in_a_file_is_not_run(write: Callable[[Any, Path], Any], tmp_path: Path) -> None:
    path, victim = tmp_path / "hostile.pth", tmp_path / "victim"
    write({"state_dict": {}, "optimizer": Hostile(victim)}, path)
    with pytest.raises(WeightsError, match=r"hostile\.pth holds no weights that can be read"):
        load_cpn(path)
    assert not victim.exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 nor a zip"])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file.pth").write_bytes(content)
    with pytest.raises(WeightsError, match="give a whole checkpoint of CPN"):
        load_cpn(tmp_path / "file.pth")


def test_a_file_that_is_cut_off_is_refused(public: Path, tmp_path: Path) -> None:
    (tmp_path / "half.pth").write_bytes(public.read_bytes()[: public.stat().st_size // 2])
    with pytest.raises(WeightsError, match="or is cut off"):
        load_cpn(tmp_path / "half.pth")


def test_a_file_of_the_oldest_format_loads(
    network: CPN, public: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As written by PyTorch 0.3, the version of the public checkpoints."""

    def reduce(tensor: Tensor, _: int) -> tuple[Callable[..., Tensor], tuple[Any, ...]]:
        storage = torch.storage.TypedStorage(
            wrap_storage=tensor.untyped_storage(), dtype=tensor.dtype, _internal=True
        )
        size, stride = tuple(tensor.size()), tensor.stride()
        return torch._utils._rebuild_tensor, (storage, tensor.storage_offset(), size, stride)

    content = torch.load(public, weights_only=True)
    with monkeypatch.context() as patch:
        patch.setattr(Tensor, "__reduce_ex__", reduce)
        torch.save(content, tmp_path / "old.tar", _use_new_zipfile_serialization=False)
    assert same(load_cpn(tmp_path / "old.tar"), network)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        load_cpn(tmp_path / "none.pth")


# ---------------------------------------------------------------------------- crops and decoding


def test_a_crop_shows_the_widened_box() -> None:
    adapter = small_adapter()  # 96 x 128
    (high, wide) = adapter.affines(np.array([[100, 200, 140, 300], [100, 200, 300, 210]]))
    # 100 high: 15 more above and below make 130, and that decides.
    assert high @ (120, 185, 1) == pytest.approx([48, 0])
    assert high @ (120, 315, 1) == pytest.approx([48, 128])
    # 200 wide: 20 more on each side make 240.
    assert wide @ (80, 205, 1) == pytest.approx([0, 64])
    assert wide @ (320, 205, 1) == pytest.approx([96, 64])


def heatmap(x: float, y: float, height: int = 64, width: int = 48) -> NDArray[np.float32]:
    """(H, W), a Gaussian peak of 255 at a position in pixels of the crop."""
    rows, columns = np.mgrid[:height, :width]
    square = (columns - (x - 2) / 4) ** 2 + (rows - (y - 2) / 4) ** 2
    return np.asarray(255 * np.exp(-square / (2 * 1.4**2)), np.float32)


def test_a_peak_between_pixels_comes_back_in_the_picture() -> None:
    adapter = CPNPoseNetwork(CPN(**SMALL).eval(), half=False)
    affine = adapter.affines(np.array([[300.0, 100, 350, 170]]))
    assert affine[0, 0, 0] > 2  # a small person: a pixel of the crop is less than half one here
    places = np.random.default_rng(0).uniform((310, 105), (340, 165), (17, 2))
    in_crop = places @ affine[0, :, :2].T + affine[0, :, 2]
    found, scores = decode_refined_maps(np.stack([[heatmap(*place) for place in in_crop]]))
    apart = np.linalg.norm(from_crops(affine, found)[0] - places, axis=1)
    assert apart.max() < 1
    assert apart.mean() < 0.5
    assert (scores == 1).all()


def test_decoding_by_hand() -> None:
    maps = np.zeros((1, 3, 20, 16), np.float32)
    maps[0, 0, 7, 5], maps[0, 0, 7, 6] = 102, 51  # second best to the right
    maps[0, 1, 0, 15] = 25.5  # in the corner
    maps[0, 2] = -127.5  # nothing anywhere
    maps[0, 2, 4, 4] = -51
    found, scores = decode_refined_maps(maps)
    assert found[0, 0] == pytest.approx([4 * 5.25 + 2, 4 * 7 + 2])
    assert found[0, 1] == pytest.approx([62, 2], abs=1.01)
    assert scores[0, :2] == pytest.approx([0.9, 0.6])
    assert np.isfinite(found).all()
    assert ((scores >= 0) & (scores <= 1)).all()


def test_maps_stacked_for_the_blur_do_not_touch() -> None:
    maps = np.random.default_rng(0).uniform(0, 255, (3, 17, 32, 24)).astype(np.float32)
    together, _ = decode_refined_maps(maps)
    for person, single in zip(together, maps, strict=True):
        for joint, one in zip(person, single, strict=True):
            assert decode_refined_maps(one[None, None])[0][0, 0] == pytest.approx(joint)


def test_the_flip_test_is_the_same_for_the_mirrored_picture() -> None:
    adapter = small_adapter(flip_test=True)
    images = crops()
    joints, scores = adapter.joints(images)
    mirrored, mirrored_scores = adapter.joints(np.ascontiguousarray(images[:, :, ::-1]))
    back = mirrored[:, COCO17.mirrored]
    back[..., 0] = 96 - back[..., 0]
    assert back == pytest.approx(joints, abs=1e-3)
    assert mirrored_scores[:, COCO17.mirrored] == pytest.approx(scores, abs=1e-4)
    once, _ = small_adapter().joints(images)
    assert np.abs(once - joints).max() > 1  # it does look twice


def test_joints_of_a_batch_are_those_of_each_crop() -> None:
    adapter = small_adapter()
    joints, scores = adapter.joints(crops(3))
    assert joints.shape == (3, 17, 2)
    assert joints.dtype == scores.dtype == np.float32
    assert adapter.joints(crops(3)[1:2])[0][0] == pytest.approx(joints[1])
    assert adapter.joints(crops(1)[:0])[0].shape == (0, 17, 2)
    with pytest.raises(ValueError, match="crops"):
        adapter.joints(np.zeros((1, 96, 128, 3), np.uint8))


def test_half_precision_gives_nearly_the_same_maps() -> None:
    torch.manual_seed(0)
    network = CPN(**SMALL)
    network(torch.randn(4, 3, 128, 96))
    half = CPNPoseNetwork(network.eval(), input_size=(96, 128), half=True)
    assert half.description["options"]["precision"] == "bfloat16"
    exact = small_adapter()._maps(crops())
    assert np.abs(half._maps(crops()) - exact).mean() < 0.05 * exact.std()


def test_a_public_checkpoint_finds_poses_in_pictures(public: Path) -> None:
    adapter = open_cpn(public, half=False)
    picture = np.full((300, 400, 3), 90, np.uint8)
    (poses,) = find_poses(adapter, [picture], [np.array([[100.0, 50, 200, 250]])])
    assert poses.keypoints.shape == (1, 17, 2)
    assert list(adapter.description["weights"]) == ["CPN50_256x192.pth.tar"]


# ---------------------------------------------------------------------------- MMPose


def build(config_file: Path) -> Any:
    """MMPose's model of a config, with random weights."""
    prepare_mmpose()
    with quiet():
        import mmpose.models  # noqa: F401  (registers the networks)
        from mmengine.config import Config
        from mmengine.registry import DefaultScope
        from mmpose.registry import MODELS

        config = Config.fromfile(config_file)
        config.model.backbone.init_cfg = None  # it names a file to download
        with DefaultScope.overwrite_default_scope("mmpose"):
            return MODELS.build(config.model)


@pytest.fixture(scope="module")
def head() -> Any:
    return build(CONFIGS / "cpn_resnet50_coco_384x288.py").head


def codec() -> Any:
    prepare_mmpose()
    from vidpose.detect.cpn_mmpose import CPNHeatmap

    return CPNHeatmap(input_size=(64, 96), heatmap_size=(16, 24))


def test_targets_are_blurred_dots_of_255() -> None:
    keypoints = np.full((1, 17, 2), 30.0)
    keypoints[0, 1] = 70, 20  # outside the crop
    labelled, visible = np.ones((1, 17)), np.ones((1, 17))
    labelled[0, 2], visible[0, 2:4] = 0, 0
    out = codec().encode(keypoints, labelled, visible)
    levels = out["heatmaps"].reshape(4, 17, 24, 16)
    assert out["keypoint_weights"][0].tolist() == [1, 0, 0] + [1] * 14
    assert out["visible"][0].tolist() == [1, 0, 0, 0] + [1] * 13
    for level, side in zip(levels, (15, 11, 9, 7), strict=True):
        assert not level[1:3].any()
        assert level[0].max() == level[0, 7, 7] == pytest.approx(255)
        kernel = cv2.getGaussianKernel(side, 0)[:, 0]
        beside = kernel[side // 2 + 1] / kernel[side // 2]
        assert level[0, 7, 8] == pytest.approx(255 * beside, rel=1e-3)
    found, _ = codec().decode(levels[-1])
    assert found[0, 0] == pytest.approx([30, 30], abs=1.5)


def test_losses_by_hand(head: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from mmengine.structures import InstanceData, PixelData
    from mmpose.structures import PoseDataSample

    rng = np.random.default_rng(0)
    shape = (2, 17, 6, 4)
    maps = [torch.from_numpy(rng.normal(size=shape)) for _ in range(4)]
    refined = torch.from_numpy(rng.normal(size=shape) * np.arange(1, 18)[:, None, None])
    targets = rng.normal(size=(2, 4, 17, 6, 4))
    labelled = (rng.random((2, 17)) < 0.8).astype(float)
    visible = labelled * (rng.random((2, 17)) < 0.8)
    samples = []
    for person in range(2):
        sample = PoseDataSample()
        joined = torch.from_numpy(targets[person].reshape(68, 6, 4))
        sample.gt_fields = PixelData(heatmaps=joined)
        sample.gt_instance_labels = InstanceData(
            keypoint_weights=torch.from_numpy(labelled[person : person + 1]),
            keypoints_visible=torch.from_numpy(visible[person : person + 1]),
        )
        samples.append(sample)
    monkeypatch.setattr(head.refine_net, "forward", lambda _: refined)
    losses = head.loss(([], maps), samples)

    expected = 0.0
    for level in range(4):
        square = (maps[level].numpy() - targets[:, level]) ** 2
        expected += (square * visible[..., None, None]).sum() / square.size / 2
    assert float(losses["loss_global"]) == pytest.approx(expected)

    per_joint = ((refined.numpy() - targets[:, 3]) ** 2).mean(axis=(2, 3)) * labelled
    hardest = np.sort(per_joint, axis=1)[:, -8:]
    assert float(losses["loss_refined"]) == pytest.approx(hardest.mean())
    assert hardest.mean() > 1.3 * per_joint.mean()


def test_mmposes_crop_is_ours() -> None:
    """The training pipeline and `affines` crop the same pixels, including the border."""
    prepare_mmpose()
    from vidpose.detect.cpn_mmpose import CPNAffine

    with quiet():
        from mmpose.datasets.transforms import GetBBoxCenterScale
    picture = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    box = np.array([[60.0, 10, 79, 55]], np.float32)
    results: dict[str, Any] = {"img": picture[..., ::-1], "bbox": box}
    transform: Any
    for transform in (GetBBoxCenterScale(padding=(1.2, 1.3)), CPNAffine(input_size=(96, 128))):
        results = transform.transform(results)
    adapter = small_adapter()
    crop = cv2.warpAffine(
        picture, adapter.affines(box)[0], adapter.input_size, borderValue=adapter.border_rgb
    )
    apart = np.abs(results["img"][..., ::-1].astype(int) - crop)
    assert (crop[:, -1] == adapter.border_rgb).all()
    # The border's colour is rounded, and so are the two crops.
    assert apart.max() <= 2
    assert apart.mean() < 0.5


def test_visible_and_occluded_joints_are_distinguished() -> None:
    prepare_mmpose()
    from vidpose.detect.cpn_mmpose import CPNVisibility

    flags = [2, 1, 0] + [2] * 14
    annotation = {"keypoints": [number for flag in flags for number in (5.0, 6.0, flag)]}
    out = CPNVisibility().transform({"raw_ann_info": annotation})["keypoints_visible"]
    assert out.shape == (1, 17, 2)
    assert out[0, :3].tolist() == [[1, 1], [1, 0], [0, 0]]


def test_mmposes_flip_test_is_ours(head: Any) -> None:
    """Two sets of features through the head, mean map and decoding."""
    torch.manual_seed(0)
    levels = [torch.randn(1, 256, 12 * 2**i, 9 * 2**i) for i in range(4)]
    mirrored = [level.flip(3) for level in levels]
    head.eval()
    with torch.inference_mode():
        (found,) = head.predict([(levels, []), (mirrored, [])], [], test_cfg={"flip_test": True})
        maps = cpn.mean_with_mirrored(head.refine_net(levels), head.refine_net(mirrored))
    joints, scores = decode_refined_maps(maps.numpy())
    assert found.keypoints == pytest.approx(joints)
    assert found.keypoint_scores == pytest.approx(scores)


@pytest.mark.parametrize("flip_test", [False, True])
def test_the_keypoints_are_those_of_mmposes_own_call(
    flip_test: bool, pictures: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    """One file and the same boxes, through our config's crop, network and decoding in MMPose."""
    boxes = np.array([[500, 100, 800, 500], [-50, -30, 200, 100]], np.float32)
    prepare_mmpose()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MMPose's own way in warns about itself
        from mmengine.config import Config
        from mmpose.apis import inference_topdown, init_model

        config = Config.fromfile(CONFIGS / "cpn_resnet50_coco_256x192.py")
        config.model.backbone.init_cfg = None
        config.model.test_cfg.flip_test = flip_test
        torch.manual_seed(0)
        model = init_model(config, device="cpu")
        model.train()(torch.randn(2, 3, 128, 96), None, mode="tensor")  # BatchNorm has seen some
        samples = inference_topdown(
            model.eval(), np.ascontiguousarray(pictures[0][..., ::-1]), boxes
        )
    torch.save({"state_dict": model.state_dict()}, tmp_path / "cpn.pth")
    network = open_cpn(tmp_path / "cpn.pth", half=False, flip_test=flip_test)
    (ours,) = find_poses(network, pictures[:1], [boxes])
    keypoints = np.concatenate([sample.pred_instances.keypoints for sample in samples])
    scores = np.concatenate([sample.pred_instances.keypoint_scores for sample in samples])
    # Where two cells of a map are nearly equal, rounding decides on which side a joint lies.
    apart = np.linalg.norm(ours.keypoints - keypoints, axis=2)
    assert np.quantile(apart, 0.9) < 0.01
    assert apart.max() < 4
    assert np.ptp(keypoints[0], axis=0).min() > 50  # they are all over the crop
    assert ours.scores == pytest.approx(scores, abs=1e-3)
