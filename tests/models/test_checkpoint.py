import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from vidpose.errors import WeightsError
from vidpose.models import Checkpoint, PoseFormer, load_checkpoint, load_model, save_checkpoint


def small(**changes: Any) -> Checkpoint:
    fields: dict[str, Any] = {
        "model": PoseFormer(frames=3, embed_dim=8, depth=1).eval(),
        "normalisation": "person",
        "fps": 30.0,
        "skeleton": "h36m17",
        "training": {"dataset": "test"},
    }
    return Checkpoint(**(fields | changes))


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 0.0), (torch.float16, 1e-2)])
def test_round_trip(tmp_path: Path, dtype: torch.dtype, error: float) -> None:
    checkpoint = small()
    save_checkpoint(tmp_path / "a.safetensors", checkpoint, dtype)
    again = load_checkpoint(tmp_path / "a.safetensors")
    assert again.model.config == checkpoint.model.config
    assert (again.normalisation, again.fps, again.skeleton) == ("person", 30.0, "h36m17")
    assert again.training == {"dataset": "test"}
    assert again.sha256 is not None
    assert not again.model.training
    x = torch.randn(2, 3, 17, 2)
    torch.testing.assert_close(again.model(x), checkpoint.model(x), atol=error, rtol=error)


def test_load_model(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.safetensors", small())
    model = load_model(tmp_path / "a.safetensors")
    assert model.config.frames == 3
    assert model(torch.zeros(1, 3, 17, 2)).shape == (1, 1, 17, 3)


def _rewrite(path: Path, metadata: dict[str, str], drop: str = "", **tensors: Any) -> None:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        found = dict(file.metadata())
    kept = {key: value for key, value in load_file(path).items() if key != drop}
    save_file(kept | tensors, path, found | metadata)


@pytest.mark.parametrize(
    ("metadata", "options", "message"),
    [
        ({"format": "x"}, {}, "no vidpose-weights/1 checkpoint"),
        ({"normalisation": "inches"}, {}, "normalisation 'inches' is not known"),
        ({"skeleton": "cat"}, {}, "skeleton 'cat' is not known"),
        ({"fps": "-3"}, {}, "fps: expected a number"),
        ({"config": "{}"}, {}, "does not fit its own description"),
        ({"config": json.dumps({"frames": 4})}, {}, "frames: expected an odd number"),
        ({"config": "{"}, {}, "not usable"),
        ({"model": "yolo"}, {}, "not usable"),
        ({"config": json.dumps({"joints": 16})}, {}, "16 joints, but h36m17 has 17"),
        ({"config": json.dumps({"embed_dim": 80_000})}, {}, "does not fit its own description"),
        ({"config": json.dumps({"embed_dim": 800_000})}, {}, "embed_dim: expected 100,000 at most"),
        ({"config": json.dumps({"depth": 10**9})}, {}, "depth: expected 256 at most"),
        ({"config": json.dumps({"temporal_depth": 10**9})}, {}, "temporal_depth: expected 256 at"),
        ({"config": '{"mlp_ratio": Infinity}'}, {}, "mlp_ratio: expected above 0, 64 at most"),
        ({"config": f'{{"heads": {"9" * 400}}}'}, {}, "heads: expected a positive whole number"),
        ({"config": json.dumps({"colour": 1})}, {}, "poseformer has no 'colour'"),
        ({"config": "[" * 500_000}, {}, "config: it is nested too deeply"),
        ({"fps": "9" * 400}, {}, "fps: expected a number"),
        ({"training": "[]"}, {}, "training: not a JSON object"),
        ({"model": "[" * 100_000}, {}, r"^.{,300}$"),
        ({}, {"drop": "head.1.bias"}, "head.1.bias is missing"),
        ({}, {"extra": torch.zeros(1)}, "extra is not part of the network"),
        ({}, {"head.1.bias": torch.zeros(5)}, r"head.1.bias is \(5,\) where \(51,\) is needed"),
        ({}, {"head.1.bias": torch.full((51,), float("nan"))}, "head.1.bias is not finite"),
    ],
)
def test_what_does_not_fit_is_named(
    tmp_path: Path, metadata: dict[str, str], options: dict[str, Any], message: str
) -> None:
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, small())
    _rewrite(path, metadata, **options)
    with pytest.raises(WeightsError, match=message):
        load_checkpoint(path)


def test_files_that_are_no_weights(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(WeightsError, match="does not exist"):
        load_checkpoint(path)
    save_checkpoint(path, small())
    whole = path.read_bytes()
    for content in (b"", b"hello", whole[:1000], whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="holds no weights that can be read"):
            load_checkpoint(path)


def test_a_pickle_is_never_executed(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "executed",))

    path = tmp_path / "a.safetensors"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(WeightsError):
        load_checkpoint(path)
    assert not (tmp_path / "executed").exists()


def test_a_header_of_any_length_is_no_pickle(tmp_path: Path) -> None:
    """A safetensors file starts with its header's length, which may look like a pickle."""
    path = tmp_path / "a.safetensors"
    for padding in range(0, 300, 8):
        save_checkpoint(path, small(training={"padding": "x" * padding}))
        if path.read_bytes()[:1] == b"\x80":
            break
    else:
        pytest.fail("no length begins so")
    assert load_checkpoint(path).normalisation == "person"
