"""Run jobs as tasks of a Ray cluster.

Ray finds the machines, queues the tasks and reports lost workers. Videos and results go through a
file system that all machines share.
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
    """Yield the outcomes of all jobs as they arrive.

    Args:
        jobs: their paths are made absolute.
        address: of the cluster, for `ray.init`; `local` starts one on this machine.

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
            raise UsageError(
                f"--ray {address}: there is no Ray cluster ({str(error).rstrip('.')}); start one "
                f"with `ray start --head`, or give --ray {LOCAL} to use this machine alone."
            ) from None
    # The job of a lost worker fails, as on one machine; it is not silently restarted.
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
                # With the paths as given, not the absolute ones.
                yield replace(outcome, video=job.video, target=job.target)
            except ray.exceptions.RayError as error:
                why = str(error).strip().splitlines()[0]
                reason = LOST.format(job.video, why)
                yield Outcome(job.video, job.target, "failed", reason=reason)


_WORKER: Worker | None = None


def _work(job: Job) -> Outcome:
    """Run a job in a Ray worker process, which serves many tasks and keeps its networks."""
    global _WORKER
    _WORKER = _WORKER or Worker()
    return _WORKER(job)


def _absolute(job: Job) -> Job:
    """Return the same job with absolute paths."""
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
    """Return the absolute path of a file; weights shipped with vidpose keep their name."""
    if weights is None or str(weights) in shipped() or not Path(weights).is_file():
        return weights
    return str(Path(weights).absolute())
