"""Replacements for imports of MMPose, MMDet and MMCV, which then need no compiler on any Python.

- `mmcv._ext`, MMCV's compiled operations, which `mmcv-lite` does not have. The networks used here
  need only one of them, non-maximum suppression, for which torchvision's is used; all others raise
  an error when called.
- xtcocotools, which has no wheels from Python 3.12 on: see `coco_tools`.
- `pkgutil.find_loader`, which Python 3.14 removed.

If the real module is installed, it is used.
"""

from __future__ import annotations

import importlib.util
import pkgutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from vidpose.errors import MissingDependencyError

if TYPE_CHECKING:
    from torch import Tensor

EXTENSION = "mmcv._ext"
XTCOCOTOOLS = "xtcocotools"
PACKAGES = (
    *("json_tricks", "mmcv", "mmdet", "mmengine", "mmpose", "munkres"),
    *("pkg_resources", "pycocotools", "shapely"),
)
"""Required modules."""
ALONE = tuple(
    line.split()[0]
    for line in Path(__file__).with_name("mmpose.txt").read_text("utf-8").splitlines()
    if line and line[0] not in "# "
)
"""Packages to install without their dependencies; that file says why, and has their hashes."""
INSTALL = f"pip install -e '.[mmpose]' && pip install --no-deps {' '.join(ALONE)}"


def missing_packages() -> list[str]:
    """Return those of `PACKAGES` that are not installed, without importing any."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def check_mmpose() -> None:
    """Check that MMPose is installed, without importing it.

    Raises:
        MissingDependencyError: one of `PACKAGES` is not installed.
    """
    if missing := missing_packages():
        raise MissingDependencyError(
            f"HRNet, CPN and their person boxes need MMPose, of which {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not installed: {INSTALL}"
        )


def prepare_mmpose() -> None:
    """Make MMPose and MMDet importable. Import them inside `quiet`, as they warn about themselves.

    Raises:
        MissingDependencyError: one of `PACKAGES` is not installed.
    """
    check_mmpose()
    provide_ops()
    provide_coco_tools()
    provide_find_loader()


def provide_ops() -> None:
    """Register the stand-in for `mmcv._ext` unless the compiled module is installed."""
    if EXTENSION in sys.modules:
        return
    with quiet():
        compiled = importlib.util.find_spec(EXTENSION)
    if compiled is None:
        sys.modules[EXTENSION] = StandIn()


def provide_coco_tools() -> None:
    """Register `coco_tools` as xtcocotools unless that is installed."""
    if XTCOCOTOOLS in sys.modules or importlib.util.find_spec(XTCOCOTOOLS):
        return
    from vidpose.detect import coco_tools

    package = ModuleType(XTCOCOTOOLS, coco_tools.__doc__)
    package.__path__ = []
    sys.modules[XTCOCOTOOLS] = package
    modules = {"coco": coco_tools, "cocoeval": coco_tools, "mask": coco_tools.mask}
    for name, module in modules.items():
        sys.modules[f"{XTCOCOTOOLS}.{name}"] = module
        setattr(package, name, module)


def provide_find_loader() -> None:
    """Restore `pkgutil.find_loader`, with which MMCV and MMEngine look for compiled operations."""
    if hasattr(pkgutil, "find_loader"):
        return

    def find_loader(fullname: str) -> Any:
        spec = importlib.util.find_spec(fullname)
        return spec and spec.loader

    pkgutil.find_loader = find_loader


class StandIn(ModuleType):
    """Takes the place of `mmcv._ext`."""

    def __init__(self) -> None:
        super().__init__(EXTENSION, "Stands in for MMCV's compiled operations.")
        # MMEngine asks pkgutil for the loader, which fails on a module without a spec.
        self.__spec__ = ModuleSpec(EXTENSION, loader=None)
        self.nms = nms

    def __getattr__(self, op: str) -> Callable[..., Any]:
        if op.startswith("__"):
            raise AttributeError(f"module '{EXTENSION}' has no attribute '{op}'")

        def refuse(*_: object, **__: object) -> None:
            raise MissingDependencyError(
                f"This network needs MMCV's operation '{op}', which mmcv-lite lacks; the full "
                "package has it: pip uninstall mmcv-lite && pip install mmcv==2.1.0 "
                "(it is compiled on installation, which takes some minutes)."
            )

        return refuse


def nms(bboxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Non-maximum suppression with MMCV's signature.

    Args:
        bboxes: (N, 4) x0 y0 x1 y1.
        scores: (N,).
        iou_threshold: drop a box whose IoU with one of higher score exceeds this.
        offset: a box is x1 - x0 + offset wide: 0, or 1 if coordinates are whole pixels.

    Returns:
        int64 indices of the boxes kept, highest score first.
    """
    import torchvision

    if offset:
        bboxes = bboxes + bboxes.new_tensor([0, 0, offset, offset])
    return torchvision.ops.nms(bboxes, scores, iou_threshold)


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress the warnings of MMPose's packages about themselves, which the user cannot fix: about
    pkg_resources, deprecated features of Python and PyTorch, and their own moved modules.
    """
    theirs = r"(mmengine|mmcv|mmdet|mmpose|xtcocotools|pkg_resources)(\.|$)"
    with warnings.catch_warnings():
        for message in ("pkg_resources is deprecated", "torch.meshgrid: in an upcoming release"):
            warnings.filterwarnings("ignore", message, UserWarning)
        for category in (ImportWarning, DeprecationWarning, FutureWarning):
            warnings.filterwarnings("ignore", category=category, module=theirs)
        yield


def build_model(package: str, config: str | Path, scope: str) -> tuple[Any, Any]:
    """Build a model with random weights; also return its config. Nothing is downloaded.

    Args:
        package: the package whose wheel has the config, `mmpose` or `mmdet`.
        config: path of the config in that package.
        scope: the package whose registry has the networks.
    """
    with quiet():
        from mmengine.config import Config
        from mmengine.registry import DefaultScope

        importlib.import_module(f"{scope}.models")  # registers the networks
        models = importlib.import_module(f"{scope}.registry").MODELS
        folder = Path(str(importlib.import_module(package).__file__)).parent
        loaded = Config.fromfile(folder / config)
        loaded.model.backbone.init_cfg = None  # it names a file to download
        with DefaultScope.overwrite_default_scope(scope):
            return models.build(loaded.model), loaded
