"""Jobs on a real Ray of two workers: same results, same errors, and nothing that others could reach."""

from __future__ import annotations

import importlib.util
import math
import operator
import os
import signal
import socket
import subprocess
import sys
import timeit
from collections.abc import Iterator
from concurrent.futures import CancelledError, Executor

import pytest

from legion_core.bundle import PolicyBundle
from legion_core.cluster import RayPool, job_pool
from legion_core.config import load_yaml
from legion_core.errors import ClusterError, ConfigurationError
from legion_core.evaluation import Evaluation, evaluate_direct
from legion_core.workers import run_jobs

WORKERS, ENDLESS = 2, 10**12
# Looking for Ray must not import it: the pool has to set its environment first.
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with job_pool(WORKERS, "local") as workers:
        yield workers


@needs_ray
def test_results_come_in_the_order_of_the_jobs(pool: Executor) -> None:
    assert list(run_jobs(pool, math.factorial, range(50), "", progress=False)) == list(map(math.factorial, range(50)))
    assert pool.submit(int, "11", base=2).result() == 3


@needs_ray
def test_jobs_run_elsewhere_on_one_thread(pool: Executor) -> None:
    assert pool.submit(os.getpid).result() != os.getpid()
    assert pool.submit(os.getenv, "OMP_NUM_THREADS").result() == "1"


@needs_ray
def test_a_jobs_error_surfaces_as_it_was_raised(pool: Executor) -> None:
    with pytest.raises(ZeroDivisionError, match="division by zero") as caught:
        pool.submit(operator.truediv, 1, 0).result()
    assert "in _call" in str(caught.value.__cause__), "the worker's traceback is kept"
    with pytest.raises(ConfigurationError, match=r"cannot read /nowhere\.yaml"):
        list(run_jobs(pool, load_yaml, ["/nowhere.yaml"] * 3, "", progress=False))


@needs_ray
def test_a_lost_worker_is_an_error_and_the_others_go_on(pool: Executor) -> None:
    with pytest.raises(ClusterError, match="a worker of the Ray cluster was lost"):
        pool.submit(os._exit, 3).result()
    assert pool.submit(math.sqrt, 4.0).result() == 2


@needs_ray
def test_cancelled_jobs_make_room(pool: Executor) -> None:
    endless = [pool.submit(timeit.timeit, "pass", number=ENDLESS) for _ in range(2 * WORKERS)]
    assert all(job.cancel() for job in endless)
    with pytest.raises(CancelledError):
        endless[0].result()
    assert list(pool.map(math.sqrt, [4.0, 9.0])) == [2, 3]


@needs_ray
def test_nobody_else_can_reach_it(pool: Executor) -> None:
    psutil = pytest.importorskip("psutil")
    pool.submit(os.getpid).result()
    this = psutil.Process()
    listening = [
        (process.name(), connection.laddr)
        for process in (this, *this.children(recursive=True))
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= WORKERS, "Ray's processes are looked at"
    assert all(address.ip.removeprefix("::ffff:").startswith("127.") for _, address in listening), listening


@needs_ray
def test_an_evaluation_has_the_same_episodes_there(pool: Executor, random_bundle: PolicyBundle) -> None:
    pytest.importorskip("metaworld")

    def outcomes(evaluation: Evaluation) -> list[tuple[str, int, bool, int]]:
        return [(e.task, e.seed, e.success, e.steps) for e in evaluation.episodes]

    asked = {"tasks": ["push", "reach"], "episodes": 2, "progress": False}
    there = evaluate_direct(random_bundle, **asked, pool=pool)  # type: ignore[arg-type]
    here = evaluate_direct(random_bundle, **asked, processes=WORKERS)  # type: ignore[arg-type]
    assert outcomes(there) == outcomes(here)


VISITOR = """
import sys, timeit
from legion_core.cluster import RayPool
from legion_core.workers import run_jobs
if __name__ == "__main__":
    with RayPool(sys.argv[1], 1) as pool:
        print(*run_jobs(pool, abs, [-1, -2], "", False), flush=True)
        list(pool.map(timeit.timeit, ["pass"] * 4, ["pass"] * 4, [timeit.default_timer] * 4, [10**12] * 4))
"""


@needs_ray
def test_a_cluster_is_found_by_its_address_and_left_by_ctrl_c(pool: Executor) -> None:
    import ray

    address = ray.get_runtime_context().gcs_address
    environment = os.environ | {"RAY_AUTH_MODE": "token"}
    visitor = subprocess.Popen(
        [sys.executable, "-c", VISITOR, address],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert visitor.stdout is not None
    assert visitor.stdout.readline() == "1 2\n"
    visitor.send_signal(signal.SIGINT)
    _, complaints = visitor.communicate(timeout=60)
    assert visitor.returncode != 0 and "KeyboardInterrupt" in complaints
    assert list(pool.map(math.sqrt, [4.0, 9.0])) == [2, 3], "its endless jobs are gone"


HASTY = """
import sys, timeit
from legion_core.cluster import RayPool
if __name__ == "__main__":
    with RayPool(sys.argv[1], 1) as pool:
        pool.submit(timeit.timeit, "pass", number=10**12)
        raise ZeroDivisionError("in the middle of handing jobs out")
"""


@needs_ray
def test_an_error_while_jobs_are_handed_out_waits_for_none(pool: Executor) -> None:
    import ray

    visitor = subprocess.run(
        [sys.executable, "-c", HASTY, ray.get_runtime_context().gcs_address],
        env=os.environ | {"RAY_AUTH_MODE": "token"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "ZeroDivisionError" in visitor.stderr
    assert list(pool.map(math.sqrt, [4.0, 9.0])) == [2, 3], "its endless job is gone"


@needs_ray
def test_no_jobs_after_the_end(pool: RayPool) -> None:
    """The last test here: it ends the Ray that the others share."""
    job = pool.submit(math.sqrt, 4.0)
    pool.shutdown()
    assert job.result(timeout=0) == 2, "it waited"
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(math.sqrt, 4.0)


@pytest.mark.parametrize("address", ["somewhere", "host:port", "host:99999", ":6379", "ray://host", "http://host:80"])
def test_another_kind_of_address(address: str) -> None:
    with pytest.raises((ConfigurationError, ClusterError), match=r"ray address = .*HOST:PORT|Name or service"):
        RayPool(address, 1)


@pytest.mark.parametrize("kind", ["", "ray://"])
def test_nobody_at_the_address(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"{kind}127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ClusterError, match=f"no Ray cluster at {address}: Connection refused"):
        RayPool(address, 1)


def test_without_ray_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'legion_ros\[ray\]'"):
        RayPool("local", 1)


def test_local_processes_are_the_default() -> None:
    with job_pool(1) as pool:
        assert list(run_jobs(pool, math.sqrt, [4.0, 9.0], "", progress=False)) == [2, 3]
    with pytest.raises(ConfigurationError, match="processes = 0"):
        job_pool(0)
