"""Take the cluster of an instance away: engines, data, hosts; by their names and marks alone.

No plan, no file and no engine that answers is needed. It goes on past failures and reports all of
them at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

from twinstack.compose.engine import require_root
from twinstack.compose.failures import RAW, as_ours
from twinstack.errors import SeveralFailed, StepFailed
from twinstack.model.placement import Host
from twinstack.reconcile import UNWATCHED, Progress, Watch, watched
from twinstack.software.building import remove_tree
from twinstack.state.lock import locked, remove_run
from twinstack.state.paths import InstancePaths
from twinstack.swarm import engines, hosts
from twinstack.swarm.nodes import Node, data_directory, node, pin, run_directory
from twinstack.swarm.observe import known_nodes


def down(instance: str, *, progress: Progress, watch: Watch = UNWATCHED) -> tuple[str, ...]:
    """Remove all of it and name what was removed. Raises: Locked, SeveralFailed."""
    require_root(f"Swarm {instance}", "it has engines and hosts")
    removed: list[str] = []
    failures: list[Exception] = []
    with locked(InstancePaths(instance), "swarm"):
        nodes = [_node(instance, name) for name in known_nodes(instance)]
        running = set[str]()  # what marks them is kept, so that the next one finds them
        for one in nodes:
            running.add(one.name)
            with _going_on(watch, f"engine {one.name}: stop", failures):
                engines.stop(one)
                running.discard(one.name)
        with _going_on(watch, "shared files: restore", failures):
            engines.restore_files(nodes)
        for one in (one for one in nodes if one.name not in running):
            with _going_on(watch, f"engine {one.name}: remove", failures):
                if engines.remove(one):
                    removed.append(f"engine {one.name}")
                    progress(f"engine {one.name}: removed")
        for name in hosts.present(instance):
            with _going_on(watch, f"host {name}: remove", failures):
                hosts.remove(instance, name)
                removed.append(f"namespace {name}")
        with _going_on(watch, "files: remove", failures):
            for directory in (data_directory(instance), run_directory(instance)):
                if not failures and remove_tree(directory):
                    removed.append(str(directory))
            _remove_empty(data_directory(instance).parent)
        remove_run(InstancePaths(instance), "swarm")
    if failures:
        obj = f"swarm.down {instance}"
        raise failures[0] if len(failures) == 1 else SeveralFailed(obj, failures)
    return tuple(removed)


def remove_node(instance: str, name: str) -> None:
    """Remove one node: its engine, its data, its host."""
    engines.stop(_node(instance, name))
    engines.remove(_node(instance, name))
    if pin(instance, name).name in hosts.present(instance):
        hosts.remove(instance, pin(instance, name).name)


def _node(instance: str, name: str) -> Node:
    """Give a node by its name alone: where its things are follows from it."""
    return node(instance, Host(name, IPv4Address(0)), manager=False)


@contextmanager
def _going_on(watch: Watch, step: str, failures: list[Exception]) -> Iterator[None]:
    try:
        with watched(watch, step):
            yield
    except RAW as error:
        failures.append(as_ours(error, step))
    except OSError as error:
        failures.append(StepFailed(step, "fails", str(error)))
    except Exception as error:
        failures.append(error)


def _remove_empty(directory: Path) -> None:
    try:
        directory.rmdir()
    except OSError:
        return
