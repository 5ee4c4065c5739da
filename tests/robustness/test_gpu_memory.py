"""A GPU whose memory runs out: less is computed at once, and it is said."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vidpose
from tests.clips import make_clip
from tests.fakes import tiny_weights, use_fake_detector
from vidpose.errors import VidposeError
from vidpose.events import Event, Warn
from vidpose.lifting import sliding_window
from vidpose.utils.batches import Batches


def too_small_for(most: int, calls: list[int]) -> Any:
    """Computes the numbers of a batch, unless there are more than fit."""

    def compute(batch: slice) -> list[int]:
        calls.append(batch.stop - batch.start)
        if calls[-1] > most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return list(range(batch.start, batch.stop))

    return compute


@pytest.mark.parametrize("most", [1, 2, 3, 7, 16])
def test_every_item_once_and_in_order(most: int) -> None:
    batches, calls = Batches(16, "frames"), list[int]()
    found = [
        number for _, part in batches.over(3, 40, too_small_for(most, calls)) for number in part
    ]
    assert found == list(range(3, 40))
    assert batches.most <= most
    assert bool(batches.note) == (most < 16)
    calls.clear()
    list(batches.over(0, 20, too_small_for(most, calls)))
    assert max(calls) <= most  # it is not tried again


@pytest.mark.parametrize("most", [6, 7, 11, 13])
def test_batches_are_of_whole_steps(most: int) -> None:
    calls: list[int] = []
    batches = Batches(70, "frames", step=6)
    found = [part.start for part, _ in batches.over(12, 100, too_small_for(most, calls))]
    assert calls[0] == 66
    assert all(start % 6 == 0 for start in found)
    with pytest.raises(VidposeError, match="too small for frames even 6 at a time"):
        list(batches.over(0, 20, too_small_for(5, [])))


def test_not_even_one() -> None:
    with pytest.raises(VidposeError, match="too small for frames even one at a time"):
        list(Batches(16, "frames").over(0, 20, too_small_for(0, [])))


def test_another_error_is_not_taken_for_it() -> None:
    def compute(batch: slice) -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        list(Batches(16, "frames").over(0, 20, compute))


def test_lifting_on_a_gpu_that_is_too_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    weights = tiny_weights(tmp_path / "weights.safetensors")
    video = make_clip(tmp_path / "a.mp4", frames=60)
    whole = vidpose.infer(video, weights=weights)
    block = sliding_window._block

    def small(model: Any, inputs: Any, start: int, stop: int) -> Any:
        if stop - start > 20:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return block(model, inputs, start, stop)

    monkeypatch.setattr(sliding_window, "_block", small)
    told: list[Event] = []
    parts = vidpose.infer(video, weights=weights, report=told.append)
    np.testing.assert_allclose(parts.joints_3d, whole.joints_3d, atol=1e-5)
    (warning,) = (str(event) for event in told if isinstance(event, Warn))
    assert "the GPU ran out of memory; frames were then computed 15 at a time" in warning
