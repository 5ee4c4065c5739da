import math
import os
import pickle
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.official_files import State, poseformer_state, videopose_state, write_official
from vidpose.errors import UsageError, VidposeError, WeightsError
from vidpose.models import PoseFormer, VideoPose, load_checkpoint, load_model
from vidpose.models.official import import_weights, read_official
from vidpose.utils.files import sha256


def linear(x: Tensor, state: State, name: str) -> Tensor:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def norm(x: Tensor, state: State, name: str, eps: float) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    sd = (centred.square().mean(-1, keepdim=True) + eps).sqrt()
    return centred / sd * state[f"{name}.weight"] + state[f"{name}.bias"]


def gelu(x: Tensor) -> Tensor:
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def block(x: Tensor, state: State, name: str, heads: int = 8) -> Tensor:
    """The paper's Eq. 1 to 5 for tokens x (tokens, dim), a head at a time."""
    dim = x.shape[-1]
    q, k, v = linear(norm(x, state, f"{name}.norm1", 1e-6), state, f"{name}.attn.qkv").split(dim, 1)
    size = dim // heads
    found = []
    for part in (slice(h * size, (h + 1) * size) for h in range(heads)):
        scores = torch.exp(q[:, part] @ k[:, part].T / math.sqrt(size))
        found.append(scores / scores.sum(1, keepdim=True) @ v[:, part])
    x = x + linear(torch.cat(found, dim=1), state, f"{name}.attn.proj")
    hidden = gelu(linear(norm(x, state, f"{name}.norm2", 1e-6), state, f"{name}.mlp.fc1"))
    return x + linear(hidden, state, f"{name}.mlp.fc2")


def plain_poseformer(window: Tensor, state: State, depths: tuple[int, int] = (2, 2)) -> Tensor:
    """A second implementation of the paper's network: (F, J, 2) -> (J, 3)."""
    frames = []
    for pose in window:
        x = linear(pose, state, "Spatial_patch_to_embedding") + state["Spatial_pos_embed"][0]
        for i in range(depths[0]):
            x = block(x, state, f"Spatial_blocks.{i}")
        frames.append(norm(x, state, "Spatial_norm", 1e-6).reshape(-1))
    x = torch.stack(frames) + state["Temporal_pos_embed"][0]
    for i in range(depths[1]):
        x = block(x, state, f"blocks.{i}")
    x = norm(x, state, "Temporal_norm", 1e-6)
    mean = state["weighted_mean.weight"][0, :, 0] @ x + state["weighted_mean.bias"]
    return linear(norm(mean, state, "head.0", 1e-5), state, "head.1").reshape(-1, 3)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("prefix", ["module.", ""])
def test_an_imported_poseformer_is_the_network_of_the_file(
    tmp_path: Path, prefix: str, legacy: bool
) -> None:
    state = poseformer_state()
    source = write_official(tmp_path / "a.bin", state, prefix=prefix, legacy=legacy)
    made = import_weights(source)
    assert made.path == tmp_path / "a.safetensors"
    again = load_checkpoint(tmp_path / "a.safetensors")
    assert isinstance(again.model, PoseFormer)
    assert not again.model.training
    assert (again.normalisation, again.fps, again.skeleton) == ("screen", 50.0, "h36m17")
    assert again.training == {
        "imported_from": "a.bin",
        "program": "PoseFormer",
        "source_sha256": sha256(source),
        "epoch": 58,
    }
    assert again.sha256 == made.sha256
    windows = torch.randn(3, 9, 17, 2)
    expected = torch.stack([plain_poseformer(window, state)[None] for window in windows])
    torch.testing.assert_close(again.model(windows), expected)
    torch.testing.assert_close(load_model(source)(windows), expected)


def test_sizes_are_inferred_from_the_weights(tmp_path: Path) -> None:
    state = poseformer_state(frames=27, joints=15, embed_dim=16, depths=(1, 3))
    checkpoint = load_checkpoint(write_official(tmp_path / "a.bin", state))
    config: Any = checkpoint.model.config
    assert (config.frames, config.joints, config.embed_dim) == (27, 15, 16)
    assert (config.depth, config.temporal_depth, config.mlp_ratio) == (1, 3, 2.0)
    assert (checkpoint.skeleton, checkpoint.fps) == ("humaneva15", 60.0)
    window = torch.randn(1, 27, 15, 2)
    expected = plain_poseformer(window[0], state, depths=(1, 3))
    torch.testing.assert_close(checkpoint.model(window)[0, 0], expected)


def test_the_papers_network_fits(tmp_path: Path) -> None:
    state = poseformer_state(frames=81, embed_dim=32, depths=(4, 4))
    model = load_model(write_official(tmp_path / "detected81f.bin", state, optimizer={}))
    assert model.config == PoseFormer(frames=81).config


def plain_videopose(window: Tensor, state: State) -> Tensor:
    """A second implementation of VideoPose3D, frame by frame: (F, J, 2) -> (J, 3)."""

    def layer(frames: list[Tensor], number: str) -> Tensor:
        conv, bn = (
            f"expand_{k}" if number == "" else f"layers_{k}.{number}" for k in ("conv", "bn")
        )
        weight = state[f"{conv}.weight"]
        x = sum((weight[:, :, k] @ frame for k, frame in enumerate(frames)), torch.zeros(()))
        x = (x - state[f"{bn}.running_mean"]) / (state[f"{bn}.running_var"] + 1e-5).sqrt()
        return (x * state[f"{bn}.weight"] + state[f"{bn}.bias"]).clamp_min(0)

    poses = list(window.flatten(1))
    rows = [layer(poses[t : t + 3], "") for t in range(len(poses) - 2)]
    apart, number = 3, 0
    while len(rows) > 1:
        new = []
        for middle in range(apart, len(rows) - apart):
            x = layer([rows[middle - apart], rows[middle], rows[middle + apart]], str(number))
            new.append(rows[middle] + layer([x], str(number + 1)))
        rows, apart, number = new, 3 * apart, number + 2
    return (state["shrink.weight"][:, :, 0] @ rows[0] + state["shrink.bias"]).reshape(-1, 3)


@pytest.mark.parametrize("counted", [False, True])
def test_an_imported_videopose_is_the_network_of_the_file(tmp_path: Path, counted: bool) -> None:
    state = videopose_state()
    counts = {name: name.replace("running_var", "num_batches_tracked") for name in state}
    source = write_official(
        tmp_path / "pretrained_h36m_cpn.bin",
        state | {new: torch.tensor(7) for old, new in counts.items() if counted and new != old},
    )
    import_weights(source)
    again = load_checkpoint(source.with_suffix(".safetensors"))
    assert isinstance(again.model, VideoPose)
    assert again.model.config.frames == 27
    assert int(again.model.expand_norm.num_batches_tracked or 0) == (7 if counted else 0)
    assert (again.normalisation, again.fps, again.skeleton) == ("screen", 50.0, "h36m17")
    assert again.training["program"] == "VideoPose3D"
    stretch = torch.randn(30, 17, 2)
    expected = torch.stack([plain_videopose(stretch[t : t + 27], state) for t in range(4)])
    torch.testing.assert_close(again.model(stretch[:27][None])[0, 0], expected[0])
    torch.testing.assert_close(again.model.slide(stretch), expected)


@pytest.mark.parametrize(
    ("name", "state", "message"),
    [
        ("pretrained_h36m_detectron_coco.bin", {}, "its name says that it maps COCO joints"),
        ("d-pt-243.bin", {}, "its name says that it maps COCO joints"),
        ("a.pt", {"shrink.weight": torch.ones(45, 16, 1)}, "34 input and 45 output channels"),
        ("a.bin", {"layers_conv.2.weight": torch.ones(16, 16, 5)}, r"5\) where \(16, 16, 3\) is"),
        ("a.bin", {"expand_conv.weight": torch.ones(16, 34)}, "expected 3 sizes above 0"),
        ("a.bin", {"layers_bn.9.bias": torch.ones(16)}, "layers_bn.9.bias is not part of"),
    ],
)
def test_unsupported_videoposes_are_rejected(
    tmp_path: Path, name: str, state: State, message: str
) -> None:
    source = write_official(tmp_path / name, videopose_state() | state)
    with pytest.raises(WeightsError, match=message):
        load_checkpoint(source)


def test_a_file_of_weights_only(tmp_path: Path) -> None:
    torch.save(poseformer_state(), tmp_path / "a.pth")
    checkpoint = load_checkpoint(tmp_path / "a.pth")
    assert "epoch" not in checkpoint.training


def test_skeleton_and_rate_can_be_given(tmp_path: Path) -> None:
    source = write_official(tmp_path / "a.bin", poseformer_state())
    checkpoint = read_official(source, skeleton="mpi_inf_3dhp", fps=25.0)
    assert (checkpoint.skeleton, checkpoint.fps) == ("mpi_inf_3dhp", 25.0)
    with pytest.raises(
        UsageError, match="17 joints, and cat is not a skeleton with 17 joints; give"
    ):
        read_official(source, skeleton="cat")
    with pytest.raises(UsageError, match="17 joints, and humaneva15 is not a"):
        read_official(source, skeleton="humaneva15")
    with pytest.raises(UsageError, match="--fps -3: give"):
        read_official(source, fps=-3.0)


@pytest.mark.parametrize("joints", [16, 18])
def test_no_skeleton_is_guessed(tmp_path: Path, joints: int) -> None:
    source = write_official(tmp_path / "a.bin", poseformer_state(joints=joints))
    with pytest.raises(VidposeError, match=f"{joints} joints"):
        load_checkpoint(source)


def without(name: str) -> State:
    return {key: tensor for key, tensor in poseformer_state().items() if not key.startswith(name)}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (without("head.1.bias"), r"head\.1\.bias is missing\.$"),
        (without("Temporal_pos_embed"), r"Temporal_pos_embed is missing\)\.$"),
        (without("blocks.1.attn.qkv"), "blocks.1.attn.qkv.bias is missing; blocks.1.attn.qkv.we"),
        (without("Spatial_blocks.0"), "Spatial_blocks.0.mlp.fc1.weight is missing"),
        (poseformer_state() | {"head.2.bias": torch.ones(3)}, "head.2.bias is not part of the"),
        (poseformer_state() | {"head.1.bias": torch.ones(3)}, r"bias is \(3,\) where \(51,\) is"),
        (poseformer_state() | {"head.1.bias": torch.full((51,), math.nan)}, "bias is not finite"),
        (poseformer_state(frames=8), "expected an odd number"),
        (poseformer_state(embed_dim=12), "is not a multiple of the 8 attention heads"),
        (poseformer_state() | {"Spatial_pos_embed": torch.ones(17)}, "expected 3 sizes above 0"),
        (poseformer_state() | {"Spatial_pos_embed": torch.ones(1, 0, 8)}, "sizes above 0"),
        (without("weighted_mean"), "different network of PoseFormer.s demo repository"),
        (poseformer_state() | {"Freq_embedding.weight": torch.ones(1)}, "for PoseFormerV2"),
        ({"conv1.weight": torch.ones(1)}, "not a network of PoseFormer.*are named conv1.weight"),
        ({}, "holds no weights under model_pos"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, state: State, message: str) -> None:
    source = write_official(tmp_path / "a.bin", state, optimizer={}) if state else tmp_path / "a"
    if not state:
        torch.save({"model_pos": {}}, source)
    with pytest.raises(WeightsError, match=message):
        import_weights(source)
    assert not (tmp_path / "a.safetensors").exists()


def test_long_lists_are_cut(tmp_path: Path) -> None:
    state = poseformer_state() | {f"x{i}": torch.ones(1) for i in range(20)}
    with pytest.raises(WeightsError, match=r"; and 15 more\.$"):
        load_checkpoint(write_official(tmp_path / "a.bin", state, optimizer={}))


@pytest.mark.parametrize(
    "odd",
    [
        torch.ones(1).expand(1, 10**12, 8),
        torch.eye(3).to_sparse(),
        torch.empty(3, device="meta"),
        torch.ones(3, dtype=torch.complex64),
        "text",
    ],
)
def test_weights_that_are_no_plain_tensors(tmp_path: Path, odd: Any) -> None:
    state = {"model_pos": poseformer_state() | {"Spatial_pos_embed": odd}}
    torch.save(state, tmp_path / "a.bin")
    with pytest.raises(WeightsError, match="Spatial_pos_embed"):
        load_checkpoint(tmp_path / "a.bin")


def test_weights_twice(tmp_path: Path) -> None:
    state = poseformer_state()
    state["module.head.1.bias"] = state["head.1.bias"]
    with pytest.raises(WeightsError, match="weights twice"):
        load_checkpoint(write_official(tmp_path / "a.bin", state, prefix="", optimizer={}))


class Evil:
    """Touches a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch '{self.marker}'",)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("key", ["random_state", "epoch", "model_pos"])
def test_code_in_a_file_is_never_run(tmp_path: Path, key: str, legacy: bool) -> None:
    marker = tmp_path / "executed"
    source = tmp_path / "a.bin"
    changes: dict[str, Any] = {key: Evil(marker)}
    write_official(source, poseformer_state(), legacy=legacy, **changes)
    with pytest.raises(WeightsError, match=r"asks for posix.system, which could run code\)\.$"):
        import_weights(source)
    with pytest.raises(WeightsError):
        load_model(source)
    assert not marker.exists()
    assert not (tmp_path / "a.safetensors").exists()
    pickle.loads(pickle.dumps(Evil(marker)))
    assert marker.exists(), "the test would not have noticed"


class OldRandomState:
    """Pickled as NumPy did before 1.17."""

    def __reduce__(self) -> Any:
        constructor = getattr(np.random, "__RandomState_ctor")
        return constructor, (), np.random.RandomState(1).get_state()


class NewBits:
    """A bit generator, pickled as NumPy 2 does."""

    def __reduce__(self) -> Any:
        state = np.random.MT19937(1).state
        constructor = getattr(import_module("numpy.random._pickle"), "__bit_generator_ctor")
        return constructor, (np.random.MT19937,), (state, np.random.SeedSequence(1))


class NewRandomState:
    """Pickled as NumPy 2 does."""

    def __reduce__(self) -> Any:
        constructor = getattr(import_module("numpy.random._pickle"), "__randomstate_ctor")
        return constructor, (NewBits(),), np.random.MT19937(1).state


@pytest.mark.parametrize("random_state", [OldRandomState(), NewRandomState()])
def test_random_states_of_other_numpys(tmp_path: Path, random_state: Any) -> None:
    source = write_official(tmp_path / "a.bin", poseformer_state(), random_state=random_state)
    assert load_checkpoint(source).training["epoch"] == 58


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        import_weights(tmp_path / "a.bin")
    source = write_official(tmp_path / "a.bin", poseformer_state(), legacy=True)
    whole = source.read_bytes()
    for content in (b"", b"hello", whole[:1000], whole[: len(whole) // 2]):
        source.write_bytes(content)
        with pytest.raises(
            WeightsError, match=r"not written by torch\.save|not a file of torch\.save"
        ):
            import_weights(source)
    write_official(source, poseformer_state())
    source.write_bytes(source.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match="it is damaged, or not a file"):
        import_weights(source)


def test_output_path_of_an_import(tmp_path: Path) -> None:
    source = write_official(tmp_path / "a.bin", poseformer_state())
    assert import_weights(source, tmp_path / "new" / "b.safetensors").path is not None
    assert (tmp_path / "new" / "b.safetensors").is_file()
    with pytest.raises(UsageError, match="give a file name that ends in"):
        import_weights(source, tmp_path / "b.bin")
    (tmp_path / "c.safetensors").mkdir()
    with pytest.raises(VidposeError, match="cannot be written: it is a folder"):
        import_weights(source, tmp_path / "c.safetensors")
