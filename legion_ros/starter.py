"""Runs the deployment graph as processes: for machines where ROS 2 comes from PyPI and has no launch.

Each node is a process group of its own. A node says on a pipe when it is ready; one that dies is started again or ends
the graph as its `NodeSpec` says; whatever ends this process (kill -9 included) ends the nodes.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType

import yaml

from legion_core.errors import DeploymentError
from legion_core.parent import die_with_parent
from legion_ros.deployment import PACKAGE, NodeSpec
from legion_ros.domain import claim_robot
from legion_ros.ready import READY_FD
from legion_ros.security import enclave_arguments
from legion_ros.signals import ending_signals, signals_wait

GRACE_S = ((signal.SIGINT, 3.0), (signal.SIGTERM, 2.0), (signal.SIGKILL, 2.0))
"""How a process is asked to end, and how long each request is given."""


class NodeProcess:
    """One node of the graph and the process that runs it now."""

    def __init__(self, spec: NodeSpec, folder: Path) -> None:
        self.spec = spec
        self.log = folder / f"{spec.name}.log"
        self.ready = False
        self.lost = False
        self.restarts = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: int | None = None
        self._started_at = self._restart_at = 0.0

    @property
    def pid(self) -> int | None:
        """Process id; None while no process runs."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process; what it prints goes to `log`."""
        listen, tell = os.pipe()
        environment = {**os.environ, READY_FD: str(tell)}
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)  # who tidies up may have deleted it
            with self.log.open("ab") as log, signals_wait():
                self._process = subprocess.Popen(
                    _command(self.spec, self.log.parent),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    pass_fds=(tell,),
                    start_new_session=True,
                    preexec_fn=partial(die_with_parent, os.getpid()),
                )
        except OSError as error:
            os.close(listen)
            raise DeploymentError(f"cannot start {self.spec.name}: {error.strerror}: {error.filename}") from error
        finally:
            os.close(tell)
        self._pipe, self._started_at = listen, time.monotonic()
        # programs of other packages do not know the pipe
        self.ready = self.spec.package != PACKAGE

    def poll(self) -> str | None:
        """Look after the process once. Returns what happened, if anything did."""
        if self._process is None:
            if not self.lost and time.monotonic() >= self._restart_at:
                self.start()
            return None
        code = self._process.poll()
        if code is not None:
            return self._on_exit(code)
        if not self.ready and self._pipe is not None and select.select([self._pipe], [], [], 0)[0]:
            self.ready = bool(os.read(self._pipe, 16))
            return f"{self.spec.name} is ready" if self.ready else None
        return None

    def _on_exit(self, code: int) -> str:
        self._forget()
        self.ready = False
        why = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        delay_s = None
        if self.spec.respawn:
            self.restarts = self.spec.respawn.restarts(self.restarts, time.monotonic() - self._started_at)
            delay_s = self.spec.respawn.delay(code, self.restarts)
        if delay_s is None:
            self.lost = True
            return f"{self.spec.name} {why}{self._last_words()}"
        self.restarts += 1
        self._restart_at = time.monotonic() + delay_s
        return f"{self.spec.name} {why}; it starts again in {delay_s:.1f} s"

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole process group."""
        if self._process and self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def ended(self) -> bool:
        """Whether no process runs."""
        return self._process is None or self._process.poll() is not None

    def _forget(self) -> None:
        self._process = None
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None

    def _last_words(self) -> str:
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return f" (its log is gone: {self.log})"
        words = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f": {words.removeprefix(self.spec.name + ': ')} (log: {self.log})"


class Starter:
    """The running graph; a context manager that leaves no process behind.

    Raises:
        DeploymentError: a deployment runs already in this domain and namespace, or a program is not installed.
    """

    def __init__(self, graph: Sequence[NodeSpec], folder: Path | None = None) -> None:
        self.folder = folder or log_folder()
        self._lock = claim_robot(graph[0].namespace)
        self.processes = [NodeProcess(spec, self.folder) for spec in graph if _installed(spec)]

    def __enter__(self) -> Starter:
        try:
            for process in self.processes:
                process.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __getitem__(self, name: str) -> NodeProcess:
        return next(process for process in self.processes if process.spec.name == name)

    def poll(self) -> list[str]:
        """Look after every process once: restarts, readiness. Returns what happened, one line each.

        Raises:
            DeploymentError: a process that the graph cannot do without is lost.
        """
        events = []
        for process in self.processes:
            event = process.poll()
            if event and process.lost and process.spec.critical:
                raise DeploymentError(event)
            if event:
                events.append(event)
        return events

    @property
    def ready(self) -> bool:
        """Whether every process that is not lost does its work."""
        return all(process.ready or process.lost for process in self.processes)

    def wait_ready(self, timeout_s: float = 120.0) -> Iterator[str]:
        """Wait until every node is ready, yielding what happens.

        Raises:
            DeploymentError: a node is lost or is not ready in time.
        """
        deadline = time.monotonic() + timeout_s
        while not self.ready:
            yield from self.poll()
            if time.monotonic() > deadline:
                late = ", ".join(process.spec.name for process in self.processes if not process.ready)
                raise DeploymentError(f"not ready after {timeout_s:.0f} s: {late} (logs: {self.folder})")
            time.sleep(0.02)

    def stop(self) -> None:
        """End every process: politely first, then not. An impatient Ctrl-C does not interrupt it."""
        with ending_signals(signal.SIG_IGN):
            for number, grace_s in GRACE_S:
                for process in self.processes:
                    process.signal(number)
                deadline = time.monotonic() + grace_s
                while time.monotonic() < deadline and not all(process.ended() for process in self.processes):
                    time.sleep(0.02)
        self._lock.close()


def _command(spec: NodeSpec, folder: Path) -> list[str]:
    """The command line of a node. Parameters go through a file: it can hold every text as it is."""
    program = [sys.executable, "-m", f"{PACKAGE}.nodes.{spec.executable}"]
    if spec.package != PACKAGE:
        program = [_find(spec) or spec.executable]
    own = folder / f"{spec.name}.params.yaml"
    # the full name, unlike a wildcard, wins over every section of the files before
    section = {f"{spec.namespace}/{spec.name}": {"ros__parameters": spec.parameters}}
    own.write_text(yaml.safe_dump(section), encoding="utf-8")
    command = [*program, *spec.arguments, "--ros-args", *enclave_arguments(spec.namespace, spec.name)]
    if spec.namespace:
        command += ["-r", f"__ns:={spec.namespace}"]
    for source, target in spec.remappings:
        command += ["-r", f"{source}:={target}"]
    for file in (*spec.params_files, str(own)) if spec.parameters else spec.params_files:
        command += ["--params-file", file]
    return command


def _installed(spec: NodeSpec) -> bool:
    if spec.package == PACKAGE or _find(spec):
        return True
    if spec.optional:
        return False
    raise DeploymentError(f"{spec.executable} is not installed; it comes with a ROS 2 installation")


def _find(spec: NodeSpec) -> str | None:
    """The program of another package: in an ament prefix, or on PATH."""
    prefixes = [p for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    folders = [str(Path(prefix) / "lib" / spec.package) for prefix in prefixes]
    return shutil.which(spec.executable, path=os.pathsep.join([*folders, os.environ.get("PATH", "")]))


def log_folder() -> Path:
    """Where a deployment that starts now keeps its logs."""
    home = Path(os.environ.get("ROS_LOG_DIR") or Path(os.environ.get("ROS_HOME", Path.home() / ".ros")) / "log")
    return home / f"legion-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
