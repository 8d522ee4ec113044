"""How many packets each world's policy has denied so far, by the counter of its DROP rule."""

from __future__ import annotations

import re
from collections.abc import Iterable

from twinstack.errors import TwinstackError
from twinstack.linux import process
from twinstack.model import names
from twinstack.model.topology import WorldName

_COMMAND = ("iptables-save", "-c", "-t", "filter")
_RULE = re.compile(r"\[(\d+):\d+\] -A (\S+) .*-j DROP")
_TIMEOUT_S = 2.0


def parse(saved: str, instance: str, worlds: Iterable[WorldName]) -> dict[WorldName, int]:
    """Read the counts from iptables-save -c; a world without a policy is left out. Pure."""
    chains = {names.chain(instance, "DENY", world): world for world in worlds}
    matches = (_RULE.match(line) for line in saved.splitlines())
    return {chains[match[2]]: int(match[1]) for match in matches if match and match[2] in chains}


def read(instance: str, worlds: Iterable[WorldName]) -> dict[WorldName, int]:
    """Read the counts of worlds on this host; nothing where iptables cannot be read."""
    try:
        return parse(process.run(_COMMAND, timeout_s=_TIMEOUT_S).stdout, instance, worlds)
    except TwinstackError:
        return {}
