"""Jobs on the machines of a Ray cluster, behind the interface of local processes."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from concurrent.futures import Executor, Future
from types import TracebackType
from typing import Any, TypeVar

from legion_core.config import require
from legion_core.errors import ClusterError, ConfigurationError
from legion_core.workers import THREAD_LIMITS, worker_pool

LOCAL, AUTO, CLIENT = "local", "auto", "ray://"
ADDRESSES = f"{LOCAL}, {AUTO}, HOST:PORT or {CLIENT}HOST:PORT"
CONNECT_S = 5.0
"""How long the head of a cluster may take to answer."""

Result = TypeVar("Result")


def job_pool(processes: int, ray_address: str | None = None) -> Executor:
    """Workers for `run_jobs`: that many local processes, or those of the Ray cluster at an address (see RayPool)."""
    require(processes > 0, "processes", processes, "> 0")
    return RayPool(ray_address, processes) if ray_address else worker_pool(processes)


class RayPool(Executor):
    """The workers of a Ray cluster, one processor each.

    A job is a plain function of a module that can be imported where it runs, with arguments that can be pickled:
    legion_ros must be installed, in the same version, on every machine. Nothing is shipped but the jobs.
    A job whose worker is lost is not run again, as it may have left something behind.

    Args:
        address: `local` starts workers on this machine that only it can reach, `auto` finds the cluster of which
            this machine is a part, HOST:PORT names that cluster's head, ray://HOST:PORT the door for outsiders.
        processes: how many workers `local` starts; a cluster has as many as processors.

    Raises:
        ConfigurationError: no such kind of address, or Ray is not installed.
        ClusterError: there is no cluster at the address.
    """

    def __init__(self, address: str, processes: int) -> None:
        self._ray = _connect(address, processes)
        self._call = self._ray.remote(num_cpus=1, max_retries=0)(_call)
        self._lock = threading.Lock()
        self._pending: set[Future[Any]] = set()
        self._closed = False

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """The result of fn(*args, **kwargs) in the future, or the worker's exception as it was raised."""
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            reference = self._call.remote(fn, args, kwargs)
            future: Future[Result] = _Job(lambda: self._ray.cancel(reference))
            self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        reference.future().add_done_callback(lambda answer: _settle(future, answer))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster when all jobs are done; without `wait`, at the end of the process."""
        with self._lock:
            self._closed = True
            pending = list(self._pending)
        if cancel_futures:
            for future in pending:
                future.cancel()
        if wait:
            futures.wait([future for future in pending if not future.cancelled()])
            self._ray.shutdown()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Whatever goes wrong, Ctrl-C in the middle of handing jobs out included, nobody waits for jobs any more."""
        self.shutdown(cancel_futures=kind is not None)


class _Job(Future[Result]):
    """A future that can also be cancelled while its job runs."""

    def __init__(self, stop: Callable[[], None]) -> None:
        super().__init__()
        self._stop = stop

    def cancel(self) -> bool:
        cancelled = super().cancel()
        if cancelled:
            self._stop()
        return cancelled


def _call(function: Callable[..., Result], arguments: Sequence[Any], named: Mapping[str, Any]) -> Result:
    """What a worker runs."""
    return function(*arguments, **named)


def _settle(future: Future[Any], answer: Future[Any]) -> None:
    """Hand Ray's answer on."""
    if not future.set_running_or_notify_cancel():
        return
    error = answer.exception()
    if error is None:
        future.set_result(answer.result())
    else:
        future.set_exception(_surfaced(error))


def _surfaced(error: BaseException) -> BaseException:
    """The exception that the job raised, or a ClusterError if it could not run."""
    from ray.exceptions import RayError

    cause = getattr(error, "cause", None)
    if isinstance(cause, Exception) and not isinstance(cause, RayError):
        cause.__cause__ = error  # it holds the traceback of the worker
        return cause
    lost = ClusterError(f"a worker of the Ray cluster was lost: {_short(error)}")
    lost.__cause__ = error
    return lost


def _connect(address: str, processes: int) -> Any:
    """The ray module, connected."""
    if address == AUTO:
        address = os.environ.get("RAY_ADDRESS", AUTO)
    host = "" if address in (LOCAL, AUTO) else _reach(address)
    _prepare(private=address == LOCAL or host.startswith("127.") or host in ("localhost", "::1"), wait=address == LOCAL)
    try:
        import ray
    except ImportError as error:
        raise ConfigurationError("Ray is not installed; install it with: pip install 'legion_ros[ray]'") from error
    settings: dict[str, Any] = {"num_cpus": processes, "include_dashboard": False} if address == LOCAL else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **settings)
    except (Exception, SystemExit) as error:  # whatever keeps it from connecting
        hint = "" if address == LOCAL else "; if it asks for a token, set RAY_AUTH_MODE=token"
        raise ClusterError(f"no Ray cluster at {address}: {_short(error)}{hint}") from error
    if address == LOCAL and not ray.get_runtime_context().gcs_address.startswith("127."):
        ray.shutdown()
        raise ClusterError("Ray was imported before, and would listen to other machines; start it in a new process")
    return ray


def _reach(address: str) -> str:
    """The host of HOST:PORT, if somebody listens there; Ray itself would keep trying for minutes."""
    host, _, port = address.removeprefix(CLIENT).rpartition(":")
    require(bool(host) and port.isdecimal() and 0 < int(port) < 2**16, "ray address", address, ADDRESSES)
    host = host.strip("[]")
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except OSError as error:
        raise ClusterError(f"no Ray cluster at {address}: {error.strerror or error}") from error
    return host


def _prepare(private: bool, wait: bool) -> None:
    """Set what Ray reads from the environment, most of it once, when it is imported.

    With `private` it uses the loopback address: otherwise it replaces that by the machine's public one, where it
    listens to everybody. Without `wait` it gives up within half a minute where something else than Ray listens.
    """
    settings = dict.fromkeys(THREAD_LIMITS, "1") | {"RAY_USAGE_STATS_ENABLED": "0"}
    if not wait:
        settings |= {"RAY_NUM_REDIS_GET_RETRIES": "2", "RAY_py_gcs_connect_timeout_s": "5"}
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    if private:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"


def _short(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}{': ' + lines[0] if lines else ''}"
