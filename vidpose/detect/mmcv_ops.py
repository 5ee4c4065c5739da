"""MMPose, MMDet and MMCV without a compiler: what stands in for MMCV's compiled operations.

MMDet and parts of MMPose import `mmcv._ext` on their way in, which `mmcv-lite` does not have.
`provide_ops` registers a module of that name, before they do. Of all its operations the networks
used here need one, non-maximum suppression, and that is torchvision's; every other one raises an
error when it is called. Where the compiled module is installed, it is used.
"""

from __future__ import annotations

import importlib.util
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
PACKAGES = ("json_tricks", "mmcv", "mmdet", "mmengine", "mmpose", "munkres", "xtcocotools")
"""What has to be importable, by module name."""
INSTALL = "pip install -e '.[mmpose]' && pip install --no-deps mmpose==1.3.2"
"""The second by itself: mmpose asks for a package that does not build and that it never imports."""


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


def provide_ops() -> None:
    """Register the stand-in for `mmcv._ext` unless the compiled one is there."""
    if EXTENSION in sys.modules:
        return
    with quiet():
        compiled = importlib.util.find_spec(EXTENSION)
    if compiled is None:
        sys.modules[EXTENSION] = StandIn()


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
