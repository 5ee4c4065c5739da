import importlib.util
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from vidpose.detect import blazepose, blazepose_network
from vidpose.diagnostics import doctor
from vidpose.diagnostics.doctor import Check, as_json, is_well
from vidpose.zoo.registry import PACKAGE

PIP = f"{sys.executable} -m pip install "
GOOD = {
    "vidpose": "0.1.0",
    **{"numpy": "1.26.4", "torch": "2.9.0", "av": "17.0.0", "onnxruntime": "1.32.0"},
    **{"opencv-python-headless": "4.11.0.86", "opencv-python": "4.11.0.86"},
    **{
        "munkres": "1.1.4",
        "mmengine": "0.10.7",
        "mmcv-lite": "2.1.0",
        "mmdet": "3.3.0",
        "mmpose": "1.3.2",
    },
}
REQUIRES = [
    *("numpy<2", "torch>=2.4", "av>=17", "onnxruntime>=1.20"),
    "pywin32; sys_platform == 'win32'",
    "pytest>=8; extra == 'dev'",
    "munkres; extra == 'mmpose'",
    "h5py>=3.8; extra == 'datasets'",
]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Installed packages, as package metadata reports them; tests change it to break something."""
    versions = dict(GOOD)

    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(metadata, "requires", lambda name: REQUIRES)
    return versions


def found(checks: Any) -> dict[str, Check]:
    return {check.name: check for check in checks}


@pytest.mark.usefixtures("installed")
def test_all_fits() -> None:
    dependencies = found(doctor._dependencies())
    assert list(dependencies) == ["numpy", "torch", "av", "onnxruntime"]
    assert {check.state for check in dependencies.values()} == {"ok"}
    openmmlab = found(doctor._openmmlab())
    assert list(openmmlab)[:5] == ["munkres", "mmcv-lite", "mmdet", "mmengine", "mmpose"]
    assert {check.state for check in openmmlab.values()} == {"ok"}
    assert is_well([*dependencies.values(), *openmmlab.values()])


def test_a_dependency_that_is_missing_or_does_not_fit(installed: dict[str, str]) -> None:
    installed["numpy"] = "2.1.0"
    del installed["av"]
    checks = found(doctor._dependencies())
    assert checks["numpy"] == Check(
        "numpy", "broken", "2.1.0, but numpy<2 is needed", PIP + "'numpy<2'"
    )
    assert checks["av"] == Check("av", "broken", "not installed", PIP + "'av>=17'")
    assert not is_well(list(checks.values()))


def test_readers_of_raw_downloads_are_optional(
    installed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    (missing,) = doctor._parts()
    assert missing == Check("h5py", "note", "not installed", PIP + "'h5py>=3.8'")
    installed["h5py"] = "3.16.0"
    assert list(doctor._parts()) == [Check("h5py", "ok", "3.16.0")]


def test_what_pip_said_when_make_failed(
    installed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    (tmp_path / "missing").mkdir()
    log = (
        "ERROR: Could not find a version\nERROR: No matching distribution for h5py\nnotice: more\n"
    )
    (tmp_path / "missing" / "datasets.log").write_text(log)
    (missing,) = doctor._parts()
    assert missing.found == ("not installed; pip said: ERROR: No matching distribution for h5py")
    installed["h5py"] = "3.16.0"  # by hand, later
    assert list(doctor._parts()) == [Check("h5py", "ok", "3.16.0")]


def test_openmmlab_is_optional_and_the_line_that_installs_it_is_exact(
    installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("mmengine", "mmcv-lite", "mmdet", "mmpose"):
        del installed[name]
    monkeypatch.setattr(doctor, "PACKAGE", Path("/site-packages/vidpose"))
    checks = found(doctor._openmmlab())
    assert is_well(list(checks.values()))
    assert checks["mmdet"].state == "note"
    alone = "'mmcv-lite==2.1.0' 'mmdet==3.3.0' 'mmengine==0.10.7' 'mmpose==1.3.2'"
    assert checks["mmdet"].fix == f"{PIP}'vidpose[mmpose]' && {PIP}--no-deps {alone}"


def test_openmmlab_that_does_not_fit(installed: dict[str, str]) -> None:
    installed |= {"mmcv": "2.2.0", "mmpose": "0.29.0"}
    checks = found(doctor._openmmlab())
    assert checks["mmpose"].found == "0.29.0, but mmpose==1.3.2 is needed"
    assert (
        "overwrite each other"
        in [check for check in doctor._openmmlab() if check.name == "mmcv"][-1].found
    )
    del installed["mmcv-lite"]
    checks = found(doctor._openmmlab())
    assert checks["mmcv"].found == "2.2.0, but mmcv==2.1.0 is needed"
    installed["mmcv"] = "2.1.0"
    assert found(doctor._openmmlab())["mmcv"].state == "ok"


@pytest.mark.usefixtures("installed")
def test_compiled_operations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Spec:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: Spec)
    assert doctor._compiled_operations().found == "not compiled; using vidpose's replacement"
    (tmp_path / "_ext.cpython-311-x86_64-linux-gnu.so").touch()
    assert doctor._compiled_operations().found == "compiled"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert doctor._compiled_operations().state == "note"


def test_stale_metadata_of_an_editable_install(
    installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "requires", lambda name: REQUIRES[:4])
    assert found(doctor._openmmlab())["mmpose extra"].state == "note"


def test_two_opencvs_must_be_of_one_version(installed: dict[str, str]) -> None:
    assert doctor._opencv().state == "ok"
    installed["opencv-python"] = "4.10.0.84"
    check = doctor._opencv()
    assert check.state == "broken"
    assert check.fix == (
        f"{PIP}--force-reinstall --no-deps 'opencv-python-headless==4.11.0.86' "
        "'opencv-python==4.11.0.86'"
    )


def test_the_embedded_detector(
    installed: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    check = doctor._embedded_detector()
    assert check.state == "ok"
    assert check.found.startswith("BlazePose mixed on onnxruntime ")
    monkeypatch.setattr(blazepose_network, "FOLDER", tmp_path)
    check = doctor._embedded_detector()
    assert check.state == "broken"
    assert "person_detector.onnx is missing" in check.found
    assert check.fix == f"git -C '{PACKAGE.parent}' checkout -- weights"


def test_a_runtime_that_does_not_work(
    installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ImportError("libonnxruntime.so: cannot open shared object file")

    monkeypatch.setattr(blazepose, "OnnxNetworks", broken)
    check = doctor._embedded_detector()
    assert check.state == "broken"
    assert "libonnxruntime.so" in check.found
    assert check.fix == PIP + "--force-reinstall --no-deps 'onnxruntime>=1.20'"


def test_a_torchvision_of_another_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision.ops

    def broken(*_: object) -> None:
        raise RuntimeError("operator torchvision::nms does not exist\nmore")

    assert doctor._torch_pair().state == "ok"
    monkeypatch.setattr(torchvision.ops, "nms", broken)
    check = doctor._torch_pair()
    assert check.state == "broken"
    assert check.found.endswith("(RuntimeError: operator torchvision::nms does not exist)")
    assert check.fix == PIP + "--force-reinstall 'torch' 'torchvision'"


def test_av_without_h264(monkeypatch: pytest.MonkeyPatch) -> None:
    import av

    assert doctor._video().state == "ok"
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    assert doctor._video().state == "broken"


def test_python_that_does_not_fit(
    installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "python_version", lambda: "3.9.1")
    installed["vidpose"] = "0.0.1"
    checks = found(doctor._system())
    assert checks["python"].state == "broken"
    assert checks["vidpose"].found == "0.1.0, but installed as 0.0.1"


def test_an_mmpose_that_does_not_import(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise ImportError("cannot import name 'x'")

    assert found(doctor._openmmlab())["mmpose works"].state == "ok"
    monkeypatch.setattr(doctor, "prepare_mmpose", fails)
    check = found(doctor._openmmlab())["mmpose works"]
    assert check.state == "note"
    assert "cannot import name 'x'" in check.found
    monkeypatch.setattr(doctor, "missing_packages", lambda: ["pycocotools"])
    check = found(doctor._openmmlab())["mmpose works"]
    assert (check.state, check.found) == ("note", "no; pycocotools cannot be imported")
    assert "[mmpose]" in str(check.fix)


def test_json() -> None:
    report = as_json([Check("a", "ok", "1"), Check("b", "broken", "2", "mend it")])
    assert report["well"] is False
    assert report["checks"][1] == {"name": "b", "state": "broken", "found": "2", "fix": "mend it"}
