"""What the tests of Ray share: a cluster on this machine, a head without CPUs and nodes that come and go."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

STORE, MEMORY = 80 << 20, 2 << 30  # bytes of a node, for objects and for tasks


class Nodes:
    """A cluster whose nodes can be killed and replaced."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.workers: list[Any] = []

    @property
    def address(self) -> str:
        return self.cluster.address

    def add(self, environment: Mapping[str, str] | None = None) -> str:
        """Add a node with one CPU, and ``environment`` for it and its tasks; returns the start of its number."""
        size = {"num_cpus": 1, "object_store_memory": STORE, "memory": MEMORY}
        added = self.cluster.add_node(**size, env_vars=dict(environment or {}))
        self.workers.append(added)
        self.cluster.wait_for_nodes()
        return added.node_id[:8]

    def two(self) -> None:
        """Let there be two of them, both there."""
        while len(self.workers) < 2:
            self.add()

    def kill(self, node_id: str) -> None:
        """Kill all processes of the node whose number begins so."""
        (node,) = (node for node in self.workers if node.node_id.startswith(node_id))
        self.workers.remove(node)
        self.cluster.remove_node(node, allow_graceful=False)


def begun_on(folder: Path) -> dict[str, list[str]]:
    """Of every task's log: the numbers of the nodes that it was begun on, in order."""
    logs = (folder / "out.mp4.videostyle" / "logs").glob("*.log")
    return {log.stem: re.findall(r"begun on .*\((\w{8})\)", log.read_text()) for log in logs}
