from __future__ import annotations

import pytest
import torch

from vidpose.lifting import sliding_window as sliding
from vidpose.lifting.sliding_window import mirror, slide
from vidpose.models import PoseFormer
from vidpose.skeleton import H36M17

MIRRORED = torch.from_numpy(H36M17.mirrored)


@pytest.mark.parametrize("frames", [1, 3, 11])
@pytest.mark.parametrize("ready", [True, False])
def test_every_frame_has_its_window_and_edges_are_repeated(
    frames: int, ready: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sliding, "BLOCK", 4)
    torch.manual_seed(0)
    model = PoseFormer(frames=9, embed_dim=8, depth=1).eval()
    inputs = torch.randn(frames, 17, 2)
    padded = torch.cat([inputs[:1].expand(4, -1, -1), inputs, inputs[-1:].expand(4, -1, -1)])
    windows = torch.stack([padded[t : t + 9] for t in range(frames)])
    with torch.no_grad():
        plain = model(windows)[:, 0]
        flipped = mirror(model(torch.stack([mirror(w, MIRRORED) for w in windows]))[:, 0], MIRRORED)
    slides = model.prepared() if ready else model
    apart: list[torch.Tensor] = []
    blocks = list(slide(slides, inputs, MIRRORED, apart=apart))
    assert [len(block) for block in blocks] == {1: [1], 3: [3], 11: [4, 4, 3]}[frames]
    torch.testing.assert_close(torch.cat(blocks), (plain + flipped) / 2, atol=1e-5, rtol=0)
    distance = (plain - flipped).norm(dim=-1).mean(dim=-1)
    torch.testing.assert_close(torch.cat(apart), distance, atol=1e-5, rtol=0)
    alone = torch.cat(list(slide(slides, inputs, None)))
    torch.testing.assert_close(alone, plain, atol=1e-5, rtol=0)


def test_what_comes_out_may_be_changed() -> None:
    """Inference mode forbids it for its own tensors."""
    model = PoseFormer(frames=3, embed_dim=8, depth=1).eval()
    for mirrored in (None, MIRRORED):
        (poses,) = slide(model, torch.randn(2, 17, 2), mirrored)
        poses[:, 0] = 0
