from __future__ import annotations

import errno
import importlib.util
import os
import platform
import socket
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

# Before PyTorch is imported: threads that wait for each other by spinning make tests many times
# slower where the cores are shared.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest

from tests.viewer.chromium import why_no_browser

# What Python 3.11 on x86-64, on which CI runs, always has, and the tests that need it. Elsewhere
# they are left out where it is not installed, and the head of the report says so.
PARTS = {
    "mmpose": [
        "detect/test_cpn.py",
        "detect/test_cpn_training.py",
        "detect/test_mmcv_ops.py",
        "detect/test_mmdet.py",
        "detect/test_mmpose.py",
        "detect/test_topdown.py",
        "keypoints/test_mmpose_names.py",
    ],
    "pycocotools": ["export/test_json.py"],
    "ezc3d": ["export/test_c3d.py", "evaluation/test_reference.py"],
    "pyarrow": ["export/test_parquet.py"],
    "ray": ["batch/test_on_ray.py"],
    "tensorboard": ["training/test_train_to_eval.py"],
    "h5py": [
        "cli/test_prepare.py",
        "datasets/prepare/test_raw.py",
        "robustness/test_data_files.py",
        "utils/test_isolated.py",
    ],
}
ON_CI = sys.version_info[:2] == (3, 11) and platform.machine() == "x86_64"
ABSENT = [part for part in PARTS if not ON_CI and importlib.util.find_spec(part) is None]
collect_ignore = [file for part in ABSENT for file in PARTS[part]]

# The player's own tests drive a Chromium that is on the machine. What the page holds is tested
# without one.
BROWSER_TESTS = "viewer/browser"
NO_BROWSER = why_no_browser()
if NO_BROWSER:
    collect_ignore.append(BROWSER_TESTS)


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """Block network access beyond this machine."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def near(address: Any) -> bool:
        if not isinstance(address, tuple):  # a socket of the file system
            return True
        host = str(address[0]).partition("%")[0]
        try:
            return host in ("", "localhost") or ip_address(host).is_loopback
        except ValueError:  # a name
            return False

    def checked(self: socket.socket, address: Any) -> None:
        if not near(address):
            raise OSError(errno.ENETUNREACH, f"tests have no network, so not {address}")
        connect(self, address)

    def checked_ex(self: socket.socket, address: Any) -> int:
        return connect_ex(self, address) if near(address) else errno.ENETUNREACH

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", checked)
        patch.setattr(socket.socket, "connect_ex", checked_ex)
        yield


DEMO_VIDEO = Path(__file__).parents[1] / "demo_videos" / "demo.mp4"


@pytest.fixture(scope="session")
def demo_video() -> Path:
    """A real video: two people, 1768 x 994, 30 frames/s, 230 frames."""
    if not DEMO_VIDEO.is_file():
        pytest.fail(f"{DEMO_VIDEO} is missing; `make test` fetches it.")
    return DEMO_VIDEO


def pytest_report_header() -> list[str]:
    absent = {f"{part} is not installed": ", ".join(PARTS[part]) for part in ABSENT}
    if NO_BROWSER:
        absent[NO_BROWSER] = f"{BROWSER_TESTS}, the player in a browser"
    return [f"left out, as {why}: {tests}" for why, tests in absent.items()]
