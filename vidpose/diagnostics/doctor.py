"""Report what is installed, what is missing or incompatible, and the command that fixes it.

Version bounds are read from vidpose's package metadata, which comes from pyproject.toml, so that
they are defined once. Packages are imported only if their metadata is not enough.
"""

from __future__ import annotations

import importlib.util
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from vidpose import __version__
from vidpose.detect.mmcv_ops import ALONE, missing_packages, prepare_mmpose, quiet
from vidpose.errors import VidposeError, WeightsError
from vidpose.zoo.registry import ABSENT_BY_HAND, HERE, OTHER, PACKAGE, SHIPPED, Listed, listing

OPENCVS = (
    *("opencv-python-headless", "opencv-python"),
    *("opencv-contrib-python-headless", "opencv-contrib-python"),
)
"""All of these install the same package cv2, and overwrite each other."""

ABSENT = "not installed"

State = Literal["ok", "note", "broken"]


@dataclass(frozen=True)
class Check:
    """One line of the report."""

    name: str
    state: State
    """note: an optional part is missing or incompatible; broken: `vidpose infer` cannot run."""
    found: str
    fix: str | None = None
    """The command that fixes it."""


def examine() -> list[Check]:
    """Run all checks, without changing or downloading anything."""
    return [
        *_system(),
        *_dependencies(),
        _torch_pair(),
        _gpu(),
        _opencv(),
        _embedded_detector(),
        _video(),
        *_openmmlab(),
        *_parts(),
        *_weights(),
    ]


def examine_data(folder: Path) -> list[Check]:
    """Check the datasets in a folder and its subfolders, without changing or downloading anything.

    Raises:
        UsageError: it is not a folder.
    """
    from vidpose.datasets import check_dataset, find_datasets

    there = find_datasets(folder)
    if not there:
        found = "no file of a known dataset"
        return [Check(str(folder), "broken", found, "see docs/datasets.md for the layout of files")]
    return [
        Check(f"{finding.dataset}: {finding.file}", finding.state, finding.found, finding.fix)
        for name, place in there
        for finding in check_dataset(name, place)
    ]


def is_well(checks: list[Check]) -> bool:
    """Whether `vidpose infer` can run."""
    return all(check.state != "broken" for check in checks)


def as_json(checks: list[Check]) -> dict[str, Any]:
    """The report as JSON values."""
    return {"well": is_well(checks), "checks": [asdict(check) for check in checks]}


def _pip(*packages: str, options: str = "") -> str:
    quoted = " ".join(f"'{package}'" for package in packages)
    return f"{sys.executable} -m pip install {options}{quoted}"


def _install_mmpose() -> str:
    itself = f"-e '{PACKAGE.parent}[mmpose]'" if _is_checkout() else "'vidpose[mmpose]'"
    return f"{sys.executable} -m pip install {itself} && {_pip(*ALONE, options='--no-deps ')}"


def _reinstall() -> str:
    return f"{sys.executable} -m pip install -e '{PACKAGE.parent}'"


def _is_checkout() -> bool:
    return (PACKAGE.parent / "pyproject.toml").is_file()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _requirements(extra: str = "") -> list[Requirement]:
    """Requirements of vidpose, or those that an extra adds, for this system."""
    wanted = []
    for requirement in map(Requirement, metadata.requires("vidpose") or []):
        marker = requirement.marker
        always = marker is None or marker.evaluate({"extra": ""})
        if always != bool(extra) and (always or (marker and marker.evaluate({"extra": extra}))):
            wanted.append(requirement)
    return wanted


def _check_requirement(requirement: Requirement, missing: State, fix: str | None = None) -> Check:
    """Check that a package is installed in a compatible version."""
    version = _version(requirement.name)
    plain = f"{requirement.name}{requirement.specifier}"
    fix = fix or _pip(plain)
    if version is None:
        return Check(requirement.name, missing, ABSENT, fix)
    if not requirement.specifier.contains(version, prereleases=True):
        found = f"{version}, but {plain} is needed"
        return Check(requirement.name, missing, found, fix)
    return Check(requirement.name, "ok", version)


def _system() -> Iterator[Check]:
    wanted = SpecifierSet(metadata.metadata("vidpose")["Requires-Python"] or "")
    python, installed = platform.python_version(), _version("vidpose")
    if wanted.contains(python, prereleases=True):
        yield Check("python", "ok", python)
    else:
        fix = "python3.11 -m venv .venv"
        yield Check("python", "broken", f"{python}, but {wanted} is needed", fix)
    yield Check("platform", "ok", platform.platform())
    if installed == __version__:
        yield Check("vidpose", "ok", __version__)
    else:
        found = f"{__version__}, but installed as {installed}"
        yield Check("vidpose", "note", found, _reinstall())


def _dependencies() -> list[Check]:
    return [_check_requirement(requirement, "broken") for requirement in _requirements()]


def _torch_pair() -> Check:
    """Check torchvision's operations, which fail if it was built for another torch."""

    def found() -> str:
        import torch
        from torchvision.ops import nms

        boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 2.0]])
        if nms(boxes, torch.tensor([0.9, 0.8]), 0.5).tolist() != [0]:
            raise RuntimeError("NMS keeps two equal boxes")
        return f"works; torch {_version('torch')} with {_version('torchvision')}"

    fix = _pip("torch", "torchvision", options="--force-reinstall ")
    return _tried("torchvision.ops.nms", found, "broken", fix)


def _gpu() -> Check:
    def found() -> str:
        import torch

        gpu = torch.cuda.is_available()
        return torch.cuda.get_device_name() if gpu else "none found; using the CPU"

    return _tried("gpu", found, "note")


def _tried(name: str, found: Callable[[], str], failed: State, fix: str | None = None) -> Check:
    """Run a check; any exception of a third-party library is a finding, too."""
    try:
        return Check(name, "ok", found())
    except Exception as error:
        return Check(name, failed, f"does not work ({_line(error)})", fix)


def _opencv() -> Check:
    """Check OpenCV; several builds overwrite each other, harmless only if versions agree."""
    there = {name: version for name in OPENCVS if (version := _version(name))}
    found = ", ".join(f"{name} {version}" for name, version in there.items()) or "none"
    if len(set(there.values())) > 1:
        wanted = there.get(OPENCVS[0]) or max(there.values())
        fix = _pip(*(f"{name}=={wanted}" for name in there), options="--force-reinstall --no-deps ")
        return Check("opencv builds", "broken", f"{found}: different versions", fix)
    if importlib.util.find_spec("cv2") is None:
        return Check("opencv builds", "broken", f"{found}: cv2 is missing", _pip(OPENCVS[0]))
    return Check("opencv builds", "ok", found)


def _embedded_detector() -> Check:
    name = "embedded detector"
    try:
        from vidpose.detect.blazepose import BlazePoseDetector

        with BlazePoseDetector() as detector:
            about = detector.description
    except WeightsError as error:
        return Check(name, "broken", str(error), _restore_weights())
    except Exception as error:
        wanted = next((str(r) for r in _requirements() if r.name == "onnxruntime"), "onnxruntime")
        fix = _pip(wanted, options="--force-reinstall --no-deps ")
        return Check(name, "broken", f"does not work ({_line(error)})", fix)
    return Check(name, "ok", f"{about['network']} on {about['runtime']}")


def _video() -> Check:
    def found() -> str:
        import av

        if "libx264" not in av.codecs_available:
            raise RuntimeError("this build of av has no libx264")
        return "available"

    fix = _pip("av", options="--force-reinstall --no-deps --only-binary :all: ")
    return _tried("libx264 in av", found, "broken", fix)


def _openmmlab() -> Iterator[Check]:
    """Check the optional packages of HRNet, CPN and RTMDet."""
    wanted = _requirements("mmpose")
    if not wanted:
        found = "vidpose's package metadata is older than its source"
        yield Check("mmpose extra", "note", found, _reinstall())
    full = _version("mmcv")
    for requirement in wanted:
        yield _optional("mmpose", requirement, _install_mmpose())
    for requirement in map(Requirement, ALONE):
        if requirement.name == "mmcv-lite" and full:
            requirement = Requirement(f"mmcv{requirement.specifier}")
        yield _optional("mmpose", requirement, _install_mmpose())
    if full and _version("mmcv-lite"):
        fix = f"{sys.executable} -m pip uninstall -y mmcv-lite"
        yield Check("mmcv", "note", f"{full} and mmcv-lite overwrite each other", fix)
    yield _compiled_operations()
    if missing := missing_packages():
        found = f"no; {', '.join(missing)} cannot be imported"
        yield Check("mmpose works", "note", found, _install_mmpose())
    else:
        yield _tried("mmpose works", _import_mmpose, "note", _install_mmpose())


def _import_mmpose() -> str:
    prepare_mmpose()
    with quiet():
        import mmpose.models  # noqa: F401
    return "HRNet, CPN and RTMDet can be used"


def _compiled_operations() -> Check:
    name = "mmcv operations"
    spec = importlib.util.find_spec("mmcv")
    places = list(spec.submodule_search_locations or []) if spec else []
    if not places:
        return Check(name, "note", "mmcv is not installed", _install_mmpose())
    if any(file.suffix in (".so", ".pyd") for p in places for file in Path(p).glob("_ext*")):
        return Check(name, "ok", "compiled")
    return Check(name, "ok", "not compiled; using vidpose's replacement")


def _parts() -> Iterator[Check]:
    """Check the packages of the other extras."""
    for extra in ("datasets", "c3d", "parquet", "onnx", "tensorboard", "ray"):
        for requirement in _requirements(extra):
            yield _optional(extra, requirement)


def _optional(extra: str, requirement: Requirement, fix: str | None = None) -> Check:
    """Check an optional package; if `make` failed to install it, include pip's error."""
    check = _check_requirement(requirement, "note", fix)
    log = Path(sys.prefix, "missing", f"{extra}.log")
    if check.found != ABSENT or not log.is_file():
        return check
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")] or lines or ["nothing"]
    return replace(check, found=f"{ABSENT}; pip said: {errors[-1].strip()}")


def _weights() -> Iterator[Check]:
    lines = listing()
    if not any(line.name == "default" for line in lines):
        yield Check("weights default", "broken", "missing", _restore_weights())
    for line in lines:
        name = f"weights {line.name}"
        fetch = f"{Path(sys.executable).with_name('vidpose')} weights fetch {line.name}"
        by_hand = f"download {line.source} with a browser to {line.path}"
        if line.state == SHIPPED:
            yield _shipped(name, line)
        elif line.state == HERE:
            yield Check(name, "ok", f"{line.state}: {line.path}")
        else:
            fixes = {OTHER: f"rm '{line.path}'* && {fetch}", ABSENT_BY_HAND: by_hand}
            yield Check(name, "note", line.state, fixes.get(line.state, fetch))


def _shipped(name: str, line: Listed) -> Check:
    try:
        from vidpose.models import load_checkpoint

        load_checkpoint(line.path)
    except VidposeError as error:
        return Check(name, "broken", str(error), _restore_weights())
    except Exception as error:  # torch is broken, which has a check of its own
        return Check(name, "broken", _line(error))
    return Check(name, "ok", f"SHA-256 {line.sha256}")


def _restore_weights() -> str:
    if _is_checkout():
        return f"git -C '{PACKAGE.parent}' checkout -- weights"
    return _pip("vidpose", options="--force-reinstall --no-deps ")


def _line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}"[:120]
