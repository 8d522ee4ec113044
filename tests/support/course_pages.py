"""The answers on a lesson's page, tried on the stack as it is when the lesson is complete.

A comment in an answer's commands is what they print, among other things.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.support.project import ROOT
from tests.support.sandbox import Sandbox
from twinstack.model.plan import Plan, resolve
from twinstack.model.topology_file import load


def answers(day: int) -> list[str]:
    """Give the commands of each answer of a day's page."""
    text = (ROOT / f"docs/course/day-{day}.md").read_text()
    found = re.findall(r"<details>.*?</details>", text, flags=re.S)
    blocks = [re.findall(r"^```sh\n(.*?)^```", each, flags=re.M | re.S) for each in found]
    return ["".join(block) for block in blocks]


def expected(block: str) -> list[str]:
    """Give what an answer's comments say."""
    return [text.strip() for text in re.findall(r"\s# (.+)$", block, flags=re.M)]


def untrue(host: Sandbox, block: str) -> list[str]:
    """Run an answer's commands; name the comments that they do not print."""
    plan = resolve(load(ROOT / "topology.yml"), "flat", host.instance)
    path = f'PATH="{Path(sys.executable).parent}:$PATH"'
    done = host.run("bash", "-c", f"{path}\n{localized(block, plan)}", check=False)
    printed = done.stdout + done.stderr
    return [
        f"{text}: not in {printed}"
        for text in expected(block)
        if not _is_in(localized(text, plan), printed)
    ]


def _is_in(text: str, printed: str) -> bool:
    """Tell whether a text was printed; a number only as a word of its own."""
    return bool(re.search(rf"\b{text}\b", printed)) if text.isdecimal() else text in printed


def localized(text: str, plan: Plan) -> str:
    """Write the test's own instance where a page has instance main, and its Docker addresses."""
    segment = plan.segments[0]
    gateway = plan.published_port("docker", "api-gateway")
    assert gateway is not None
    names = {
        r"\bTS-main-": f"TS-{plan.instance}-",
        r"\btwinstack-main\b": f"twinstack-{plan.instance}",
        r"/main/": f"/{plan.instance}/",
        r"instance=main\b": f"instance={plan.instance}",
        r"\bdk-app\b": segment.docker_bridge,
        r"\b172\.30\.0\.": f"{str(segment.docker_subnet).rpartition('.')[0]}.",
        r":3000\b": f":{gateway.port}",
    }
    for pattern, replacement in names.items():
        text = re.sub(pattern, replacement, text)
    return text
