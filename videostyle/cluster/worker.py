"""A worker process of this machine: tasks come in by stdin, outcomes go out by stdout, pickled, one after the other.

    python -m videostyle.cluster.worker NODE [CORE,CORE,...]

It has a session of its own, so that Ctrl-C in a terminal reaches the program that hands out the tasks alone.
"""

import os
import pickle
import sys
from contextlib import suppress
from typing import BinaryIO


def main(node: str, cores: str = "") -> None:
    """Carry out tasks until there are no more."""
    if cores and hasattr(os, "sched_setaffinity"):
        with suppress(OSError):
            os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    outcomes = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints goes to the log
    serve(node, os.fdopen(0, "rb"), outcomes)


def serve(node: str, tasks: BinaryIO, outcomes: BinaryIO) -> None:
    """Carry out what ``tasks`` holds, and tell ``outcomes``."""
    from videostyle.cluster.task import carry_out  # torch is loaded on the worker's own cores

    with suppress(EOFError, BrokenPipeError):
        while True:
            task = pickle.load(tasks)
            pickle.dump(carry_out(task, node), outcomes)
            outcomes.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
