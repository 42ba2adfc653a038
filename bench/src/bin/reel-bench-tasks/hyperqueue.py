"""Runs no-op tasks on a HyperQueue server and worker in this process: seconds, and the server's processor time.

Arguments: tasks, cores of the worker. Prints two numbers: seconds, and microseconds of the server for each task. The
server and the worker run in threads of their own, which are told apart by when they came.
"""

import pathlib
import sys
import time

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig

TICKS_A_SECOND = 100


def threads():
    """Processor time of each thread so far, in ticks (proc(5), fields 14 and 15)."""
    ticks = {}
    for thread in pathlib.Path("/proc/self/task").iterdir():
        fields = (thread / "stat").read_text().rsplit(")", 1)[1].split()
        ticks[thread.name] = int(fields[11]) + int(fields[12])
    return ticks


def main():
    tasks, cores = int(sys.argv[1]), int(sys.argv[2])
    own = set(threads())
    with LocalCluster() as cluster:
        server = set(threads()) - own
        cluster.start_worker(WorkerConfig(cores=cores))
        client = cluster.client()
        job = Job()
        for _ in range(tasks):
            job.program(["/bin/true"], stdout=None, stderr=None)
        before, begun = threads(), time.monotonic()
        if not client.wait_for_jobs([client.submit(job)]):
            sys.exit("tasks failed")
        seconds, after = time.monotonic() - begun, threads()
        ticks = sum(after.get(thread, 0) - before.get(thread, 0) for thread in server)
        print(f"{seconds} {ticks / TICKS_A_SECOND * 1e6 / tasks}")


main()
