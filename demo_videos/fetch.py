"""Fetch the demo video.

    python demo_videos/fetch.py demo_videos/demo.mp4

The video belongs to Sports2D (BSD 3-Clause, David Pagnon and contributors). It is taken from its
package on the Python package registry, which can be reached wherever pip works.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Member(NamedTuple):
    """A file in a package."""

    path: str
    sha256: str


PACKAGE = "sports2d==0.8.34"
DEMO = Member(
    "Sports2D/Demo/demo.mp4", "d9a66417185647b112304b57093f0c180f37a768e6a14daca75ca541f3b78039"
)


def fetch_members(package: str, members: Mapping[Path, Member]) -> None:
    """Download a wheel and write some of its files: the key says where to."""
    with tempfile.TemporaryDirectory() as folder:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        options = ["--disable-pip-version-check", "--only-binary", ":all:", "--dest", folder]
        if subprocess.run([*download, *options, package]).returncode:
            sys.exit(f"{package} cannot be downloaded; check the connection and try again.")
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            for target, member in members.items():
                write_checked(archive.read(member.path), member, package, target)


def write_checked(content: bytes, member: Member, package: str, target: Path) -> None:
    """Write a file if it is the expected one, completely or not at all."""
    if hashlib.sha256(content).hexdigest() != member.sha256:
        sys.exit(f"{member.path} of {package} is not the file expected (its SHA-256 differs).")
    partial = target.with_suffix(".part")
    partial.write_bytes(content)
    partial.replace(target)
    print(f"{target} is there.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fetch the demo video.")
    parser.add_argument("target", type=Path, help="the file to write")
    fetch_members(PACKAGE, {parser.parse_args().target: DEMO})
