"""The tasks of the Docker world."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from invoke.context import Context

from front import invocation, live, logs, tables
from front.reporting import answer, end, say, show_preview, show_removed, show_states, task
from twinstack import stack
from twinstack.errors import NOT_SO
from twinstack.model import bounds
from twinstack.world import require_root

if TYPE_CHECKING:
    from twinstack.compose.world import DockerWorld


@dataclass(frozen=True, slots=True)
class RenderedFiles:
    """The files that were rendered; with --check, those that are stale."""

    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BuiltImages:
    """The images that were built."""

    images: tuple[str, ...]


@task(help={"check": "write nothing; exit 1 if a file is stale"})
def docker_render(_: Context, check: bool = False, json: bool = False) -> None:
    """Render dockerfiles/ and compose/docker-compose.yml from the topology."""
    here = replace(stack.from_environment(), instance="main")  # what is committed is main's
    stale = _stale_files(here)
    if not check:
        for name, text in stale.items():
            path = here.repository / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    lines = [f"{'stale' if check else 'rendered'} {name}" for name in stale]
    text = "\n".join(lines) or "Every rendered file is up to date."
    answer(json, RenderedFiles(tuple(stale)), text, NOT_SO if check and stale else 0)


def _stale_files(here: stack.Stack) -> dict[str, str]:
    from twinstack.compose.render import render_files

    stale = {}
    for name, text in render_files(here.plan()).items():
        path = here.repository / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale[name] = text
    return stale


@task()
def docker_build(_: Context, shape: str | None = None, json: bool = False) -> None:
    """Build the images and secrets that `docker-compose up -d` needs."""
    images = stack.from_environment().docker(shape).build(progress=say)
    text = "\n".join(images) or "Every image is up to date."
    answer(json, BuiltImages(tuple(images)), text)


@task()
def docker_up(
    _: Context,
    shape: str | None = None,
    timeout: int = bounds.UP_TIMEOUT_S,
    limits: bool = True,
    policy: bool = True,
    json: bool = False,
) -> None:
    """Bring the Docker world up and wait until every service is healthy."""
    bounds.timeout(timeout)
    world = stack.from_environment().docker(shape, limited=limits, policy=policy)
    show_states(world.up(timeout_s=timeout, progress=say), json)


@task()
def docker_plan(
    _: Context,
    shape: str | None = None,
    limits: bool = True,
    policy: bool = True,
    json: bool = False,
) -> None:
    """Show what docker.up would do, each step with its reason and commands; changes nothing."""
    require_root("docker.plan")
    world = stack.from_environment().docker(shape, limited=limits, policy=policy)
    show_preview(world.preview(), json)


@task()
def docker_down(_: Context, json: bool = False) -> None:
    """Take the Docker world down; PostgreSQL's volume stays."""
    from twinstack.compose.teardown import down

    show_removed(down(stack.from_environment().instance, progress=say), json)


@task()
def docker_status(_: Context, json: bool = False) -> None:
    """Show each container's state; exits 1 if one is not healthy, 2 if none is there."""
    states = stack.from_environment().docker().status()
    show_states(states, json, tables.exit_code(states))


docker_restart, docker_scale, docker_release = live.tasks("docker")


@task()
def docker_exec(_: Context, service: str) -> None:
    """Run a command in a service's container: docker.exec SERVICE -- COMMAND."""
    command = invocation.command_after_dashes("docker.exec")
    end(_docker_with_engine().exec(service, command))


def _docker_with_engine() -> DockerWorld:
    """Give the running world. Raises: Missing at once, before all is loaded, without an engine."""
    from twinstack.compose.engine_paths import is_absent, no_engine

    here = stack.from_environment()
    if is_absent():
        raise no_engine()
    return here.docker()


docker_logs = logs.task_of("docker", lambda: (_docker_with_engine(), None))
