"""What `docker.down` and `docker.clean` do, as a list decided from what bears our label.

Pure: `holding` says what there is, the list says in which order it goes.
"""

from __future__ import annotations

from collections.abc import Iterator

from twinstack.compose.facts import Holding
from twinstack.compose.steps import Step

#: What is told as removed; the others are a means, or an order whose outcome the engine decides.
_TOLD = frozenset({"container", "network", "volume", "image", "secrets", "policy"})


def down_steps(holding: Holding) -> tuple[Step, ...]:
    """List what `down` removes: data, secrets and images stay."""
    return (*_running(holding), *_files(holding))


def clean_steps(holding: Holding) -> tuple[Step, ...]:
    """List what `clean` removes: all that is ours. The engine is asked last, when it is empty."""
    return (
        *_running(holding),
        *(
            Step("volume", name, "remove", command=f"docker volume rm {name}")
            for name in holding.volumes
        ),
        *(Step("image", tag, "remove", command=f"docker rmi {tag}") for tag in holding.images),
        *(
            Step("build stage", name, "remove", command=f"docker rmi {name}")
            for name in holding.stages
        ),
        *(Step("image", tag, "remove", command=f"docker rmi {tag}") for tag in holding.bases),
        *([Step("engine", holding.engine, "stop")] if holding.engine else []),
        *(Step("secrets", path, "remove", command=f"rm -r {path}") for path in holding.kept),
        *_files(holding),
    )


def told(step: Step) -> str | None:
    """Give how a step that was taken is reported, or None when it says so itself."""
    return f"{step.kind} {step.name}" if step.kind in _TOLD else None


def _running(holding: Holding) -> Iterator[Step]:
    for name in holding.containers:
        yield Step("container", name, "remove", command=f"docker rm --force --volumes {name}")
    for name in holding.networks:
        yield Step("network", name, "remove", command=f"docker network rm {name}")
    if holding.policy:  # last: until then nothing that runs is open
        yield Step("policy", "rules", "remove", command="iptables-restore --noflush")


def _files(holding: Holding) -> Iterator[Step]:
    for path in holding.rendered:
        yield Step("file", path, "remove", command=f"rm -r {path}")
    for path in holding.run:
        yield Step("run files", path, "remove", command=f"rm -r {path}")
