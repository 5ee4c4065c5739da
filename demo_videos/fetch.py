"""Fetch the demo video: `python demo_videos/fetch.py demo_videos/demo.mp4`.

The video belongs to Sports2D (BSD 3-Clause, David Pagnon and contributors) and is taken from its
package on the Python package registry, since that can be reached wherever pip works.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "sports2d==0.8.34"
MEMBER = "Sports2D/Demo/demo.mp4"
SHA256 = "d9a66417185647b112304b57093f0c180f37a768e6a14daca75ca541f3b78039"


def fetch(target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        options = ["--disable-pip-version-check", "--only-binary", ":all:", "--dest", folder]
        if subprocess.run([*download, *options, PACKAGE]).returncode:
            sys.exit(f"{PACKAGE} cannot be downloaded; check the connection and try again.")
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            video = archive.read(MEMBER)
    if hashlib.sha256(video).hexdigest() != SHA256:
        sys.exit(f"{MEMBER} of {PACKAGE} is not the file expected (its SHA-256 differs).")
    partial = target.with_suffix(".part")
    partial.write_bytes(video)
    partial.replace(target)
    print(f"{target} is there.")


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))
