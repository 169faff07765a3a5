"""A worker process: does one job after the other for the service, and ends with it however that ends."""

import gc
import importlib
import multiprocessing
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

NICE = 10
"""Where processors are short, tasks go before their tokens are counted."""

Work = Callable[[bytes], bytes]


def serve(pipe: Connection, name: str, cpu_s: int) -> None:
    """Answer jobs until the other end is gone.

    Args:
        name: of the function that makes an answer of a job; it never raises.
        cpu_s: seconds of processor time that a job may take. Then the kernel ends the process (SIGXCPU), whatever
            it is at.
    """
    os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is meant for the service, which ends us
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    module, _, function = name.rpartition(".")
    work: Work = getattr(importlib.import_module(module), function)
    gc.freeze()
    while True:
        try:
            job = pipe.recv_bytes()
            _allow(cpu_s)
            pipe.send_bytes(work(job))
        except (EOFError, OSError):
            return


def _allow(cpu_s: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(time.process_time()) + cpu_s + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _end_with_parent() -> None:
    """A service that was killed cannot end us, and a job may take long."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
