"""Scheduling of the control path: ahead of other processes where this one may, and never so that it takes the machine.

What is asked for is round robin (SCHED_RR) below the priorities of ros2_control and the FRI driver; where only that is
allowed, a negative nice value; else nothing. Two limits of the kernel keep a node that spins from doing harm:
`sched_rt_runtime_us` leaves a share of every processor to all others, and a thread that runs for `SPIN_S` without ever
waiting is ended with SIGXCPU (RLIMIT_RTTIME), which the starter answers as it answers every death of a node.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import sys
import threading
from enum import Enum
from pathlib import Path

PRIORITIES = {
    "watchdog_node": 24,
    "mujoco_node": 23,  # it plays the robot, which waits for nobody
    "sim2real_node": 22,
    "policy_node": 21,
    "real2sim_node": 21,
}
"""Who can stop the arm comes before who moves it. The FRI driver's threads have 30 and 80, ros2_control's 50."""
NICE = -15
SPIN_S = 3.0
"""Nothing in the control path is busy for so long without waiting for a message or a timer."""
HOW_TO_GET_IT = (
    "add '<user> - rtprio 99' and '<user> - memlock unlimited' to /etc/security/limits.d/legion.conf and log in again;"
    " containers: --cap-add=SYS_NICE --ulimit rtprio=99 --ulimit memlock=-1"
)
MCL_CURRENT, MCL_ONFAULT = 1, 4
"""Of mlockall(2): what is mapped now, each page from its first use on."""


class Grant(str, Enum):
    """What the kernel allows."""

    ROUND_ROBIN = "real-time round robin"
    NICE = "raised nice priority"
    NONE = "ordinary scheduling"


def prioritise(priority: int) -> str:
    """Put every thread of this process at the real-time `priority` and keep its memory. Returns what was granted.

    To be called once there is work: the start may take its time. Threads and processes made later are ordinary ones.
    """
    if sys.platform != "linux":
        return Grant.NONE.value
    _bound_spinning()
    grant = min((_grant(thread, priority) for thread in _threads()), key=list(Grant).index)
    if grant is Grant.NONE:
        return f"{grant.value}; 'legion doctor' says how to get more"
    if grant is Grant.NICE:  # with autogroups a nice value counts among the processes of its session alone
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text(f"{NICE}\n", encoding="ascii")
        return Grant.NICE.value
    return f"{grant.value}, priority {priority}{', memory locked' if _lock_memory() else ''}"


def obtainable() -> Grant:
    """What `prioritise` would be granted: tried on a thread that ends at once."""
    if sys.platform != "linux":
        return Grant.NONE
    grants: list[Grant] = []
    thread = threading.Thread(target=lambda: grants.append(_grant(threading.get_native_id(), 1)))
    thread.start()
    thread.join()
    return grants[0]


def memory_lockable() -> bool:
    """Whether `prioritise` may keep this process out of swap, as far as the limits tell."""
    return os.geteuid() == 0 or resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY


def _bound_spinning() -> None:
    limit, (_, hard) = int(SPIN_S * 1e6), resource.getrlimit(resource.RLIMIT_RTTIME)
    resource.setrlimit(resource.RLIMIT_RTTIME, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _threads() -> list[int]:
    return [int(folder.name) for folder in Path("/proc/self/task").iterdir()]


def _grant(thread: int, priority: int) -> Grant:
    with contextlib.suppress(OSError):
        os.sched_setscheduler(thread, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
        return Grant.ROUND_ROBIN
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, NICE)
        return Grant.NICE
    return Grant.NONE


def _lock_memory() -> bool:
    """Only what is mapped now: under a finite limit, locking what comes later would make allocations fail."""
    error: int = ctypes.CDLL(None).mlockall(MCL_CURRENT | MCL_ONFAULT)
    return error == 0
