"""br_netfilter: what lets a bridge hand its frames to iptables, for those bridges that ask.

As it is loaded it asks for every bridge of the host. Where we are the ones to load it, the
host's own switches are turned off at once, so that bridges of others go on as before.
"""

from __future__ import annotations

from pathlib import Path

from twinstack.errors import Missing, TwinstackError
from twinstack.linux import process

SWITCHES = tuple(
    f"net.bridge.bridge-nf-call-{kind}" for kind in ("iptables", "ip6tables", "arptables")
)
_PLACE = Path("/proc/sys/net/bridge")


def is_there() -> bool:
    """Tell whether bridges can hand frames to iptables."""
    return _PLACE.is_dir()


def load() -> None:
    """Load it, if it is not there, leaving bridges of others alone. Raises: Missing."""
    if is_there():
        return
    try:
        process.run(["modprobe", "br_netfilter"])
    except TwinstackError as error:
        raise Missing(
            "br_netfilter",
            "cannot be loaded",
            error.cause or str(error),
            "install the kernel's module, or bring the world up with --no-policy",
        ) from error
    for key in SWITCHES:
        (_PLACE / key.rpartition(".")[2]).write_text("0")
