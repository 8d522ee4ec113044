"""The tour's screens are true: commands that bash reads, names that exist, and no more than fit."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

import tasks
from tests.support.bench_fakes import PLAN
from twinstack.drill.site import Site
from twinstack.errors import WrongUse
from twinstack.policy.permissions import addresses
from twinstack.tour import page
from twinstack.tour.screens import SCREENS, Screen, chosen
from twinstack.world import Endpoint, Link

EACH = pytest.mark.parametrize("screen", SCREENS, ids=[screen.name for screen in SCREENS])


class Running:
    """A world that says what the tour's texts may ask of one that runs."""

    plan = PLAN

    def __init__(self, name: str) -> None:
        self.name: Any = name

    def namespaces(self) -> dict[str, Path | None]:
        return {each.name: Path("/run/netns", each.name) for each in PLAN.here}

    def main_pids(self) -> dict[str, int]:
        return {each.name: 1_000_000 for each in PLAN.here}

    def links(self) -> tuple[Link, ...]:
        return tuple(
            Link(each.host_link, kind, "", segment, each.name)
            for each in PLAN.here
            for kind in ("host end", "inside")
            for segment, _ in addresses(each, self.name)
        )

    def published(self, service: str) -> Endpoint:
        return Endpoint("127.0.0.1", 8080)


def written(screen: Screen) -> tuple[str, list[str]]:
    site = Site(Running(screen.world))  # type: ignore[arg-type]
    return site.written(screen.text), [*map(site.written, screen.commands)]


@EACH
def test_a_screens_commands_are_bash_and_its_names_exist(screen: Screen) -> None:
    text, commands = written(screen)
    assert "{" not in text
    for command in commands:
        subprocess.run(["bash", "-n", "-c", command], check=True)


@EACH
def test_a_screens_tasks_exist_with_the_options_it_gives_them(screen: Screen) -> None:
    for command in written(screen)[1]:
        for line in re.findall(r"invoke ([^|&;]+)", command.replace("\\\n", "")):
            name, *words = line.partition("2>")[0].split()
            options = tasks.namespace[name].get_arguments()
            known = {f"--{each}" for option in options for each in option.names}
            assert {word for word in words if word.startswith("-")} <= known


@EACH
def test_a_screen_is_explained_in_three_to_six_sentences(screen: Screen) -> None:
    assert 3 <= len(re.findall(r"\.(?: |$)", screen.text)) <= 6


@EACH
def test_a_screens_text_leaves_room_for_its_output_in_24_rows(screen: Screen) -> None:
    text, commands = written(screen)
    head = page.head(len(SCREENS), len(SCREENS), screen.title, text, 80)
    typed = [line for command in commands for line in page.typed(command)]
    assert max(map(len, head)) <= 80
    assert page.rows([*head, *typed], 80) + page.room([*head, *typed], 80, 24).left <= 22


def test_screens_have_names_of_their_own_and_a_wrong_one_is_refused() -> None:
    assert len({screen.name for screen in SCREENS}) == len(SCREENS)
    assert chosen("") is SCREENS
    assert [screen.name for screen in chosen("deny, veth")] == ["deny", "veth"]
    with pytest.raises(WrongUse, match="there are namespace, veth"):
        chosen("vet")


def test_what_breaks_something_is_undone_by_what_it_is() -> None:
    """The tour has nothing of its own to put back: chaos has a record; what is killed starts."""
    changing = re.compile(r"\b(iptables -|ip (link|addr|route) (set|add|del)|kill|chaos|net\.\w+)")
    changes = {
        match[0]
        for screen in SCREENS
        for command in screen.commands
        for match in changing.finditer(command)
    }
    assert changes == {"kill", "chaos", "net.status"}
