"""Plant each cause in the world that is up here, once, and say what was there; run in a sandbox.

Prints one JSON document: by cause what held before, while it was planted and after, and what the
host looked like before and after all of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from bench.engine import loads, worlds
from bench.questions.causes import CAUSES, LIMITED, place_in, planted
from twinstack.linux.cgroup import ControlGroup
from twinstack.stack import from_environment


def main() -> None:
    stack = from_environment()
    world = stack.net()
    place = place_in(world)

    def host() -> dict[str, Any]:
        saved = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True)
        rules = saved.stdout.splitlines()
        pid = world.main_pids()[LIMITED]
        return {
            "rules": sorted(line for line in rules if line[0] not in ":#"),
            "nginx": place.nginx_conf.read_text(),
            "cpus": ControlGroup.of(pid).limits().cpus,
            "steps": [change.step.name for change in world.preview().changes],
            "running": sorted(world.main_pids()),
        }

    before, seen = host(), {}
    for cause in CAUSES:
        was = cause.is_there(place)
        with planted(place, cause):
            during = cause.is_there(place)
            answered = len(loads.get_ok(place.entry, "/api/products"))
        seen[cause.name] = [was, during, cause.is_there(place), answered > 100]
    entry = place.entry == world.endpoint(worlds.EDGE)
    json.dump({"seen": seen, "before": before, "after": host(), "entry": entry}, sys.stdout)


if __name__ == "__main__":
    main()
