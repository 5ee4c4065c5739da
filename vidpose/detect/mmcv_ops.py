"""MMPose, MMDet and MMCV without a compiler and on any Python: what stands in for what they import.

- `mmcv._ext`, MMCV's compiled operations, which `mmcv-lite` does not have. Of all of them the
  networks used here need one, non-maximum suppression, and that is torchvision's; every other one
  raises an error when it is called.
- xtcocotools, which has no wheel from Python 3.12 on: see `coco_tools`.
- `pkgutil.find_loader`, which Python 3.14 no longer has.

Where the real thing is installed, it is used.
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
"""What has to be importable, by module name."""
ALONE = tuple(
    line.split()[0]
    for line in Path(__file__).with_name("mmpose.txt").read_text("utf-8").splitlines()
    if line and line[0] not in "# "
)
"""What pip installs without its dependencies; that file says why, and has their hashes."""
INSTALL = f"pip install -e '.[mmpose]' && pip install --no-deps {' '.join(ALONE)}"


def missing_packages() -> list[str]:
    """Those of `PACKAGES` that are not installed; nothing is imported to find out."""
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]


def prepare_mmpose() -> None:
    """Make MMPose and MMDet importable. Import them inside `quiet`, as they warn about themselves.

    Raises:
        MissingDependencyError: a package of theirs is not installed.
    """
    if missing := missing_packages():
        raise MissingDependencyError(
            f"HRNet, CPN and their person boxes need MMPose, of which {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not installed: {INSTALL}"
        )
    provide_ops()
    provide_coco_tools()
    provide_find_loader()


def provide_ops() -> None:
    """Register the stand-in for `mmcv._ext` unless the compiled one is there."""
    if EXTENSION in sys.modules:
        return
    with quiet():
        compiled = importlib.util.find_spec(EXTENSION)
    if compiled is None:
        sys.modules[EXTENSION] = StandIn()


def provide_coco_tools() -> None:
    """Register `coco_tools` as xtcocotools unless that is there."""
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
    """MMCV and MMEngine ask with it whether there are compiled operations."""
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
                "(it compiles itself, for some minutes)."
            )

        return refuse


def nms(bboxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Non-maximum suppression as MMCV's.

    Args:
        bboxes: (N, 4) x0 y0 x1 y1.
        scores: (N,).
        iou_threshold: a box that overlaps a better one by more than this is dropped.
        offset: a box is x1 - x0 + offset wide: 0, or 1 where coordinates mean whole pixels.

    Returns:
        int64 positions of the boxes kept, best first.
    """
    import torchvision

    if offset:
        bboxes = bboxes + bboxes.new_tensor([0, 0, offset, offset])
    return torchvision.ops.nms(bboxes, scores, iou_threshold)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what MMPose's packages warn about in themselves from the user, who cannot change it:
    their use of pkg_resources, of what Python and PyTorch are giving up, and of modules of their
    own that have moved.
    """
    theirs = r"(mmengine|mmcv|mmdet|mmpose|xtcocotools|pkg_resources)(\.|$)"
    with warnings.catch_warnings():
        for message in ("pkg_resources is deprecated", "torch.meshgrid: in an upcoming release"):
            warnings.filterwarnings("ignore", message, UserWarning)
        for category in (ImportWarning, DeprecationWarning, FutureWarning):
            warnings.filterwarnings("ignore", category=category, module=theirs)
        yield


def build_model(package: str, config: str | Path, scope: str) -> tuple[Any, Any]:
    """A model with random weights, and its config. Nothing is downloaded.

    Args:
        package: in whose wheel the config lies, `mmpose` or `mmdet`.
        config: the path in there.
        scope: whose networks it names.
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
