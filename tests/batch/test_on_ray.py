from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.batch.many import check_a_lost_worker, check_many_at_a_time, run
from tests.clips import make_clip
from vidpose.batch.on_ray import run_on_ray


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    yield
    ray.shutdown()


@pytest.mark.usefixtures("ray")
def test_many_at_a_time(folder: Path, alone: dict[str, Any], tmp_path: Path) -> None:
    check_many_at_a_time(("--ray", "local"), folder, alone, tmp_path)


@pytest.mark.usefixtures("ray")
def test_a_lost_worker_is_a_failure_with_a_name(tmp_path: Path) -> None:
    check_a_lost_worker(lambda jobs: run_on_ray(jobs, "local"), tmp_path)


def test_no_ray_cluster_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def init(**_: Any) -> None:  # the real one tries for a minute
        raise ConnectionError("nobody answers")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    make_clip(tmp_path / "a.mp4")
    result = run(tmp_path, "-o", tmp_path / "out", "--ray", "10.0.0.1:6379")
    assert result.exit_code == 2
    assert "--ray 10.0.0.1:6379: there is no Ray cluster (nobody answers)" in result.stderr
    assert "start one with `ray start --head`, or give --ray local" in result.stderr
