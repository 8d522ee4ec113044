"""A host of the race's own: a network and a mount namespace in which everything happens.

Nothing of it can meet what is on the machine, and all of it ends with its last process.
"""

from __future__ import annotations

#: Our files under /run are the host's own; the base tables of iptables are there beforehand, as
#: on any host that has used it.
_PREPARE = """
mount -t tmpfs -o mode=755 tmpfs /run
ip link set lo up
for table in raw nat filter; do iptables -t $table -S > /dev/null; done
sysctl -qw net.ipv4.ip_forward=0  # a new namespace takes over the machine's
exec "$@"
"""


def words(*command: str) -> list[str]:
    """Give the words that run a command in a fresh host."""
    own = ["unshare", "--net", "--mount", "--propagation", "private", "--"]
    return [*own, "sh", "-euc", _PREPARE, "sh", *command]
