"""Jobs as tasks of a Ray cluster.

Ray finds the machines, queues the tasks and tells of workers that are lost. Videos and results go
through the file system, which all machines share.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from vidpose.batch.job import Job, Outcome, Worker
from vidpose.errors import MissingDependencyError, UsageError
from vidpose.zoo.registry import shipped

LOST = "{}: its Ray worker was lost ({}); run it again"
LOCAL = "local"


def run_on_ray(jobs: list[Job], address: str) -> Iterator[Outcome]:
    """The outcomes of all jobs, as they come in.

    Args:
        jobs: their paths are made absolute.
        address: of the cluster, as `ray.init` wants it; `local` starts one on this machine.

    Raises:
        MissingDependencyError: Ray is not installed.
        UsageError: there is no cluster at the address.
    """
    try:
        import ray as installed
    except ImportError:
        raise MissingDependencyError(
            "--ray needs Ray, which is not installed: pip install 'vidpose[ray]'"
        ) from None
    ray: Any = installed
    ours = not ray.is_initialized()
    if ours:
        more = {"include_dashboard": False} if address == LOCAL else {}
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", **more)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UsageError(f"--ray {address}: there is no Ray cluster ({error}).") from None
    # A lost worker's job failed, as on one machine; it is not begun again without a word.
    task = ray.remote(num_cpus=1, max_retries=0)(_work)
    gpus = 1 if ray.cluster_resources().get("GPU", 0) >= 1 else 0
    running = {
        task.options(num_gpus=0 if job.options.lift.device == "cpu" else gpus).remote(
            _absolute(job)
        ): job
        for job in jobs
    }
    try:
        yield from _outcomes(ray, running)
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
        if ours:
            ray.shutdown()


def _outcomes(ray: Any, running: dict[Any, Job]) -> Iterator[Outcome]:
    while running:
        ready, _ = ray.wait(list(running), num_returns=1)
        for reference in ready:
            job = running.pop(reference)
            try:
                outcome = ray.get(reference)
                # Told as they were named here.
                yield replace(outcome, video=job.video, target=job.target)
            except ray.exceptions.RayError as error:
                why = str(error).strip().splitlines()[0]
                reason = LOST.format(job.video, why)
                yield Outcome(job.video, job.target, "failed", reason=reason)


_WORKER: Worker | None = None


def _work(job: Job) -> Outcome:
    """What runs on a machine. Ray keeps a process for many tasks, and this keeps its networks."""
    global _WORKER
    _WORKER = _WORKER or Worker()
    return _WORKER(job)


def _absolute(job: Job) -> Job:
    """The same job with paths that mean the same wherever it runs."""
    detector, lift = job.options.detector, job.options.lift
    options = replace(
        job.options,
        detector=replace(
            detector,
            pose_weights=_file(detector.pose_weights),
            person_weights=_file(detector.person_weights),
        ),
        lift=replace(lift, weights=_file(lift.weights)),
    )
    return replace(job, video=job.video.absolute(), target=job.target.absolute(), options=options)


def _file(weights: Any) -> Any:
    """The absolute path of a file; weights that every machine has go by their name."""
    if weights is None or str(weights) in shipped() or not Path(weights).is_file():
        return weights
    return str(Path(weights).absolute())
