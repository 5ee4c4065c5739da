import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.export.people import passers_by, varying
from vidpose.errors import MissingDependencyError, UsageError, VidposeError
from vidpose.events import Event, FileWritten, Info
from vidpose.export import FORMATS, check_before, export, export_files
from vidpose.options import EXPORT_FORMATS, ExportOptions, InferOptions

NO_PACKAGES = "csv,json,trc,bvh,glb"
"""The formats that need no further package."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_format_is_an_option() -> None:
    assert tuple(FORMATS) == EXPORT_FORMATS


def test_files_take_their_names_from_the_stem(tmp_path: Path) -> None:
    said: list[Event] = []
    options = ExportOptions(export=NO_PACKAGES)
    files = export_files(passers_by(), tmp_path / "new" / "a.b", options, report=said.append)
    assert names(tmp_path / "new") == [
        *("a.b.csv", "a.b.glb", "a.b.json", "a.b_person1.bvh", "a.b_person1.trc"),
        *("a.b_person2.bvh", "a.b_person2.trc"),
    ]
    assert [event.path for event in said if isinstance(event, FileWritten)] == files
    sentences = [str(event) for event in said if isinstance(event, Info)]
    assert sentences == [
        "BVH cannot represent gaps; while person 2 is absent, the last pose is held."
    ]


def test_a_varying_rate_is_reported(tmp_path: Path) -> None:
    said: list[Event] = []
    options = ExportOptions(export="trc,csv,glb")
    export_files(varying(passers_by()), tmp_path / "a", options, report=said.append)
    (sentence,) = (str(event) for event in said if isinstance(event, Info))
    assert sentence == (
        "The video's frame rate varies; in TRC the joints are interpolated to its average, 29.97 "
        "frames/s."
    )


def test_without_a_world(tmp_path: Path) -> None:
    result = passers_by(world=False)
    for format in ("trc", "bvh", "glb"):
        with pytest.raises(UsageError, match="needs a world frame; make the result with --world"):
            export_files(result, tmp_path / "a", ExportOptions(export=f"csv,{format}"))
    assert names(tmp_path) == []
    export_files(result, tmp_path / "a", ExportOptions(export="csv,json"))
    export_files(result, tmp_path / "a", ExportOptions(export=NO_PACKAGES, axes="camera"))
    assert len(names(tmp_path)) == 7


def test_a_file_of_somebody_else_is_not_overwritten(tmp_path: Path) -> None:
    result = passers_by()
    options = ExportOptions(export=NO_PACKAGES)
    for _ in range(2):  # their own files they may write again
        files = export_files(result, tmp_path / "a", options)
    for theirs in files:
        ours = theirs.read_bytes()
        theirs.write_text("mine")
        before = {path: path.stat().st_mtime_ns for path in files}
        with pytest.raises(UsageError, match="was not written by vidpose"):
            export_files(result, tmp_path / "a", options)
        assert before == {path: path.stat().st_mtime_ns for path in files}
        with pytest.raises(UsageError, match="was not written by vidpose"):
            check_before(tmp_path / "a", options, world=True)
        assert theirs.read_text() == "mine"
        theirs.write_bytes(ours)


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "a.csv").mkdir()
    for stem in (tmp_path / "file" / "a", tmp_path / "a"):
        with pytest.raises(VidposeError, match="cannot be written"):
            export_files(passers_by(), stem, ExportOptions(export="trc,csv"))
    assert names(tmp_path) == ["a.csv", "file"]


def test_several_people_in_a_file_for_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="TRC holds one person per file, and there are 2"):
        export(passers_by(), tmp_path / "a.trc", "trc")
    assert names(tmp_path) == []


def test_people_of_unknown_position(tmp_path: Path) -> None:
    result = passers_by()
    result.root_3d[1] = np.nan
    said: list[Event] = []
    options = ExportOptions(export="csv,trc,glb")
    files = export_files(result, tmp_path / "a", options, report=said.append)
    assert [path.name for path in files] == ["a.csv", "a_person1.trc", "a.glb"]
    assert str(said[0]) == (
        "Warning: The position of person 2 in the scene is unknown; TRC, glTF do not contain this "
        "person."
    )
    said.clear()
    export_files(result, tmp_path / "c", ExportOptions(export="bvh"), report=said.append)
    assert not any("last pose is held" in str(event) for event in said)
    result.root_3d[0] = np.nan
    with pytest.raises(UsageError, match="No person's position is known"):
        export_files(result, tmp_path / "b", ExportOptions(export="trc"))


def test_one_frame(tmp_path: Path) -> None:
    result = passers_by()
    part = {
        name: getattr(result, name)[:, 10:11]
        for name in ("joints_3d", "root_3d", "keypoints_2d", "scores_2d", "present", "observed")
    }
    times = {name: getattr(result, name)[10:11] for name in ("frame_indices", "timestamps")}
    files = export_files(
        replace(result, **part, **times), tmp_path / "a", ExportOptions(export=NO_PACKAGES)
    )
    assert all(path.stat().st_size for path in files)


@pytest.mark.parametrize(("format", "package"), [("c3d", "ezc3d"), ("parquet", "pyarrow.parquet")])
def test_a_package_that_is_not_installed(
    format: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    options = ExportOptions(export=f"csv,{format}")
    with pytest.raises(MissingDependencyError, match=rf"pip install 'vidpose\[{format}\]'"):
        export_files(passers_by(), tmp_path / "a", options)
    with pytest.raises(MissingDependencyError):
        check_before(tmp_path / "a", options, world=True)
    assert names(tmp_path) == []


def test_formats_are_named() -> None:
    assert ExportOptions(export=" TRC, csv,.trc").formats == ("trc", "csv")
    assert InferOptions.of(export="csv", unit="m").export.unit == "m"
    with pytest.raises(UsageError, match="'fbx' is not an export format; choose csv,"):
        InferOptions.of(export="csv,fbx")
    with pytest.raises(UsageError, match="'xlsx' is not an export format"):
        export(passers_by(), "a.xlsx", "xlsx")


def test_positions_are_required_only_by_formats_that_write_them(tmp_path: Path) -> None:
    result = passers_by()
    result.root_3d[:] = np.nan
    files = export_files(result, tmp_path / "a", ExportOptions(export="csv,angles,json"))
    assert len(files) == 3


def test_a_long_gap_allocates_no_memory(tmp_path: Path) -> None:
    result = passers_by()
    result.timestamps[5:] += 1e10
    assert export(result, tmp_path / "a.csv", "csv").is_file()
    with pytest.raises(UsageError, match="has a constant frame rate, and gaps in this result"):
        export_files(result, tmp_path / "b", ExportOptions(export="trc"))


@pytest.mark.parametrize("name", ["trc", "bvh"])
def test_files_of_other_programs_are_not_recognised_as_ours(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{name}"
    others = {"trc": "Frame#\tTime\tHip\t\t\tRHip\n", "bvh": "HIERARCHY\nROOT Hip\n"}
    path.write_text(others[name])
    before = path.read_bytes()
    result = passers_by().person(1)
    with pytest.raises(UsageError, match="was not written by vidpose"):
        export(result, path, name)
    assert path.read_bytes() == before
    path.unlink()
    export(result, path, name)
    export(result, path, name)  # our own


@pytest.mark.parametrize("given", [{"up": "z"}, {"unit": "cm"}, {"axes": "camera"}])
def test_options_that_a_format_does_not_take(given: dict[str, str], tmp_path: Path) -> None:
    (name,) = given
    with pytest.raises(UsageError, match=f"--{name} has no effect on CSV, COCO JSON; leave it"):
        export_files(passers_by(), tmp_path / "a", ExportOptions(export="csv,json", **given))
    with pytest.raises(UsageError, match=f"--{name} has no effect on CSV; leave it out"):
        check_before(tmp_path / "a", ExportOptions(export="csv", **given), world=True)
    with pytest.raises(UsageError, match=f"--{name} needs --export"):
        check_before(tmp_path / "a", ExportOptions(**given), world=True)
    assert names(tmp_path) == []
    said: list[Event] = []
    options = ExportOptions(export="csv,trc", **given)
    export_files(passers_by(), tmp_path / "a", options, report=said.append)
    assert str(said[0]) == f"--{name} has no effect on CSV."


def test_gltf_takes_axes_but_no_unit(tmp_path: Path) -> None:
    result = passers_by(world=False)
    export(result, tmp_path / "a.glb", "glb", ExportOptions(axes="camera"))
    with pytest.raises(UsageError, match=r"--unit has no effect on glTF; .* trc or c3d or bvh"):
        export(result, tmp_path / "a.glb", "glb", ExportOptions(axes="camera", unit="m"))


def test_files_of_people_no_longer_in_the_result_are_removed(tmp_path: Path) -> None:
    result, options = passers_by(), ExportOptions(export="trc,csv")
    stem = tmp_path / "a"
    export_files(result, stem, options)
    (tmp_path / "a_person3.trc").write_text("mine")
    (tmp_path / "a_person2.bvh").write_text("mine")
    (tmp_path / "a_person2_b.trc").write_bytes((tmp_path / "a_person2.trc").read_bytes())
    (tmp_path / "b_person2.trc").write_bytes((tmp_path / "a_person2.trc").read_bytes())
    before = names(tmp_path)
    export_files(result, stem, options, people=[1])  # the other one is still in the result
    assert names(tmp_path) == before
    said: list[Event] = []
    export_files(result.person(1), stem, options, report=said.append)
    assert names(tmp_path) == [name for name in before if name != "a_person2.trc"]
    assert str(said[-1]) == (
        f"Removed {tmp_path / 'a_person2.trc'} of an earlier export: the result has no person 2."
    )
