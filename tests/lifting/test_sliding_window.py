from __future__ import annotations

import pytest
import torch

from vidpose.lifting import sliding_window as sliding
from vidpose.lifting.sliding_window import mirror, slide
from vidpose.models import PoseFormer
from vidpose.models.sliding import sliding_form
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
    slides = sliding_form(model) if ready else model
    lifted = slide(slides, inputs, MIRRORED)
    torch.testing.assert_close(lifted.plain, plain, atol=1e-5, rtol=0)
    torch.testing.assert_close(lifted.poses, (plain + flipped) / 2, atol=1e-5, rtol=0)
    distance = (plain - flipped).norm(dim=-1).mean(dim=-1)
    torch.testing.assert_close(lifted.disagreement, distance, atol=1e-5, rtol=0)
    alone = slide(slides, inputs, None)
    torch.testing.assert_close(alone.poses, plain, atol=1e-5, rtol=0)
    assert alone.disagreement.isnan().tolist() == [True] * frames


def test_memory_is_bounded_by_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sliding, "BLOCK", 4)
    model = PoseFormer(frames=3, embed_dim=8, depth=1).eval()
    seen: list[int] = []
    real = model.slide

    def note(keypoints: torch.Tensor) -> torch.Tensor:
        seen.append(len(keypoints))
        return real(keypoints)

    monkeypatch.setattr(model, "slide", note)
    assert len(slide(model, torch.randn(11, 17, 2), None).poses) == 11
    assert seen == [6, 6, 5]  # with a frame on either side


def test_the_output_may_be_modified() -> None:
    """Inference mode forbids it for its own tensors."""
    model = PoseFormer(frames=3, embed_dim=8, depth=1).eval()
    for mirrored in (None, MIRRORED):
        poses = slide(model, torch.randn(2, 17, 2), mirrored).poses
        poses[:, 0] = 0
