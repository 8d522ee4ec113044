"""What only an engine has: published ports, networks, policies of restarts, checks of health."""

from __future__ import annotations

from twinstack.drill.catalogue.probes import ORDER, SHOP
from twinstack.drill.drill import Drill

_CONTAINER = "{order-service.unit}"
_NETWORK = "{order-service.network}"
_AT = "--ip {order-service.address}"
_ALIASES = f"--alias order-service --alias {_CONTAINER}"
_LEAVE = f"docker network disconnect {_NETWORK} {_CONTAINER}"
_RESTART = f"docker restart {_CONTAINER}"
_JOIN = f"docker network connect {_AT} {_ALIASES} {_NETWORK} {_CONTAINER}"
_ORDER_SECTION = "/^  order-service:/,/^    depends_on:/"


def _composed(service: str, script: str) -> tuple[str, str]:
    """Write the commands that edit the compose file and have Compose make a container by it."""
    return (
        f"sed -i '{script}' {{compose_file}}",
        f"{{compose}} up --detach --no-build --pull never --no-deps {service} 2>&1",
    )


def _published(script: str) -> tuple[str, str]:
    """Write the commands that have nginx-lb published at other ports of the host."""
    ports = "port=$(echo {url} | cut -d: -f3); other=$((port + 1)); "
    _, made = _composed("nginx-lb", "")
    return f'{ports}sed -i "{script}" {{compose_file}}', made


def _limited(memory: str, more: str) -> str:
    return (
        f"docker stop {_CONTAINER} && docker update --memory {memory} --memory-swap {more}"
        f" {_CONTAINER} && docker start {_CONTAINER}"
    )


DRILLS = (
    Drill(
        name="never-again",
        area="docker",
        level=1,
        worlds=("docker",),
        restart="order-service",
        symptom="Nobody can order since order-service crashed this morning.",
        probes=(ORDER,),
        put=(f"docker update --restart=no {_CONTAINER}", "kill -KILL {order-service.pid}"),
        hints=(
            "docker ps shows what runs. What does docker ps --all show besides?",
            "Every service here comes back by itself after a crash. Why did this one not?",
            (
                "Compare docker inspect -f '{{{{.HostConfig.RestartPolicy.Name}}}}' with that of"
                " another container; docker update can set it."
            ),
        ),
        repair=(
            f"docker update --restart=unless-stopped {_CONTAINER}",
            f"docker start {_CONTAINER}",
        ),
        explanation=(
            "The container's restart policy had been set to `no`: it crashed, and stayed away. To"
            " start it ends the symptom until the next crash. In the namespace world the supervisor"
            " does what the restart policy does here."
        ),
        wrong=(f"docker start {_CONTAINER}",),
        refusal="RestartPolicy",
    ),
    Drill(
        name="off-the-network",
        area="docker",
        level=2,
        worlds=("docker",),
        restart="order-service",
        symptom="Nobody can order: 502 or 503. order-service runs, and has not been restarted.",
        probes=(ORDER,),
        put=(_LEAVE,),
        hints=(
            "Which address has order-service? docker inspect, or {order-service.enter} ip -4 addr.",
            "It is on no network that the others are on. docker network ls names those there are.",
            (
                "docker network connect puts it back; everybody knows it by its declared address,"
                " so it needs just that one (--ip)."
            ),
        ),
        repair=(_JOIN, _RESTART),
        explanation=(
            "The container had been taken off its network: the engine removed the veth pair and"
            " every line of /etc/hosts that names who is on that network, and the processes went on"
            " with loopback alone. Put back without --ip it gets any free address, where nobody"
            " looks for it. Those of the lines that extra_hosts had brought the engine writes again"
            " at a start only: hence the restart."
            " On the default bridge besides, it could reach, and be reached by, whatever else runs"
            " there."
        ),
        wrong=(_JOIN, f"docker network connect bridge {_CONTAINER}", _RESTART),
        refusal="network",
        undo=(
            f"docker network disconnect bridge {_CONTAINER}",
            _JOIN,
            _RESTART,
        ),
        shapes=("flat",),
    ),
    Drill(
        name="another-address",
        area="docker",
        level=3,
        worlds=("docker",),
        restart="order-service",
        symptom="Nobody can order since somebody took order-service off its network for a moment."
        " It is on it again, and Docker's own names find it.",
        probes=(ORDER,),
        put=(
            _LEAVE,
            f"docker network connect {_ALIASES} {_NETWORK} {_CONTAINER}",
        ),
        hints=(
            "Who looks for order-service, and at which address? Who else was told that address?",
            (
                "docker inspect shows the address that it has; /etc/hosts of the others, the"
                " registry and the flows know the declared one."
            ),
            (
                "An address is given when a container is put on a network: take it off, and put it"
                " on with --ip and its aliases."
            ),
        ),
        repair=(_LEAVE, _JOIN, _RESTART),
        explanation=(
            "Connected without --ip, the container got the first address that was free. Docker's"
            " resolver follows, but here everybody knows the declared address, and the policy's"
            " rules permit that one only. A second address by hand makes it reachable, and what the"
            " engine knows of it stays wrong."
        ),
        wrong=(
            "cat {api-gateway.hosts} > {order-service.hosts}",
            (
                'link={order-service.link}; {order-service.enter} sh -c "ip -4 address flush dev'
                " $link; ip address add {order-service.address}/24 dev $link; ip route add default"
                ' via {order-service.gateway}"'
            ),
        ),
        refusal="container network",
        undo=(_LEAVE, _JOIN, _RESTART),
        shapes=("flat",),
    ),
    Drill(
        name="other-port",
        area="docker",
        level=1,
        worlds=("docker",),
        restart="nginx-lb",
        symptom="The shop's address refuses every connection. All containers are healthy.",
        probes=(SHOP,),
        put=_published(r"s/0.0.0.0:$port:80/0.0.0.0:$other:80/"),
        hints=(
            "Is the shop there at nginx-lb's own address?",
            "docker port {nginx-lb.unit} says by which port of the host it can be reached.",
            (
                "A container's published ports are fixed when it is made: the compose file says"
                " with which, and Compose makes it again ({compose_file})."
            ),
        ),
        repair=_published(r"s/0.0.0.0:$other:80/0.0.0.0:$port:80/"),
        explanation=(
            "nginx-lb was published at another port. What publishes it is a DNAT rule and, for"
            " clients of localhost, docker-proxy; both are made at each start, as the container was"
            " defined. A second port beside the wrong one ends the symptom and leaves a door open"
            " that nobody declared."
        ),
        wrong=_published(r"s/\"0.0.0.0:$other:80\"/\"0.0.0.0:$port:80\", \"0.0.0.0:$other:80\"/"),
        refusal="PortBindings",
        undo=_published(
            r"s/\[\(.0.0.0.0:$port:80., \)\?.0.0.0.0:$other:80.\]/[\"0.0.0.0:$port:80\"]/"
        ),
    ),
    Drill(
        name="too-little-memory",
        area="docker",
        level=2,
        worlds=("docker",),
        restart="order-service",
        symptom="The shop comes and goes: nobody can order, and docker ps always shows"
        " order-service `Up 1 second`.",
        probes=("curl -sf -m 5 -o /dev/null {url}/",),
        put=(_limited("16m", "16m"),),
        hints=(
            "It is started again and again. docker logs does not say why it ends; how does it end?",
            "docker inspect -f '{{{{.State.ExitCode}}}} {{{{.State.OOMKilled}}}}'; docker events.",
            (
                "Compare docker inspect -f '{{{{.HostConfig.Memory}}}}' with the limits in"
                " topology.yml; docker update can set it."
            ),
        ),
        repair=(_limited("{order-service.memory_declared}", "{order-service.memory_declared}"),),
        explanation=(
            "The container had 16 MiB of memory, where the service needs more: the kernel's OOM"
            " killer ended it (137 is 128 + SIGKILL) and the restart policy started it again."
            " Without a limit, a leak in it would take the memory of everybody else."
        ),
        wrong=(_limited("4g", "-1"),),
        refusal="Memory",
    ),
    Drill(
        name="sick-by-definition",
        area="docker",
        level=3,
        worlds=("docker",),
        restart="order-service",
        symptom="docker ps calls order-service unhealthy since its last release; customers order as"
        " ever. The next release waits for it in vain.",
        probes=(
            (
                "docker inspect -f '{{{{.State.Health.Status}}}}' {order-service.unit} |"
                " grep -qx healthy"
            ),
        ),
        put=(
            *_composed(
                "order-service",
                f"{_ORDER_SECTION}s|^    depends_on:|    healthcheck:"
                ' {{test: ["CMD", "/bin/bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/5001"],'
                " start_period: 1s}}\\n    depends_on:|",
            ),
        ),
        hints=(
            (
                "Who says that it is unhealthy, and by what? docker inspect keeps the last answers"
                " of its check (.State.Health.Log)."
            ),
            (
                "Run the check by hand, in the container (docker exec). What does it connect to,"
                " and where does the service listen?"
            ),
            "An image brings its check along; the compose file can replace it ({compose_file}).",
        ),
        repair=_composed("order-service", f"{_ORDER_SECTION}" + "{{/^    healthcheck:/d}}"),
        explanation=(
            "The compose file had a check of its own, of port 5001, in place of the image's. What"
            " waits for health (depends_on, a release) gives up. A check that always succeeds is"
            " green, also on the day when the service is dead."
        ),
        wrong=_composed(
            "order-service",
            f'{_ORDER_SECTION}s|^    healthcheck: .*|    healthcheck: {{{{test: ["CMD", "true"],'
            " interval: 1s}}|",
        ),
        refusal="Healthcheck",
        undo=_composed("order-service", f"{_ORDER_SECTION}" + "{{/^    healthcheck:/d}}"),
    ),
    Drill(
        name="wrong-image",
        area="docker",
        level=4,
        worlds=("docker",),
        restart="order-service",
        symptom="Nobody can order, and the shop's pages are not found: 404, 502 or 503, since"
        " the last release. Every container runs.",
        probes=(ORDER,),
        put=_composed(
            "order-service",
            f"{_ORDER_SECTION}s|^\\(    image: .*\\)/order-service:|\\1/product-service:|",
        ),
        hints=(
            (
                "order-service answers at its own address. What does it say of itself at /health,"
                " and which pages does it know?"
            ),
            "Its log begins with what was started. Compare with the image's name in docker ps.",
            (
                "The compose file names the image of each service; what is made by a wrong line is"
                " made wrongly again at each up."
            ),
        ),
        repair=_composed(
            "order-service",
            f"{_ORDER_SECTION}s|^\\(    image: .*\\)/product-service:|\\1/order-service:|",
        ),
        explanation=(
            "The container of order-service was made from product-service's image: name, address,"
            " environment and secrets were its own, the program another's, run as another user. To"
            " make it right and privileged at once, because a permission was in the way, gives the"
            " service the host."
        ),
        wrong=_composed(
            "order-service",
            f"{_ORDER_SECTION}s|^\\(    image: .*\\)/product-service:\\(.*\\)"
            "|\\1/order-service:\\2\\n    privileged: true|",
        ),
        refusal="Privileged",
        undo=_composed(
            "order-service",
            f"{_ORDER_SECTION}s|^\\(    image: .*\\)/product-service:|\\1/order-service:|;"
            f" {_ORDER_SECTION}" + "{{/^    privileged:/d}}",
        ),
    ),
)
