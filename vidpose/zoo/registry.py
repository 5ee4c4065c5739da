"""Registry of weights: those that come with vidpose, third-party ones by name, others by path.

Third-party weights are in the user's cache. Only `fetch` (`vidpose weights fetch`) downloads, and
files whose SHA-256 does not match the registry are never used.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from vidpose.errors import UsageError, VidposeError, WeightsError
from vidpose.utils.files import (
    check_writable,
    no_links,
    obstacle,
    replacing,
    sha256,
    small_text,
    writing,
)
from vidpose.utils.progress import Progress, silent

PACKAGE = Path(__file__).parents[1]
OWN_FOLDER = PACKAGE / "weights" if (PACKAGE / "weights").is_dir() else PACKAGE.parent / "weights"
"""Inside an installed wheel, or at the top of a checkout."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A third-party file: description, source, and how to verify it."""

    name: str
    what: str
    file: str
    """File name in the cache."""
    source: str
    """URL of the file, or of its download page if only a browser can get it."""
    fetchable: bool = True
    """Whether `source` is the file itself."""
    size: int | None = None
    """Bytes; None if no public source states it."""
    sha256: str = ""
    """SHA-256 in hexadecimal, or as many of its first digits as are public: OpenMMLab's file names
    end with the first eight."""
    licence: str = "Apache-2.0"


_CPN_LICENCE = "none stated for the weights; the code they come from is GPL-3.0"
_TOP_DOWN = "mmpose/v1/body_2d_keypoint/topdown_heatmap/coco"


def _openmmlab(name: str, what: str, path: str, sha256: str, size: int | None = None) -> Weights:
    url = f"https://download.openmmlab.com/{path}"
    return Weights(name=name, what=what, file=Path(path).name, source=url, size=size, sha256=sha256)


def _cpn(name: str, what: str, file: str, drive_id: str) -> Weights:
    url = f"https://drive.google.com/open?id={drive_id}"
    return Weights(
        name=name, what=what, file=file, source=url, fetchable=False, licence=_CPN_LICENCE
    )


# docs/detectors.md has the source of each size and hash, and why some are unknown.
REGISTRY = {
    weights.name: weights
    for weights in (
        _openmmlab(
            "hrnet-w32",
            "HRNet-W32, 256x192, COCO: 17 joints of a person",
            f"{_TOP_DOWN}/td-hm_hrnet-w32_8xb64-210e_coco-256x192-81c58e40_20220909.pth",
            "81c58e40",
        ),
        _openmmlab(
            "hrnet-w48",
            "HRNet-W48, 384x288, COCO: more accurate, slower",
            f"{_TOP_DOWN}/td-hm_hrnet-w48_8xb32-210e_coco-384x288-c161b7de_20220915.pth",
            "c161b7de",
        ),
        _openmmlab(
            "rtmdet-m-person",
            "RTMDet-m, COCO and Objects365: boxes of people only",
            "mmpose/v1/projects/rtmposev1/rtmdet_m_8xb32-100e_coco-obj365-person-235e8209.pth",
            "235e820939cb2ff33c505441e71f7e9532958c281636a963c6829d100867aed9",
        ),
        _openmmlab(
            "rtmdet-m",
            "RTMDet-m, COCO: boxes of 80 classes",
            "mmdetection/v3.0/rtmdet/rtmdet_m_8xb32-300e_coco/"
            "rtmdet_m_8xb32-300e_coco_20220719_112220-229f527c.pth",
            "229f527ca88498e8894a778a62a878a322b4a3ea2cae09ea537d34b7e907792b",
            224_299_609,
        ),
        _openmmlab(
            "rtmdet-tiny",
            "RTMDet-tiny, COCO: the same, faster",
            "mmdetection/v3.0/rtmdet/rtmdet_tiny_8xb32-300e_coco/"
            "rtmdet_tiny_8xb32-300e_coco_20220902_112414-78e30dcc.pth",
            "78e30dcce0c6f594eaff0d6977b84b4103688b4aff0ad1aa16008a8cc854a7fb",
            57_532_893,
        ),
        _cpn(
            "cpn-r50-256x192",
            "CPN, ResNet-50, 256x192, COCO: 17 joints of a person",
            "CPN50_256x192.pth.tar",
            "1pUpU8o6QtgK197vAfCtT5cxokE9p-yuB",
        ),
        _cpn(
            "cpn-r50-384x288",
            "CPN, ResNet-50, 384x288, COCO",
            "CPN50_384x288.pth.tar",
            "1L6Qq-incr2XtptdLJti3Zdf6sr19zs7y",
        ),
        _cpn(
            "cpn-r101-384x288",
            "CPN, ResNet-101, 384x288, COCO",
            "CPN101_384x288.pth.tar",
            "1zFYUsDbFG3xxMoZkSv253QsVD9AF9rv7",
        ),
    )
}


SHIPPED, HERE, OTHER = "comes with vidpose", "in the cache, verified", "wrong file in the cache"
ABSENT, ABSENT_BY_HAND = "not downloaded", "not downloaded; needs a browser"


@dataclass(frozen=True, kw_only=True)
class Listed(Weights):
    """A line of `vidpose weights list`."""

    state: str
    """One of the five above."""
    path: Path
    """Path of the file, even if it does not exist yet."""


def find_weights(name: str | Path) -> Path:
    """The file of weights that come with vidpose (`default`), or the path itself.

    Raises:
        WeightsError: there are no such weights and no such file.
    """
    files, path = shipped(), Path(name)
    if str(name) in files:
        return files[str(name)]
    known = ", ".join(sorted(files)) or "none"
    if why := obstacle(path, f"give a .safetensors file, or a name of weights: {known}"):
        raise WeightsError(f"{name} {why}.")
    return path


def shipped() -> dict[str, Path]:
    """The weights that come with vidpose, by name."""
    return {file.stem: file for file in OWN_FOLDER.glob("*.safetensors")}


def cache_folder() -> Path:
    """Folder of downloaded weights: `VIDPOSE_CACHE`, or vidpose in the user's cache folder."""
    if own := os.environ.get("VIDPOSE_CACHE"):
        return Path(own).expanduser()
    return platformdirs.user_cache_path("vidpose", appauthor=False)


def cache_path(name: str) -> Path:
    """Path of third-party weights in the cache, even if not downloaded.

    Raises:
        UsageError: the registry has no weights of that name.
    """
    return cache_folder() / "weights" / _entry(name).file


def cached(name: str) -> Path | None:
    """The verified file of third-party weights; None if not in the cache. Never downloads.

    Raises:
        UsageError: the registry has no weights of that name.
        WeightsError: the file in the cache is not these weights.
    """
    path = cache_path(name)
    if not os.path.isfile(path):  # pathlib's raises if a folder is not accessible
        return None
    _verify(_entry(name), path)
    return path


def fetch(name: str, progress: Progress = silent) -> Path:
    """Download third-party weights to the cache, or verify them if they are there.

    A broken download resumes where it stopped, now or at the next call. The file gets its final
    name only after its size and SHA-256 are verified.

    Args:
        name: in `REGISTRY`.
        progress: wraps the chunks of a megabyte.

    Raises:
        UsageError: the registry has no weights of that name.
        WeightsError: the download failed (the message explains how to download manually), or the
            file is not these weights.
    """
    from vidpose.zoo.download import (
        DownloadError,
        download,
    )  # imports HTTP, which nothing else needs

    weights, path = _entry(name), cache_path(name)
    if found := cached(name):
        return found
    if not weights.fetchable:
        raise WeightsError(
            f"{name} cannot be downloaded by a program; download it from {weights.source} with a "
            f"browser and save it as {path}."
        )
    check_writable(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        with _alone(part, name):
            try:
                download(weights.source, part, weights.size, progress, name)
            except DownloadError as error:
                raise WeightsError(
                    f"{name} could not be downloaded from {weights.source}: {error}; try again, or "
                    f"download it by other means and save it as {path}."
                ) from error
            digest = sha256(part)
            if not digest.startswith(weights.sha256):
                part.unlink()
                raise WeightsError(
                    f"the file from {weights.source} is not {name}: {_differs(weights, digest)}; "
                    "it was removed."
                )
            os.replace(part, path)
        _record(path, digest)
    return path


def listing() -> list[Listed]:
    """All weights in the registry: those that come with vidpose, then third-party ones."""
    own = [
        Listed(
            name=name,
            what="PoseFormer: 2D joints to 3D",
            file=path.name,
            size=path.stat().st_size,
            state=SHIPPED,
            path=path,
            source="vidpose itself",
            sha256=sha256(path),
        )
        for name, path in sorted(shipped().items())
    ]
    return own + [_listed(weights) for weights in REGISTRY.values()]


def _listed(weights: Weights) -> Listed:
    path = cache_path(weights.name)
    size, digits = weights.size, weights.sha256
    if len(digits) < 64:
        digits = f"{digits}... (no more is public)" if digits else "not public"
    state = ABSENT if weights.fetchable else ABSENT_BY_HAND
    if os.path.isfile(path):
        size = path.stat().st_size
        try:
            _verify(weights, path)
            state, digits = HERE, _recorded(_record_path(path)) or digits
        except WeightsError:
            state = OTHER
    known = vars(weights) | {"size": size, "sha256": digits}
    return Listed(**known, state=state, path=path)


def _entry(name: str) -> Weights:
    if name in shipped():
        raise UsageError(f"{name} comes with vidpose and need not be downloaded.")
    if name not in REGISTRY:
        raise UsageError(f"there are no weights {name}; choose from {', '.join(REGISTRY)}.")
    return REGISTRY[name]


def _verify(weights: Weights, path: Path) -> None:
    """Verify a file in the cache.

    Its hash is recorded next to it, so that a quarter of a gigabyte is not hashed at every start;
    a file newer than its record is hashed again.

    Raises:
        WeightsError: size or SHA-256 differ from the registry or from the record.
    """
    record = _record_path(path)
    known = _recorded(record)
    if known and record.stat().st_mtime_ns >= path.stat().st_mtime_ns:
        digest = known
    else:
        try:
            digest = sha256(path)
        except OSError as error:
            raise WeightsError(f"{path} cannot be read ({error.strerror}).") from None
    if not digest.startswith(weights.sha256):
        why = _differs(weights, digest)
    elif known and digest != known:
        why = f"it was replaced: its SHA-256 is {digest}, and {record.name} says {known}"
    elif weights.size is not None and path.stat().st_size != weights.size:
        why = f"it has {path.stat().st_size} bytes, not {weights.size}"
    else:
        if not known:
            _record(path, digest)
        return
    raise WeightsError(
        f"{path} is not {weights.name}: {why}; remove it with its .sha256 and run "
        f"`vidpose weights fetch {weights.name}`."
    )


def _differs(weights: Weights, digest: str) -> str:
    return f"its SHA-256 begins {digest[: len(weights.sha256)]}, not {weights.sha256}"


def _record_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _record(path: Path, digest: str) -> None:
    """Write the hash next to the file, in the format of `sha256sum -c`."""
    # In a read-only shared cache, the file is hashed at every start.
    with suppress(OSError, VidposeError), replacing(_record_path(path)) as temporary:
        temporary.write_text(f"{digest}  {path.name}\n")


def _recorded(record: Path) -> str | None:
    """The inverse of `_record`; None if there is no record, or it has no hash."""
    digest = ((small_text(record) or "").split() or [""])[0]
    return digest if len(digest) == 64 and set(digest) <= set("0123456789abcdef") else None


@contextmanager
def _alone(part: Path, name: str) -> Iterator[None]:
    """Prevent two processes from writing the same download.

    Raises:
        WeightsError: another process is downloading it.
    """
    if os.path.lexists(part) and (part.is_symlink() or not part.is_file()):
        raise WeightsError(f"{part} was not written by vidpose; move it away.")
    with open(part, "ab", opener=no_links) as stream:
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise WeightsError(
                    f"another process is downloading {name} to {part.parent}; wait for it to end."
                ) from None
        try:
            yield
        finally:
            if part.is_file() and not part.stat().st_size:
                part.unlink()
