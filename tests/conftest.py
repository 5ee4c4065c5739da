from __future__ import annotations

import os
from pathlib import Path

# Before PyTorch is imported: threads that wait for each other by spinning make tests many times
# slower where the cores are shared.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest

DEMO_VIDEO = Path(__file__).parents[1] / "demo_videos" / "demo.mp4"


@pytest.fixture(scope="session")
def demo_video() -> Path:
    """A real video: two people, 1768 x 994, 30 frames/s, 230 frames."""
    if not DEMO_VIDEO.is_file():
        pytest.fail(f"{DEMO_VIDEO} is missing; `make test` fetches it.")
    return DEMO_VIDEO
