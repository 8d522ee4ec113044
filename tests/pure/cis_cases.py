"""Bad variants: for each rule, ways to break the rendered files that it has to notice."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from twinstack.compose.cis.dockerfile import parse
from twinstack.compose.cis.document import Document
from twinstack.compose.cis.finding import Finding, Subject
from twinstack.compose.cis.gate import declared, subject_of, violations
from twinstack.compose.render import COMPOSE_FILE, render_files
from twinstack.plan import Plan, resolve
from twinstack.topology import load

REPOSITORY = Path(__file__).parents[2]
SERVICE = "order-service"
FILE = f"dockerfiles/{SERVICE}/Dockerfile"
Raw = dict[str, Any]


@cache
def plan_of(shape: str = "flat", instance: str = "main", limited: bool = True) -> Plan:
    return resolve(load(REPOSITORY / "topology.yml"), shape, instance, limited=limited)


@cache
def rendered(plan: Plan) -> Mapping[str, str]:
    return render_files(plan)


@cache
def subject(plan: Plan | None = None) -> Subject:
    plan = plan or plan_of()
    return subject_of(rendered(plan), COMPOSE_FILE, declared(plan))


@dataclass(frozen=True)
class Bad:
    """A variant: the rule that has to notice it, what its finding says, and the edit."""

    rule: str
    said: str
    edit: Callable[[Subject], Subject]

    @property
    def id(self) -> str:
        return f"{self.rule}: {self.said}"


def service(rule: str, said: str, **keys: Any) -> Bad:
    """Set keys of a service; None takes a key away."""

    def edit(raw: Raw) -> None:
        one = raw["services"][SERVICE]
        for key, value in keys.items():
            if value is None:
                one.pop(key, None)
            else:
                one[key] = value

    return document(rule, said, edit)


def document(rule: str, said: str, change: Callable[[Raw], object]) -> Bad:
    def edit(good: Subject) -> Subject:
        raw = json.loads(json.dumps(good.document.raw))  # YAML's anchors are shared otherwise
        change(raw)
        return Subject(good.builds, Document(good.document.file, raw), good.declared)

    return Bad(rule, said, edit)


def with_volume(rule: str, said: str, **options: str) -> Bad:
    """Mount a named volume that has these options of its driver's."""

    def change(raw: Raw) -> None:
        raw["volumes"]["sly"] = {"driver_opts": options}
        raw["services"][SERVICE]["volumes"] = ["sly:/srv/x"]

    return document(rule, said, change)


def volume(raw: Raw, **keys: Any) -> None:
    raw["volumes"]["sly"] = keys
    raw["services"][SERVICE]["volumes"] = ["sly:/srv/x"]


def with_network(rule: str, said: str, **keys: Any) -> Bad:
    def change(raw: Raw) -> None:
        raw["networks"]["sly"] = keys
        raw["services"][SERVICE]["networks"] = ["sly"]

    return document(rule, said, change)


def with_build(rule: str, said: str, **keys: Any) -> Bad:
    def change(raw: Raw) -> None:
        raw["services"][SERVICE]["build"].update(keys)

    return document(rule, said, change)


def line(rule: str, said: str, *lines: str) -> Bad:
    """Write lines at the end of a Dockerfile."""
    return text(rule, said, lambda now: now + "\n".join(["", *lines, ""]))


def without(rule: str, said: str, keyword: str) -> Bad:
    """Take an instruction out of a Dockerfile, wherever it stands, with what continues it."""

    def change(now: str) -> str:
        kept, dropping = [], False
        for one in now.splitlines():
            dropping = one.startswith(keyword) or dropping
            if not dropping:
                kept.append(one)
            dropping = dropping and one.endswith("\\")
        return "\n".join(kept)

    return text(rule, said, change)


def replaced(rule: str, said: str, old: str, new: str) -> Bad:
    return text(rule, said, lambda now: now.replace(old, new))


def text(rule: str, said: str, change: Callable[[str], str]) -> Bad:
    def edit(good: Subject) -> Subject:
        was = rendered(plan_of())[FILE]
        now = change(was)
        assert now != was
        builds = {**good.builds, FILE: parse(now, FILE)}
        return Subject(builds, good.document, good.declared)

    return Bad(rule, said, edit)


def hook(**keys: Any) -> list[Raw]:
    return [{"command": ["true"], **keys}]


def bind(source: str, **more: Any) -> list[Raw]:
    return [{"type": "bind", "source": source, "target": "/x", **more}]


@cache
def known_findings() -> frozenset[Finding]:
    return frozenset(violations(subject()))


def new_findings(bad: Bad) -> list[Finding]:
    """Give what is found in a variant and not in the files as they are."""
    known = known_findings()
    return [finding for finding in violations(bad.edit(subject())) if finding not in known]


def secret_of_host(raw: Raw) -> None:
    raw["secrets"]["sly"] = {"file": "/etc/shadow"}
    raw["services"][SERVICE]["secrets"].append({"source": "sly", "target": "x"})


def socket_as_config(raw: Raw) -> None:
    raw["configs"] = {"sly": {"file": "/var/run/docker.sock"}}
    raw["services"][SERVICE]["configs"] = ["sly"]


def seccomp_everywhere(raw: Raw) -> None:
    raw["services"][SERVICE]["security_opt"].append("seccomp:unconfined")


def foreign_secret(raw: Raw) -> None:
    raw["services"]["service-registry"]["secrets"] = ["postgres-db-postgres-password"]


def udp_door(raw: Raw) -> None:
    raw["services"]["nginx-lb"]["ports"] = ["0.0.0.0:8088:80/udp"]


def bridge_by_name(raw: Raw) -> None:
    raw["networks"]["bridge"] = {"external": True}
    raw["services"][SERVICE]["networks"] = {"bridge": None}


def default_is_bridge(raw: Raw) -> None:
    raw["networks"]["default"] = {"external": True, "name": "bridge"}
    del raw["services"][SERVICE]["networks"]


NNP = "no-new-privileges"
LOGS = {"driver": "json-file", "options": {"max-size": "1m", "max-file": "2"}}

VARIANTS = (
    # 4: images
    without("4.1", "no USER", "USER"),
    line("4.1", "USER root", "USER root"),
    line("4.1", "USER 0:0", "USER 0:0"),
    line("4.1", "USER root:1000", "USER root:1000"),
    line("4.1", "USER app is no number", "USER app"),
    line("4.1", "USER ${U}", "ARG U", "USER ${U}"),
    line("4.1", "USER 1000 has the group of root", "USER 1000"),
    line("4.1", "USER 1000:0", "USER 1000:0"),
    service("4.1", "user: 0", user=0),
    service("4.1", "user: root", user="root"),
    service("4.1", "user: 0:30040", user="0:30040"),
    replaced("4.2", "FROM evil:1", "ARG BASE=twinstack-base-python:host", "ARG BASE=evil:1"),
    replaced("4.2", "FROM python:3.11", "FROM ${BASE} AS build", "FROM python:3.11 AS build"),
    replaced("4.2", "FROM ${BASE}", "ARG BASE=twinstack-base-python:host", "ARG BASE"),
    line("4.2", "COPY from evil", "COPY --from=evil /x /x"),
    line("4.2", "RUN from evil", "RUN --mount=type=bind,from=evil,target=/x true"),
    text("4.2", "# syntax=evil/frontend", lambda now: "# syntax=evil/frontend\n" + now),
    with_build("4.2", "build.args: BASE=evil", args={"BASE": "evil"}),
    with_build("4.2", "build.args: BASE=evil:1", args=["BASE=evil:1"]),
    with_build("4.2", "build.context: https://x/y.git", context="https://x/y.git"),
    with_build("4.2", "build.additional_contexts", additional_contexts={"a": "docker-image://x"}),
    service("4.2", "image: None", image=None),
    service("4.2", "image: evil/order-service:latest", image="evil/order-service:latest"),
    service("4.2", "image: nginx", image="nginx", build=None),
    line("4.3", "apt-get install", "RUN apt-get update && apt-get install -y curl"),
    line("4.3", "apk add", "RUN apk add --no-cache curl"),
    line("4.3", "dnf -y install", "RUN [\"dnf\", \"-y\", \"install\", \"vim\"]"),
    line("4.3", "dpkg -i", "RUN sh -c 'cd /tmp; dpkg -i x.deb'"),
    line("4.3", "apt upgrade", "ONBUILD RUN apt upgrade"),
    line("4.3", "npm ci", "RUN cd /srv \\", "    && npm ci"),
    line("4.3", "apt-get -y install", "RUN <<EOF", "set -e", "apt-get -y install gcc", "EOF"),
    without("4.6", "no HEALTHCHECK", "HEALTHCHECK"),
    line("4.6", "HEALTHCHECK NONE", "HEALTHCHECK NONE"),
    line("4.7", "apt-get updates", "RUN apt-get update"),
    line("4.7", "apk updates", "RUN apk update && true"),
    line("4.7", "apt updates", "RUN echo install && apt update"),
    line("4.8", "chmod u+s", "RUN chmod u+s /usr/bin/x"),
    line("4.8", "chmod 4755", "RUN find / -name x -exec chmod 4755 {} +"),
    line("4.8", "chmod 02755", "RUN chmod 02755 /usr/bin/x"),
    line("4.8", "chmod g=rxs", "RUN true && chmod -R g=rxs /srv"),
    line("4.8", "install 4755", "RUN install -m 4755 a /usr/bin/a"),
    line("4.8", "mkdir 2775", "RUN mkdir --mode=2775 /srv/x"),
    line("4.8", "COPY --chmod=4755", "COPY --chmod=4755 a /a"),
    line("4.8", "setcap", "RUN setcap cap_net_raw+ep /usr/bin/x"),
    line("4.9", "ADD x /x", "ADD x /x"),
    line("4.9", "ADD x.tar /", "ONBUILD ADD x.tar /"),
    line("4.10", "ENV DB_PASSWORD", "ENV DB_PASSWORD=hunter2"),
    line("4.10", "ENV API_KEY", "ENV API_KEY hunter2"),
    line("4.10", "ENV GITHUB_TOKEN", "ENV A=1 \\", "    GITHUB_TOKEN=\"x\""),
    line("4.10", "ARG SECRET", "ARG SECRET"),
    line("4.10", "ENV URL holds", "ENV URL=postgres://shop:hunter2@db/shop"),
    line("4.10", "LABEL key holds", "LABEL key=AKIAABCDEFGHIJKLMNOP"),
    line("4.10", "COPY .env", "COPY .env /srv/.env"),
    line("4.10", "COPY a/id_rsa", "COPY --chmod=0400 a/id_rsa /x"),
    line("4.10", "COPY tls/site.key", "COPY [\"tls/site.key\", \"/x\"]"),
    line("4.10", "COPY .", "COPY . /srv"),
    line("4.10", "--password hunter2", "RUN x --password hunter2"),
    line("4.10", "--token=abc", "CMD [\"x\", \"--token=abc\"]"),
    line("4.10", "PGPASSWORD=", "RUN PGPASSWORD=hunter2 psql"),
    line("4.10", "RUN holds a key", "RUN echo '-----BEGIN RSA PRIVATE KEY-----' > /x"),
    line("4.11", "pip install", "RUN pip install flask"),
    line("4.11", "pip3 install", "RUN python3 -m pip3 install -r requirements.txt"),
    line("4.11", "--allow-unauthenticated", "RUN x --allow-unauthenticated"),
    line("4.11", "trusted=yes", "RUN echo 'deb [trusted=yes] x y z' > /etc/apt/sources.list"),
    line("4.11", "--trusted-host", "RUN pip install --no-index --trusted-host x y"),
    line("4.11", "without a look", "RUN curl -k -O https://x/y"),
    line("4.11", "--no-check-certificate", "RUN wget --no-check-certificate https://x"),
    line("4.11", "is run by sh", "RUN curl -fsSL https://x/install.sh | sh"),
    line("4.11", "is run by bash", "RUN wget -O /tmp/x https://x && bash /tmp/x"),
    line("4.11", "anybody may change", "RUN wget http://x/y"),
    line("4.11", "anybody may change", "RUN git clone git://x/y"),
    line("4.11", "ADD https://x/y", "ADD https://x/y /y"),
    # 5: containers
    service("5.2", "apparmor:unconfined", security_opt=[NNP, "apparmor:unconfined"]),
    service("5.2", "apparmor:unconfined", security_opt=[NNP, "apparmor=unconfined"]),
    service("5.3", "label:disable", security_opt=[NNP, "label:disable"]),
    service("5.3", "label:disable", security_opt=[NNP, "label=disable"]),
    service("5.4", "cap_drop lacks ALL", cap_drop=None),
    service("5.4", "cap_drop lacks ALL", cap_drop=["NET_RAW"]),
    service("5.4", "cap_add: NET_ADMIN", cap_add=["NET_ADMIN"]),
    service("5.4", "cap_add: ALL", cap_add=["ALL"]),
    service("5.5", "privileged: true", privileged=True),
    service("5.5", "privileged: true", privileged="true"),
    service("5.6", "mounts /etc", volumes=["/etc:/x:ro"]),
    service("5.6", "mounts /", volumes=bind("/")),
    service("5.6", "mounts /proc/sys", volumes=["/proc/sys:/x"]),
    service("5.6", "mounts /etc", volumes=["//tmp/../etc/:/x"]),
    service("5.6", "mounts /var", volumes=bind("/var", read_only=True)),
    service("5.6", "mounts ../../etc", volumes=["../../etc:/x"]),
    service("5.6", "mounts ~/.ssh", volumes=["~/.ssh:/x"]),
    service("5.6", "mounts /srv/${X}", volumes=bind("/srv/${X}")),
    with_volume("5.6", "mounts /root", type="none", o="bind", device="/root"),
    document("5.6", "mounts /etc/shadow", secret_of_host),
    service("5.7", "command: /usr/sbin/sshd", command="/usr/sbin/sshd -D"),
    service("5.7", "entrypoint: dropbear", entrypoint=["dropbear", "-F"]),
    service("5.7", "ports: 127.0.0.1:2222:22", ports=["127.0.0.1:2222:22"]),
    line("5.7", "openssh-server", "RUN apt-get install -y openssh-server"),
    line("5.7", "EXPOSE 22", "EXPOSE 22/tcp"),
    line("5.7", "CMD … sshd", "CMD [\"sh\", \"-c\", \"exec /usr/sbin/sshd -D\"]"),
    service("5.8", "ports: 127.0.0.1:443:5000", ports=["127.0.0.1:443:5000"]),
    service("5.8", "ports: 80:5000", ports=[{"published": 80, "target": 5000}]),
    service("5.8", "ports: 1000-1100:5000", ports=["1000-1100:5000"]),
    service("5.9", "is not declared", ports=["127.0.0.1:5000:5000"]),
    service("5.9", "ports: 5000 is not declared", ports=["5000"]),
    service("5.9", "expose: 9000", expose=["5000", "9000"]),
    line("5.9", "its image exposes 9000", "EXPOSE 9000"),
    line("5.9", "its image exposes 5000/udp", "EXPOSE 5000/udp"),
    document("5.9", "0.0.0.0:8088:80/udp is not declared", udp_door),
    service("5.10", "network_mode: host", network_mode="host", networks=None),
    with_network("5.10", "network sly is the host's", external=True, name="host"),
    with_network("5.10", "network sly is the host's", driver="host"),
    service("5.11", "no mem_limit", mem_limit=None),
    service("5.11", "no mem_limit", mem_limit=0),
    service("5.11", "no mem_limit", mem_limit="-1"),
    service("5.12", "no cpus", cpus=None),
    service("5.12", "no cpus", cpus=0),
    service("5.12", "no cpus", cpus=None, cpu_shares=1024),
    service("5.13", "read_only is not on", read_only=None),
    service("5.13", "read_only is not on", read_only=False),
    service("5.14", "5000:5000 is bound", ports=["5000:5000"]),
    service("5.14", "0.0.0.0:5000:5000 is bound", ports=["0.0.0.0:5000:5000"]),
    service("5.14", ":::5000:5000 is bound", ports=["[::]:5000:5000"]),
    service("5.14", "5000:5000 is bound", ports=[{"target": 5000, "published": "5000"}]),
    service("5.15", "restart: always", restart="always"),
    service("5.15", "restart: on-failure", restart="on-failure"),
    service("5.15", "restart: on-failure:50", restart="on-failure:50"),
    service("5.16", "pid: host", pid="host"),
    service("5.17", "ipc: host", ipc="host"),
    service("5.18", "devices: /dev/sda", devices=["/dev/sda:/dev/sda:r"]),
    service("5.18", "device_cgroup_rules: c 1:3 mr", device_cgroup_rules=["c 1:3 mr"]),
    service("5.18", "gpus: all", gpus="all"),
    service("5.18", "reservations.devices",
            deploy={"resources": {"reservations": {"devices": [{"capabilities": ["gpu"]}]}}}),
    service("5.19", "ulimits: memlock", ulimits={"memlock": -1}),
    service("5.19", "ulimits: nofile", ulimits={"nofile": {"soft": 1024, "hard": -1}}),
    service("5.19", "ulimits: core", ulimits={"core": "unlimited"}),
    service("5.20", "is rshared", volumes=["/data:/x:rw,rshared"]),
    service("5.20", "is shared", volumes=bind("/data", bind={"propagation": "shared"})),
    service("5.21", "uts: host", uts="host"),
    document("5.22", "seccomp:unconfined", seccomp_everywhere),
    service("5.22", "seccomp:unconfined", security_opt=[NNP, "seccomp=unconfined"]),
    service("5.22", "seccomp:./all.json", security_opt=[NNP, "seccomp:./all.json"]),
    service("5.23", "a hook is privileged", post_start=hook(privileged=True)),
    service("5.23", "a hook is privileged", pre_stop=hook(privileged="true")),
    service("5.24", "a hook's user root", post_start=hook(user="root")),
    service("5.24", "a hook's user 0", pre_start=hook(user="0:0")),
    service("5.25", "cgroup_parent: /", cgroup_parent="/"),
    service("5.25", "cgroup: host", cgroup="host"),
    service("5.26", "security_opt lacks", security_opt=None),
    service("5.26", "no-new-privileges: false", security_opt=["no-new-privileges:false"]),
    service("5.27", "switched off", healthcheck={"disable": True}),
    service("5.27", "switched off", healthcheck={"test": ["NONE"]}),
    service("5.27", "switched off", healthcheck={"test": "NONE"}),
    without("5.27", "neither its image nor it", "HEALTHCHECK"),
    with_build("5.27", "neither its image nor it", target="build"),
    service("5.29", "no pids_limit", pids_limit=None),
    service("5.29", "no pids_limit", pids_limit=-1),
    service("5.29", "no pids_limit", pids_limit=0),
    service("5.30", "network_mode: bridge", network_mode="bridge", networks=None),
    with_network("5.30", "network sly is Docker's default", external=True, name="bridge"),
    with_network("5.30", "network sly is Docker's default", external={"name": "bridge"}),
    with_network("5.30", "network sly is Docker's default",
                 driver_opts={"com.docker.network.bridge.name": "docker0"}),
    document("5.30", "network default is Docker's default", default_is_bridge),
    document("5.30", "network bridge is Docker's default", bridge_by_name),
    service("5.31", "userns_mode: host", userns_mode="host"),
    service("5.32", "mounts /var/run/docker.sock", volumes=["/var/run/docker.sock:/x"]),
    service("5.32", "mounts /var/run", volumes=bind("/var/run")),
    service("5.32", "mounts /elsewhere/docker.sock", volumes=["/elsewhere/docker.sock:/x:ro"]),
    service("5.32", "mounts /run/containerd/containerd.sock",
            volumes=["/run/containerd/containerd.sock:/x"]),
    service("5.32", "use_api_socket", use_api_socket=True),
    with_volume("5.32", "mounts /run/docker.sock", o="bind,ro", device="/run/docker.sock"),
    document("5.32", "mounts /var/run/docker.sock", socket_as_config),
    # T: beyond CIS
    document("T1", "no rule looks at include", lambda raw: raw.update(include=["x.yml"])),
    document("T1", "no rule looks at jobs", lambda raw: raw.update(jobs={"x": {"image": "y"}})),
    service("T1", "no rule looks at extends", extends={"service": "nginx-lb"}),
    service("T1", "no rule looks at env_file", env_file=".env"),
    service("T1", "no rule looks at oom_kill_disable", oom_kill_disable=True),
    service("T1", "no rule looks at group_add", group_add=["docker"]),
    service("T1", "no rule looks at runtime", runtime="crun-vm"),
    service("T1", "no rule looks at security_opt systempaths",
            security_opt=[NNP, "systempaths=unconfined"]),
    service("T1", "no rule looks at deploy's mode", deploy={"mode": "global"}),
    service("T1", "no rule looks at a mount of type npipe", volumes=[{"type": "npipe"}]),
    service("T1", "${LIMIT} is what the environment says", mem_limit="${LIMIT}"),
    service("T1", "${X} is what", command=["x", "${X}"]),
    service("T1", "${X} is what", labels={"${X}": "y"}),
    service("T1", "$USER is what the environment says", user="$USER"),
    with_build("T1", "not among those", context="../elsewhere"),
    line("T1", "no rule looks at RUN --device=all", "RUN --device=all true"),
    with_build("T1", "no rule looks at build.privileged", privileged=True),
    with_build("T1", "no rule looks at build.dockerfile_inline", dockerfile_inline="FROM x"),
    with_build("T1", "not among those", dockerfile="elsewhere/Dockerfile"),
    service("T2", "has no size", tmpfs=["/tmp:mode=1777"]),
    service("T2", "has no size", tmpfs="/tmp"),
    service("T2", "allows exec", tmpfs=["/tmp:size=1m,exec"]),
    service("T2", "allows suid", tmpfs=["/tmp:size=1m,suid"]),
    service("T2", "volumes: tmpfs /x has no size", volumes=[{"type": "tmpfs", "target": "/x"}]),
    service("T3", "memswap_limit: None", memswap_limit=None),
    service("T3", "memswap_limit: -1", memswap_limit=-1),
    service("T3", "memswap_limit: 1g", memswap_limit="1g"),
    service("T4", "logging: driver None", logging=None),
    service("T4", "logging: driver none", logging={"driver": "none"}),
    service("T4", "no max-size", logging={**LOGS, "options": {"max-file": "2"}}),
    service("T5", "environment: POSTGRES_PASSWORD", environment={"POSTGRES_PASSWORD": "x"}),
    service("T5", "environment: TOKEN", environment=["TOKEN=x"]),
    service("T5", "environment: DSN", environment={"DSN": "redis://:x@redis"}),
    service("T5", "a hook's environment: SECRET", post_start=hook(environment=["SECRET=x"])),
    with_build("T5", "build.args: NPM_TOKEN", args=["NPM_TOKEN"]),
    document("T6", "secrets: postgres-db-postgres-password", foreign_secret),
    with_build("T7", "build.network: host", network="host"),
    with_build("T7", "build.network: default", network="default"),
    line("T7", "RUN --network=host", "RUN --network=host true"),
    line("T7", "RUN --security=insecure", "RUN --security=insecure true"),
    service("T8", "sysctls: kernel.msgmax=1", sysctls=["kernel.msgmax=1"]),
    service("T8", "sysctls: net.ipv4.ip_forward", sysctls={"net.ipv4.ip_forward": 1}),
    service("T9", "network_mode: service:nginx-lb", network_mode="service:nginx-lb"),
    service("T9", "pid: container:x", pid="container:x"),
    service("T9", "ipc: shareable", ipc="shareable"),
    service("T9", "volumes_from: postgres-db", volumes_from=["postgres-db"]),
    with_network("T10", "driver: macvlan", driver="macvlan"),
    with_network("T10", "driver: overlay", driver="overlay", attachable=True),
    with_network("T10", "is external", external=True),
    with_network("T10", "attachable: true", driver="bridge", attachable=True),
    with_network("T10", "enable_ipv6: true", enable_ipv6=True),
    with_network("T10", "nat-unprotected",
                 driver_opts={"com.docker.network.bridge.gateway_mode_ipv4": "nat-unprotected"}),
    service("T12", "volumes: /x is not declared", volumes=["/x"]),
    service("T12", "volumes: x is not declared", volumes=["x:/x"]),
    with_volume("T12", "volume sly is of None nfs", type="nfs", o="addr=host", device=":/x"),
    document("T12", "volume sly is of vieux/sshfs", lambda raw: volume(raw, driver="vieux/sshfs")),
    document("T12", "volume sly is external", lambda raw: volume(raw, external=True)),
    line("T12", "VOLUME /x", "VOLUME /x"),
    service("T11", "pull_policy: None", pull_policy=None),
    service("T11", "pull_policy: missing", pull_policy="missing"),
    service("T11", "pull_policy: always", pull_policy="always"),
)  # fmt: skip

#: Ways to write the same well: none of them is anything that a rule may object to.
GOOD = (
    service("", "limits by deploy", mem_limit=None, cpus=None, pids_limit=None, memswap_limit="64m",
            deploy={"resources": {"limits": {"memory": "64M", "cpus": "0.5", "pids": 9}}}),
    service("", "shares", cpus=None, cpu_shares=512),
    service("", "counted restarts", restart="on-failure:5"),
    service("", "no restarts", restart="no"),
    service("", "its own user", user="30040:30040"),
    service("", "options", security_opt=["no-new-privileges:true", "seccomp=builtin"]),
    service("", "a ulimit", ulimits={"nofile": {"soft": 1024, "hard": 4096}}),
    service("", "its own port", expose=[5000]),
    document("", "a volume", lambda raw: volume(raw, driver="local")),
    with_volume("", "a bind by a volume", type="none", o="bind", device="/data"),
    service("", "a bind", volumes=["./own:/x:ro", "/data:/y"]),
    service("", "a health check", healthcheck={"test": ["CMD", "true"], "interval": "2s"}),
    service("", "a hook", post_start=hook(user="30040:30040")),
    service("", "a place", environment={"SECRETS_DIR": "/x", "PASSWORD_FILE": "/x", "DSN": "r://h"}),
    service("", "a dollar", labels={"x": "costs $$5"}),
    line("", "a mode", "RUN chmod 0755 /x && chmod -R a+rX,go-w,u=rwx /y && install -m 0700 a b"),
    line("", "offline", "RUN python3 -m pip install --no-index --find-links /w x"),
    line("", "a file of the stage's", "COPY --from=build /x/.env.example /x"),
    line("", "a place", "ENV TOKEN_FILE=/run/secrets/token", "ARG SECRETS_DIR=/x"),
    line("", "words", "LABEL note=\"chmod u+s and apt-get install are not run here\""),
    line("", "harmless calls", "RUN dpkg --print-architecture && apt-get clean && git --version",
         "RUN curl -fsS -o /x https://y/z", "RUN git --version && bash /x"),
    text("", "a directive", lambda now: "# check=error=true\n" + now),
    with_build("", "an argument", args={"LEVEL": "3"}),
    service("", "a command", command=["python3", "-m", "x"]),
    line("", "a root in between", "USER root", "RUN true", "USER 30040:30040"),
)  # fmt: skip
