"""What the gate holds files against: each rule's number, title and remedy; pure data.

Numbers are those of CIS Docker Benchmark v1.6.0 (v1.7.0 and v1.8.0 count alike); titles are ours.
T rules go beyond CIS. T1 makes the others worth something: what no rule has looked at is a finding,
so that a key of a later Compose cannot pass unseen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as a rule wants it."""

    rule: str
    file: str
    where: str  # a service, or a line
    what: str  # what is written there
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}: {self.where}: {self.what}; {self.remedy}"


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the plan allows, by replica."""

    bases: frozenset[str]  # base images
    images: Mapping[str, str]
    published: Mapping[str, frozenset[str]]  # as bind:port:container port
    ports: Mapping[str, int]  # the port that it listens on
    secrets: Mapping[str, frozenset[str]]  # keys in the compose document


_USER = ("Containers run as a user of their own, not root", "say USER uid:gid, both not 0")
_BASES = ("Only declared base images", "build here; declare bases in topology.yml: software.bases")
_SSHD = ("No sshd", 'leave it out: "invoke docker.exec" leads into a container')
_PORTS = ("Only declared ports are open", "declare it in topology.yml: host_ports, port")
_HOST_NETWORK = ("The host's network is not shared", "leave network_mode out, and name networks")
_RESTARTS = ("Restarts are counted: on-failure, at most 5", "say restart: on-failure:5")
_ULIMITS = ("No ulimit is lifted", "give each ulimit a bound, or leave it to the engine")
_USERNS = ("The host's user namespace is not asked for", "leave userns_mode out")
_UNSEEN = ("Nothing is written that no rule looks at", "leave it out, or check it in twinstack/cis")
_OFFLINE = (
    "Builds reach no network, and have no privilege",
    "say build.network: none, no flag",
)
_NAMESPACES = ("Containers share no namespace with each other", "leave it out")
_CLOSED = ("Networks are closed bridges of our own", "say driver: bridge, without IPv6")
_VOLUMES = ("Volumes are declared, local and our own", "declare it in the document's volumes")
#: Number: (title, remedy).
RULES: Mapping[str, tuple[str, str]] = {
    "4.1": _USER,
    "4.2": _BASES,
    "4.3": ("No package is added to the base", "add it to PACKAGES in software/roots.py"),
    "4.6": ("Every image has a HEALTHCHECK", 'say HEALTHCHECK … CMD ["…"]'),
    "4.7": ("No update without an install in one RUN", "update and install in one RUN"),
    "4.8": ("Nothing is made setuid, setgid or capable", "leave the mode as 0755 at most"),
    "4.9": ("COPY, never ADD", "say COPY"),
    "4.10": ("No secret in a Dockerfile", "mount it when it is needed: secrets:, at run time"),
    "4.11": ("What is installed is verified", "install from the wheelhouse, or by hash"),
    "5.2": ("AppArmor's profile is not switched off", "leave apparmor out of security_opt"),
    "5.3": ("SELinux' labels are not switched off", "leave label out of security_opt"),
    "5.4": ("Every capability is dropped", "say cap_drop: [ALL], and no cap_add"),
    "5.5": ("No container is privileged", "leave privileged out"),
    "5.6": ("No sensitive directory of the host's", "use a volume of its own"),
    "5.7": _SSHD,
    "5.8": ("No privileged port of the host's", "publish at 1024 or above"),
    "5.9": _PORTS,
    "5.10": _HOST_NETWORK,
    "5.11": ("Memory is limited", "say mem_limit"),
    "5.12": ("CPU time is limited", "say cpus (a bound), or cpu_shares (a weight)"),
    "5.13": ("The root file system is read-only", "say read_only: true"),
    "5.14": ("Ports are bound to one interface", "bind to an address: host_ports[].bind"),
    "5.15": _RESTARTS,
    "5.16": ("The host's processes are not shared", "leave pid out"),
    "5.17": ("The host's IPC is not shared", "leave ipc out"),
    "5.18": ("No device of the host's", "leave devices out"),
    "5.19": _ULIMITS,
    "5.20": ("No mount is propagated back", "leave the propagation private"),
    "5.21": ("The host's UTS namespace is not shared", "leave uts out"),
    "5.22": ("Seccomp's default profile holds", "leave seccomp out of security_opt"),
    "5.23": ("Nothing is executed privileged", "leave privileged out of the hook"),
    "5.24": ("Nothing is executed as root", "leave user out of the hook"),
    "5.25": ("Containers stay in the engine's cgroup", "leave cgroup and cgroup_parent out"),
    "5.26": ("No process gains privileges", "say security_opt: [no-new-privileges]"),
    "5.27": ("Health is checked while it runs", "leave the image's HEALTHCHECK on"),
    "5.29": ("The number of processes is limited", "say pids_limit"),
    "5.30": ("Docker's default bridge is not used", "name a network of the document's own"),
    "5.31": _USERNS,
    "5.32": ("The engine's socket is not mounted", "leave it out: it is root on the host"),
    "T1": _UNSEEN,
    "T2": ("Every tmpfs is bounded, and runs nothing", "say size=…, and no exec, suid, dev"),
    "T3": ("No swap beyond the memory's limit", "say memswap_limit, as large as mem_limit"),
    "T4": ("Logs are bounded", "say json-file or local, with max-size and max-file"),
    "T5": ("No secret in an environment", "mount it: secrets"),
    "T6": ("A service has its own secrets only", "declare it in topology.yml: secrets"),
    "T7": _OFFLINE,
    "T8": ("No sysctl but the one for low ports", "leave it out"),
    "T9": _NAMESPACES,
    "T10": _CLOSED,
    "T11": ("No image is pulled", "say pull_policy: never"),
    "T12": _VOLUMES,
}
