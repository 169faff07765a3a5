"""Work of all sorts for the pool: quick, slow, too hard, and deadly. Run in worker processes, by name."""

import multiprocessing
import os
import signal
import time


def do(job: bytes) -> bytes:
    """`echo …`, `pid`, `nice`, `sleep SECONDS`, `burn SECONDS`, `die SIGNAL`, `exit`, `big BYTES`; NUL ends it."""
    what, _, rest = job.partition(b"\0")[0].partition(b" ")
    match what:
        case b"echo":
            return rest
        case b"pid":
            return str(os.getpid()).encode()
        case b"nice":
            return str(os.nice(0)).encode()
        case b"parent":
            parent = multiprocessing.parent_process()
            return str(parent.pid if parent else 0).encode()
        case b"sleep":
            time.sleep(float(rest))
        case b"burn":
            end = time.process_time() + float(rest)
            while time.process_time() < end:
                pass
        case b"die":
            os.kill(os.getpid(), int(rest))
            signal.pause()
        case b"exit":
            raise SystemExit(3)
        case b"big":
            return b"x" * int(rest)
    return b"done"
