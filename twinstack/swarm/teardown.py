"""Remove an instance's cluster: engines, data, hosts; by their names and marks alone.

Needs no plan, no file and no engine that answers. Goes on past failures and reports them all.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from twinstack.compose.engine import require_root
from twinstack.compose.failures import RAW, as_ours
from twinstack.errors import TwinstackError
from twinstack.reconcile import UNWATCHED, Progress, Teardown, Watch
from twinstack.software.building import remove_tree
from twinstack.state.lock import locked, remove_run
from twinstack.state.paths import InstancePaths
from twinstack.swarm import engines, hosts
from twinstack.swarm.nodes import SwarmPaths, node_named, pin
from twinstack.swarm.observe import known_nodes


def down(instance: str, *, progress: Progress, watch: Watch = UNWATCHED) -> tuple[str, ...]:
    """Remove all of it and name what was removed. Raises: Locked, SeveralFailed."""
    require_root(f"Swarm {instance}", "it has engines and hosts")
    job, paths = Teardown(watch, 'run "invoke swarm.down" again', translate), SwarmPaths(instance)
    with locked(InstancePaths(instance), "swarm"):
        nodes = [node_named(instance, name) for name in known_nodes(instance)]
        # An engine that does not stop keeps its files, so that the next `down` finds it.
        stopped = []
        for node in nodes:
            progress(f"engine {node.name}: removing")
            if job.remove(f"engine {node.name}: stop", partial(engines.stop, node), report=False):
                stopped.append(node)
        restore = partial(engines.restore_files, nodes)
        job.remove("files that engines share: restore", restore, report=False)
        for node in stopped:
            job.remove(f"engine {node.name}", partial(engines.remove, node))
        for name in hosts.present(instance):
            job.remove(f"namespace {name}", partial(hosts.remove, instance, name))
        for directory in (paths.lib, paths.run):
            if not job.failures:
                job.remove(str(directory), partial(remove_tree, directory))
        with suppress(OSError):  # other worlds may keep their data beside it
            paths.lib.parent.rmdir()
        remove_run(InstancePaths(instance), "swarm")
    return job.finish(f"swarm.down {instance}")


def remove_node(instance: str, name: str) -> None:
    """Remove one node: its engine, its data, its host."""
    node = node_named(instance, name)
    engines.stop(node)
    engines.remove(node)
    if pin(instance, name).name in hosts.present(instance):
        hosts.remove(instance, pin(instance, name).name)


def translate(error: Exception, obj: str) -> TwinstackError | None:
    """Turn an error of the engine's clients into ours."""
    return as_ours(error, obj) if isinstance(error, RAW) else None
