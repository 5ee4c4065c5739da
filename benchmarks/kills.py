"""Kill `vidpose infer`, `train`, `render`, `export` and `weights fetch` at random moments."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import cv2
from common import DEMO, ROOT

from vidpose.poses import save
from vidpose.video import VideoReader

FREQUENT = (
    "import vidpose.detect.cache as cache; cache.STRETCH_S = 0.5; "
    "from vidpose.cli import main; main()"
)
"""`vidpose` with detections cached twice a second, so that a short run can resume."""
TRAINS = "import vidpose.training.loop as loop; loop.SAVE_S = 0.2; "
"""Save a training run five times a second instead of every ten minutes."""
FETCHES = (
    "import sys; import vidpose.zoo.registry as zoo; url, digest, size = sys.argv[1:4]; "
    "del sys.argv[1:4]; zoo.REGISTRY = {'net': zoo.Weights(name='net', what='a network', "
    "file='net.pth', source=url, sha256=digest, size=int(size) or None)}; "
)
"""Replace the registry by one file at a given address."""
TRAINING = (
    "--dataset h36m --keypoints gt --train-subjects S1,S5 --test-subjects S9 --val-fraction 0.1 "
    "--frames 9 --embed-dim 16 --depth 2 --batch 256 --epochs 4 --lr 1e-3 --device cpu"
)
PLAIN = "from vidpose.cli import main; main()"
POLL_S = 0.002
TRIES = 3
"""Maximum number of runs per kill; some runs end before they are killed."""


def clip(video: Path, out: Path, start_s: float, seconds: float, width: int = 884) -> Path:
    """Write a part of a video at a smaller size."""
    with (
        VideoReader(video, start_s, start_s + seconds) as reader,
        av.open(str(out), "w") as container,
    ):
        stream = container.add_stream("libx264", rate=round(reader.fps))
        size = width, width * reader.size[1] // reader.size[0] // 2 * 2
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for frame in reader:
            image: Any = cv2.resize(frame.image, size)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))
    return out


def same_bytes(ours: Path, theirs: Path) -> bool:
    return ours.read_bytes() == theirs.read_bytes()


@dataclass(frozen=True)
class Victim:
    """A command to kill, and the checks of its files."""

    command: Callable[[Path], list[str]]
    """Returns the command line for an output folder, which may hold files of a killed run."""
    final: tuple[str, ...]
    """The files in the folder after a complete run."""
    environment: Callable[[Path], dict[str, str]] = lambda out: {}
    same: Callable[[Path, Path], bool] = same_bytes
    """Whether a final file, or the folder for the name ".", equals that of an undisturbed run."""
    whole: Callable[[Path, Path], bool] = same_bytes
    """Whether a final file of a killed run is complete; by default, whether it is the same."""
    compared: tuple[str, ...] = field(default=())
    """The arguments of `same`; by default all final files."""
    besides: tuple[str, ...] = ()
    """Allowed names other than the final files."""
    resumes: tuple[str, ...] = ()
    """Glob patterns of the files from which the next run resumes."""

    def run(self, out: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(out),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), **self.environment(out)},
        )

    def files(self, out: Path) -> list[str]:
        """The names of all files except `besides`."""
        found = (path.relative_to(out) for path in out.rglob("*") if path.is_file())
        return sorted(str(p) for p in found if p.parts[0] not in self.besides)


def program(before: str, *arguments: str | Path) -> list[str]:
    return [sys.executable, "-c", before, *map(str, arguments)]


@contextmanager
def infers(folder: Path, seconds: float) -> Iterator[Victim]:
    video = clip(DEMO, folder / "clip.mkv", 0, seconds)
    yield Victim(
        lambda out: program(FREQUENT, "infer", video, "-o", out),
        final=("clip.npz",),
        resumes=(".*.partial/*",),
    )


@contextmanager
def renders(folder: Path, seconds: float) -> Iterator[Victim]:
    video = clip(DEMO, folder / "clip.mkv", 0, seconds, 640)
    subprocess.run(
        program(PLAIN, "infer", video, "-o", folder), check=True, capture_output=True, cwd=ROOT
    )
    yield Victim(
        lambda out: program(PLAIN, "render", folder / "clip.npz", "-o", out / "a.mp4"),
        final=("a.mp4",),
    )


@contextmanager
def exports(folder: Path, seconds: float) -> Iterator[Victim]:
    from tests.results import make_result

    result = folder / "a.npz"
    save(make_result(1, round(1000 * seconds)), result)
    forms = ("csv", "json", "trc", "bvh", "glb")
    yield Victim(
        lambda out: program(
            PLAIN, "export", result, "--to", ",".join(forms), "-o", out, "--axes", "camera"
        ),
        final=("a.csv", "a.glb", "a.json", "a_person1.bvh", "a_person1.trc"),
    )


@contextmanager
def trains(folder: Path, seconds: float) -> Iterator[Victim]:
    from tests.training.runs import assert_same_run
    from vidpose.datasets.synthetic import write_synthetic
    from vidpose.models import load_checkpoint
    from vidpose.training.run_folder import RunFolder

    data = folder / "data"
    write_synthetic(data, seconds=seconds, actions=["Walking"], subjects=["S1", "S5", "S9"])

    def command(out: Path) -> list[str]:
        resume = ["--resume"] * (out / "state.pt").exists()
        return program(
            TRAINS + PLAIN, "train", *TRAINING.split(), "--data", data, "--out", out, *resume
        )

    def same(ours: Path, theirs: Path) -> bool:
        try:
            assert_same_run(ours, theirs)
        except AssertionError:
            return False
        return True

    def whole(ours: Path, theirs: Path) -> bool:
        """A readable file of the same or an earlier epoch is complete."""
        if ours.suffix == ".safetensors":
            load_checkpoint(ours)
        elif ours.name == "state.pt":
            RunFolder(ours.parent).read()
        elif ours.name == "log.csv":
            lines, all_lines = ours.read_text().splitlines(), theirs.read_text().splitlines()
            return [one.rpartition(",")[0] for one in lines] == [
                one.rpartition(",")[0] for one in all_lines[: len(lines)]
            ]
        return True

    yield Victim(
        command,
        final=("best.safetensors", "curve.png", "last.safetensors", "log.csv", "state.pt"),
        same=same,
        whole=whole,
        compared=(".",),
        besides=("tensorboard",),
        resumes=("state.pt",),
    )


def of_one_file(url: str, content: bytes, *, size_known: bool = True) -> list[str]:
    """The command line of `vidpose weights fetch` with a registry of one file."""
    digest = hashlib.sha256(content).hexdigest()
    arguments = url, digest, f"{len(content) if size_known else 0}"
    return program(FETCHES + PLAIN, *arguments, "weights", "fetch", "net")


@contextmanager
def fetches(folder: Path, seconds: float) -> Iterator[Victim]:
    from tests.file_server import PIECE, Site, serving

    content = random.Random(0).randbytes(5_000_000)
    pause_s = seconds / 4 / (len(content) / PIECE)
    with serving(Site(content, pause_s=pause_s)) as site:
        yield Victim(
            lambda out: of_one_file(site.url, content),
            final=("weights/net.pth", "weights/net.pth.sha256"),
            environment=lambda out: {"VIDPOSE_CACHE": str(out), "no_proxy": "127.0.0.1"},
            resumes=("weights/*.part",),
        )


VICTIMS = {
    "infer": infers,
    "train": trains,
    "render": renders,
    "export": exports,
    "fetch": fetches,
}


def kill(folder: Path, name: str, times: int, seconds: float, seed: int) -> bool:
    """Kill a command many times; whether no partial file was left and every rerun was right."""
    folder.mkdir()
    with VICTIMS[name](folder, seconds) as victim:
        undisturbed = folder / "undisturbed"
        undisturbed.mkdir()
        begun = time.monotonic()
        job = victim.run(undisturbed)
        writes_after = _wait_for_a_file(job, undisturbed) - begun
        _, errors = job.communicate()
        took = time.monotonic() - begun
        if job.returncode or victim.files(undisturbed) != sorted(victim.final):
            print(f"{name}: {victim.files(undisturbed)} {errors}")
            return False
        print(f"{name}, undisturbed: {took:.1f} s, writes after {writes_after:.1f}", flush=True)
        moments = random.Random(seed)
        hits, wrong = 0, 0
        quicker = 1.0
        for number in range(TRIES * times):
            # Kill every other run only after its first file: most of a short command is start-up.
            waits = bool(hits % 2)
            latest = took - writes_after if waits else took
            moment = quicker * moments.uniform(0, latest)
            place = folder / f"killed-{number}"
            hit, passed = _kill_once(victim, place, undisturbed, moment, waits)
            hits += hit
            wrong += not passed
            if not hit:  # run times vary on a busy machine
                quicker *= 0.8
            if hits == times:
                break
        print(f"{name}: {hits} kills, {wrong} failures", flush=True)
    return hits == times and not wrong


def _wait_for_a_file(job: subprocess.Popen[str], out: Path) -> float:
    """Wait until the first file exists or the job has ended; return the time."""
    while job.poll() is None and not any(path.is_file() for path in out.rglob("*")):
        time.sleep(POLL_S)
    return time.monotonic()


def _kill_once(
    victim: Victim, out: Path, undisturbed: Path, moment: float, waits: bool
) -> tuple[bool, bool]:
    """Whether a run was killed before its end, and whether it and the next run passed."""
    out.mkdir()
    job = victim.run(out)
    if waits:
        _wait_for_a_file(job, out)
    time.sleep(moment)
    killed = job.poll() is None
    job.kill()
    job.communicate()
    left = victim.files(out)
    half = [
        file
        for file in left
        if file in victim.final and not _succeeds(victim.whole, out / file, undisturbed / file)
    ]
    goes_on = sum(len(list(out.glob(pattern))) for pattern in victim.resumes)
    hidden = sum(file not in victim.final for file in left)
    again = victim.run(out)
    _, errors = again.communicate()
    ended = not again.returncode
    clean = victim.files(out) == sorted(victim.final)
    compared = victim.compared or victim.final
    same = ended and clean and all(victim.same(out / f, undisturbed / f) for f in compared)
    since = "first file" if waits else "start"
    when = f"{'killed' if killed else 'had ended'} {moment:5.1f} s after the {since}"
    print(
        f"{when}: left {len(left)} files, {hidden} under temporary names, "
        f"{f'PARTIAL {half}' if half else 'none partial'}; the next run "
        f"{'succeeded' if ended else f'FAILED {errors}'}{' and resumed' if goes_on else ''}, "
        f"{'no other files' if clean else f'OTHER FILES {victim.files(out)}'}, "
        f"{'same' if same else 'DIFFERENT'} result",
        flush=True,
    )
    return killed, not half and ended and clean and same


def _succeeds(check: Callable[[Path, Path], bool], ours: Path, theirs: Path) -> bool:
    """The check's result; False, with a message, if it raises an error."""
    try:
        return check(ours, theirs)
    except Exception as error:
        print(f"{ours}: {error}")
        return False
