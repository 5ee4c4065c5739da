"""A disk that fills while something is written: one sentence, and nothing half-written."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import json, resource, sys
from pathlib import Path

import numpy as np

from tests.dataset_files import make_checkpoint
from tests.detect.test_cache import KEY, frame
from tests.results import make_result
from tests.training.runs import TINY
from vidpose.detect.cache import DetectionCache
from vidpose.errors import VidposeError
from vidpose.export import export
from vidpose.keypoints import write_2d
from vidpose.models import save_checkpoint
from vidpose.poses import save
from vidpose.render import render_video
from vidpose.skeleton import COCO17
from vidpose.training.run_folder import RunFolder, RunState
from vidpose.utils.npz import write_pickled_npz
from vidpose.viewer.page import write_page
import torch

out = Path(sys.argv[1])
result = make_result(2, 60)
noise = np.random.default_rng(0).random((99, 99))

def detections():
    with DetectionCache(out / "a.npz", KEY, COCO17) as cache:
        for index in range(99):
            cache.add(frame(index))
        cache.write(None)

def state():
    model = {"weight": torch.rand(99, 99)}
    RunFolder(out).save(RunState(), TINY, {}, {"model": model})

writers = {
    "result": lambda: save(result, out / "a.npz"),
    "2D joints": lambda: write_2d(result, out / "a.2d.npz", {}),
    "checkpoint": lambda: save_checkpoint(out / "a.safetensors", make_checkpoint()),
    "state of a run": state,
    "dataset": lambda: write_pickled_npz(out / "data.npz", {"x": noise}),
    "detections": detections,
    "picture": lambda: render_video(result, None, out / "a.mp4"),
    "page": lambda: write_page(result, out / "a.html"),
    **{
        name: lambda name=name: export(result, out / f"a.{name}", name)
        for name in ("csv", "json")
    },
}
# The system answers as on a full disk, except for the number of the error.
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
told = {}
for name, write in writers.items():
    try:
        write()
        told[name] = "was written"
    except VidposeError as error:
        told[name] = str(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
left = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
print(json.dumps([told, left]))
"""


def test_every_writer(tmp_path: Path) -> None:
    """Nothing on standard error: what is freed later must not fail a second time."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    told, left = json.loads(done.stdout.splitlines()[-1])
    for name, message in told.items():
        assert "cannot be written: it exceeds the maximum file size there" in message, name
    assert left == []
    assert done.stderr == ""
