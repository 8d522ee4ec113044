"""br_netfilter: the kernel module by which bridges hand their frames to iptables.

Once loaded it does so for every bridge of the host. Where we load it, we turn the host's switches
off at once, so that foreign bridges go on as before; ours ask for it one by one.
"""

from __future__ import annotations

from pathlib import Path

from twinstack.errors import Missing, TwinstackError
from twinstack.linux import process

SWITCHES = tuple(
    f"net.bridge.bridge-nf-call-{kind}" for kind in ("iptables", "ip6tables", "arptables")
)
_SYSCTLS = Path("/proc/sys/net/bridge")


def is_loaded() -> bool:
    """Tell whether bridges can hand frames to iptables."""
    return _SYSCTLS.is_dir()


def load() -> None:
    """Load the module unless it is loaded, leaving foreign bridges alone. Raises: Missing."""
    if is_loaded():
        return
    try:
        process.run(["modprobe", "br_netfilter"])
    except TwinstackError as error:
        cause = error.cause or str(error)
        remedy = "install the kernel's modules, or bring the world up with --no-policy"
        raise Missing("br_netfilter", "cannot be loaded", cause, remedy) from error
    for key in SWITCHES:
        (_SYSCTLS / key.rpartition(".")[2]).write_text("0")
