"""Recovery of `vidpose` from kills, full disks, faulty servers, broken videos and damaged files.

    python benchmarks/robustness.py kill [--commands infer train render export fetch]
        [--times 20] [--seconds 8] [--seed 0]
    python benchmarks/robustness.py server [--lies NAME ...]
    python benchmarks/robustness.py batch [--videos 50] [--ways jobs ray]
    python benchmarks/robustness.py disk [--sizes 0 2000 20000 60000 200000] [--tmpfs]
    python benchmarks/robustness.py videos [--mutants 400] [--seed 0]
    python benchmarks/robustness.py data [--cases 10000] [--readers NAME ...]
    python benchmarks/robustness.py guided --reader NAME [--cases 10000]

Checks that take too long for the test suite. The exit code is 1 if anything fails.

- `kill` runs a command, kills it (SIGKILL) at a random moment, every other time after its first
  file exists, and runs it again to completion: `infer` with the embedded detector, a tiny training
  run, `render`, `export` into five formats, and `weights fetch` from a local server. After the kill
  no final file may be partial; after the rerun, the files must equal those of an undisturbed run,
  byte for byte (for `train`: the same weights and errors), with no other files.
- `server` runs `weights fetch` against every faulty response of `tests/lying_server.py`: it must
  report one error within three minutes and leave no file under the final name; a fetch from a
  correct server must then succeed.
- `batch` creates many short videos, two of them broken, and processes them with two processes and
  with Ray. All others must have a result, errors must name the two, the exit code must be 1, and a
  second run must repeat only the two.
- `disk` runs `vidpose infer` with all its outputs under a file size limit, which acts like a full
  disk. It expects one error, exit code 1, no traceback and no partial file, then repeats the run
  without the limit. `--tmpfs` fills a disk in memory instead, of each size except 0 (Linux with
  user namespaces).
- `videos` runs the odd videos of `tests/robustness/videos.py` and damaged ones through all steps,
  with a fake detector.
- `data` damages a valid file of every kind that vidpose reads in so many ways each, far more than
  the property tests, and counts results, errors and other exceptions; any of the last is a failure.
- `guided` lets Atheris search for damage that reaches new lines of vidpose; `pip install
  'vidpose[fuzz]'` first, where it has a wheel.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from common import DEMO, ROOT, argument_parser, run_script
from kills import FREQUENT, VICTIMS, clip, kill, of_one_file

from vidpose.errors import MissingDependencyError, UsageError, VidposeError

SERVER_S = 180.0
"""Time limit; vidpose's own timeouts allow a server at most three attempts of 30 s each."""


def server(folder: Path, names: list[str]) -> bool:
    """Whether every faulty response led to an error, and the next fetch succeeded."""
    from tests.file_server import Site, serving
    from tests.lying_server import CONTENT, LIES, lying

    def fetch(cache: Path, url: str, lie: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            of_one_file(url, CONTENT, size_known=lie.size_known),
            capture_output=True,
            text=True,
            timeout=SERVER_S,
            env={**os.environ, "VIDPOSE_CACHE": str(cache), "no_proxy": "127.0.0.1"},
        )

    right = 0
    chosen = names or list(LIES)
    for number, name in enumerate(chosen):
        lie, cache = LIES[name], folder / f"{number}"
        start = time.monotonic()
        with lying(lie) as url:
            done = fetch(cache, url, lie)
        took = time.monotonic() - start
        errors = done.stderr.splitlines()
        told = errors[-1:] != [] and done.returncode == 1 and "Traceback" not in done.stderr
        told = told and sum(line.startswith("Error: ") for line in errors) == 1
        told = told and re.search(lie.sentence, errors[-1]) is not None
        left = sorted(path.name for path in cache.rglob("*") if path.is_file())
        half = not {"net.pth.part", "net.pth.part.version"}.issuperset(left)
        with serving(Site(CONTENT)) as site:
            again = fetch(cache, site.url, lie)
        now = sorted(path.name for path in cache.rglob("*") if path.is_file())
        healed = again.returncode == 0 and now == ["net.pth", "net.pth.sha256"]
        print(
            f"{name}, {took:.1f} s: {errors[-1] if told else f'UNEXPECTED {done.stderr}'} "
            f"{'LEFT' if half else 'left'}: {', '.join(left) or 'nothing'}; the next fetch "
            f"{'succeeded' if healed else f'FAILED {now} {again.stderr}'}",
            flush=True,
        )
        right += told and not half and healed
    print(f"{right} of {len(chosen)} faulty responses passed")
    return right == len(chosen)


LIMITED = (
    "import resource, sys; "
    "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY)); "
)


ALONE = ["unshare", "--map-root-user", "--mount"]
"""Command prefix for a private mount namespace."""


def resize(place: Path, size: str) -> None:
    """Mount a tmpfs of this size, or resize the existing one."""
    how = f"remount,size={size}" if place.is_mount() else f"size={size}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", how, "tmpfs", place], check=True)


def disk(folder: Path, sizes: list[int], tmpfs: bool) -> bool:
    """Whether every run failed with one error, and succeeded once there was space."""
    video = clip(DEMO, folder / "clip.mkv", 0, 1.0)
    passed = True
    for size in sizes:
        out = folder / f"limit-{size}"
        if tmpfs:
            out.mkdir()
            resize(out, f"{size}")
        options = ["infer", str(video), "-o", str(out), "--render", "--view-html", "--save-2d"]
        options += ["--export", "csv,json"]
        limit = -1 if tmpfs else size  # no limit
        full = [sys.executable, "-c", LIMITED + FREQUENT, str(limit), *options]
        done = subprocess.run(full, capture_output=True, text=True)
        errors = [line for line in done.stderr.splitlines() if not line.startswith("Warning: ")]
        told = len(errors) == 1 and errors[0].startswith("Error: ") and done.returncode == 1
        hidden = [path.name for path in out.rglob(".*") if path.is_file()]
        if tmpfs:
            resize(out, "1g")
        again = subprocess.run(
            [sys.executable, "-c", FREQUENT, *options], capture_output=True, text=True
        )
        ended = again.returncode == 0 and not list(out.glob(".*"))
        ok = told and not hidden and ended
        print(
            f"{size:7} bytes: {errors[0] if told else f'UNEXPECTED {done.stderr}'} "
            f"{hidden or 'nothing'} left; the next run "
            f"{'succeeded' if ended else f'FAILED {again.stderr}'}",
            flush=True,
        )
        passed = passed and ok
        if tmpfs:
            subprocess.run(["umount", out], check=True)
    return passed


def batch(folder: Path, count: int, ways: list[str]) -> bool:
    """Whether both runs with every kind of workers passed."""
    videos = folder / "videos"
    videos.mkdir()
    for n in range(count - 2):
        clip(DEMO, videos / f"{n:03d}.mkv", 0.12 * n, 0.6)  # 0.4 s are too short to find everybody
    (videos / "broken.mp4").write_bytes(DEMO.read_bytes()[:100_000])
    (videos / "text.mp4").write_text("this is no video")
    passed = True
    for way in ways:
        command = [sys.executable, "-m", "vidpose", "infer", str(videos), "-o", str(folder / way)]
        command += ["--jobs", "2"] if way == "jobs" else ["--ray", "local"]
        for run, expected in (
            ("first", f"{count - 2} done, 0 skipped, 2 failed"),
            ("second", f"0 done, {count - 2} skipped, 2 failed"),
        ):
            print(f"{way}, {run} run: ", end="", flush=True)
            passed = batch_run(command, folder / way, count, expected) and passed
    return passed


def batch_run(command: list[str], out: Path, count: int, expected: str) -> bool:
    """Run a batch once, and check its summary, errors, exit code and files."""
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    summary = (done.stdout.splitlines() or [""])[-1]
    named = all(f"{name}.mp4" in done.stderr for name in ("broken", "text"))
    results = len(list(out.glob("*.npz")))
    passed = (
        summary == expected
        and named
        and done.returncode == 1
        and results == count - 2
        and not list(out.glob(".*"))
    )
    print(
        f"{summary}; exit code {done.returncode}, {results} results, the broken ones are "
        f"{'named' if named else 'NOT NAMED'}, {time.monotonic() - start:.0f} s: "
        f"{'passed' if passed else 'FAILED'}",
        flush=True,
    )
    if not passed:
        print(done.stdout, done.stderr)
    return passed


def videos(folder: Path, count: int, seed: int) -> bool:
    """Whether every video gave a result or an error of vidpose."""
    from tests.robustness.videos import CASES, FPS, examine, mutants, tiny_lifter

    lifter = tiny_lifter(folder)
    outcomes: Counter[str] = Counter()

    def one(name: str, path: Path, fps: float | None = None) -> None:
        try:
            outcome = examine(path, lifter, fps)
            what = "an error" if outcome.error else "warnings" if outcome.warnings else "a result"
            outcomes[what] += 1
        except Exception:
            outcomes["FAILED"] += 1
            print(f"{name}:", flush=True)
            traceback.print_exc()

    for number, (name, make) in enumerate(CASES.items()):
        place = folder / f"case{number}"
        place.mkdir()
        one(name, make(place), 30.0 if name in FPS else None)
    for path in mutants(folder, count, seed):
        one(path.name, path)
    print(
        f"{len(CASES)} odd videos and {count} damaged ones: "
        + ", ".join(f"{number} {what}" for what, number in sorted(outcomes.items()))
    )
    return not outcomes["FAILED"]


def data(folder: Path, cases: int, names: list[str]) -> bool:
    """Whether no reader raised anything but vidpose's own errors."""
    from tests.robustness.readers import readers

    passed = True
    for number, reader in enumerate(readers()):
        if names and reader.name not in names:
            continue
        path = folder / str(number) / reader.file
        path.parent.mkdir(parents=True)
        reader.make(path)
        start = time.monotonic()
        counts, others = damage(path, reader, cases)
        print(
            f"{reader.name}: {counts['result']} results, {counts['sentence']} errors, "
            f"{others.total()} other exceptions, {time.monotonic() - start:.0f} s",
            flush=True,
        )
        for what, count in others.items():
            print(f"    {count} times {what}", flush=True)
        passed = passed and not others
    return passed


def damage(path: Path, reader: Any, cases: int) -> tuple[Counter[str], Counter[str]]:
    """Count results and errors of a reader, and other exceptions by source line."""
    from hypothesis import HealthCheck, Phase, given, settings

    from tests.robustness.damage import damaged

    counts: Counter[str] = Counter()
    others: Counter[str] = Counter()

    @settings(
        max_examples=cases,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(damaged(path.read_bytes(), reader.kind))
    def attempt(content: bytes) -> None:
        path.write_bytes(content)
        try:
            reader.read(path)
            counts["result"] += 1
        except VidposeError:
            counts["sentence"] += 1
        except Exception as error:  # count them all, so that one bug does not hide another
            frame = traceback.extract_tb(error.__traceback__)[-1]
            others[f"{type(error).__name__} in {frame.filename}:{frame.lineno}"] += 1

    attempt()
    return counts, others


def guided(folder: Path, name: str, cases: int) -> None:
    """Fuzz a reader with coverage guidance; the first bug ends the program."""
    try:
        import atheris
    except ImportError:
        raise MissingDependencyError(
            "guided needs atheris; run `pip install 'vidpose[fuzz]'`, or use data."
        ) from None
    from hypothesis import HealthCheck, given, settings

    with atheris.instrument_imports(include=["vidpose.datasets", "vidpose.keypoints"]):
        from tests.robustness.damage import damaged
        from tests.robustness.readers import readers
    reader = next((one for one in readers() if one.name == name), None)
    if reader is None:
        raise UsageError(f"--reader {name}: choose {', '.join(map(str, readers()))}.")
    path = folder / reader.file
    path.parent.mkdir(parents=True, exist_ok=True)
    reader.make(path)

    @settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(damaged(path.read_bytes(), reader.kind))
    def attempt(content: bytes) -> None:
        path.write_bytes(content)
        with suppress(VidposeError):
            reader.read(path)

    target: Any = attempt
    atheris.Setup([sys.argv[0], f"-runs={cases}"], target.hypothesis.fuzz_one_input)
    atheris.Fuzz()


def main() -> None:
    parser = argument_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    killing = commands.add_parser("kill")
    killing.add_argument("--commands", nargs="+", choices=VICTIMS, default=list(VICTIMS))
    killing.add_argument("--times", type=int, default=20)
    killing.add_argument("--seconds", type=float, default=8.0, help="of work")
    killing.add_argument("--seed", type=int, default=0)
    liars = commands.add_parser("server")
    liars.add_argument("--lies", nargs="+", default=[], metavar="NAME", help="only these")
    many = commands.add_parser("batch")
    many.add_argument("--videos", type=int, default=50)
    many.add_argument("--ways", nargs="+", choices=["jobs", "ray"], default=["jobs", "ray"])
    filling = commands.add_parser("disk")
    filling.add_argument(
        "--sizes", type=int, nargs="+", default=[0, 2000, 20_000, 60_000, 200_000], help="bytes"
    )
    filling.add_argument("--tmpfs", action="store_true", help="fill a disk in memory")
    filling.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    odd = commands.add_parser("videos")
    odd.add_argument("--mutants", type=int, default=400)
    odd.add_argument("--seed", type=int, default=0)
    files = commands.add_parser("data")
    files.add_argument("--cases", type=int, default=10_000, help="per reader")
    files.add_argument("--readers", nargs="+", default=[], metavar="NAME", help="only these")
    search = commands.add_parser("guided")
    search.add_argument("--reader", required=True, metavar="NAME")
    search.add_argument("--cases", type=int, default=10_000)
    given = parser.parse_args()
    sys.path.insert(0, str(ROOT))  # for imports from tests
    if given.command == "disk" and given.tmpfs and not given.alone:
        again = [sys.executable, *sys.argv, "--alone"]
        sys.exit(subprocess.run([*ALONE, *again]).returncode)
    with tempfile.TemporaryDirectory() as name:
        if given.command == "kill":
            outcomes = [
                kill(Path(name) / command, command, given.times, given.seconds, given.seed)
                for command in given.commands
            ]
            passed = all(outcomes)
        elif given.command == "server":
            passed = server(Path(name), given.lies)
        elif given.command == "disk":
            passed = disk(Path(name), [s for s in given.sizes if s or not given.tmpfs], given.tmpfs)
        elif given.command == "videos":
            passed = videos(Path(name), given.mutants, given.seed)
        elif given.command == "guided":
            guided(Path(name), given.reader, given.cases)
            passed = True
        elif given.command == "data":
            passed = data(Path(name), given.cases, given.readers)
        else:
            passed = batch(Path(name), given.videos, given.ways)
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    run_script(main)
