"""Causes at the destination, and on the way back from it. Pure."""

from __future__ import annotations

from twinstack.linux.sock_diag import TcpSocket
from twinstack.model.plan import HOST
from twinstack.observe.why import causes_near as near
from twinstack.observe.why.case import FAR_HOST_END, FAR_INSIDE, Case, Cause, FailureCause
from twinstack.observe.why.rules import is_ours, removal, shown
from twinstack.policy.permissions import addresses
from twinstack.printable import visible

#: Below this share of a limit nothing is short.
_SHORT = 0.98


def host_end(case: Case) -> FailureCause | None:
    """Find what is wrong with the host's end of the destination's pair."""
    return near.host_end(case, case.far) if case.furthest <= FAR_HOST_END else None


def port(case: Case) -> FailureCause | None:
    """Find what is wrong with the destination's port of the bridge."""
    return near.bridge_port(case, case.far) if case.furthest < FAR_HOST_END else None


def address_missing(case: Case) -> FailureCause | None:
    """Find a destination without the address that the plan gives it."""
    far = case.far
    if far is None or far.inside is None or far.has_address:
        return None
    held = ", ".join(sorted(far.inside.addresses)) or "none"
    return FailureCause(
        "address-missing",
        f"{far.name}/{far.link}",
        f"{far.name} does not have its address {far.address} on {far.link} (it has {held}): nobody"
        " answers ARP for it, or takes the packet",
        case.net_up,
    )


def denied_inside(case: Case) -> FailureCause | None:
    """Find a rule of the destination's own namespace."""
    question = case.evidence.question
    if question.destination == HOST:
        return None
    for replies in (False, True):
        if rule := case.denied_by(question.destination, replies=replies):
            what = "its answer" if replies else "it"
            return FailureCause(
                "destination-rule",
                question.destination,
                f"a rule inside {question.destination} drops {what}: {shown(rule)}",
                removal(rule, question.world),
                rule.rule,
            )
    return None


def not_running(case: Case) -> FailureCause | None:
    """Find a destination without a process."""
    question, attempt = case.evidence.question, case.evidence.attempt
    known = any(replica.name == question.destination for replica in case.evidence.plan.replicas)
    if not known or case.evidence.process is not None or attempt.outcome == "answered":
        return None
    there = question.destination in case.evidence.namespaces
    if (
        there
        and case.furthest < FAR_INSIDE
        and attempt.outcome != "refused"
        and not question.published
    ):
        return None
    return FailureCause(
        "not-running",
        question.destination,
        f"{question.destination} does not run: nothing listens on port {_port(case)}",
        f"{case.restart(question.destination)} (its log: invoke {question.world}.logs"
        f" {question.destination})",
    )


def stopped(case: Case) -> FailureCause | None:
    """Find a process that is suspended, or a cgroup that is frozen."""
    question, process = case.evidence.question, case.evidence.process
    if process is None or case.evidence.attempt.outcome not in {"connected", "silent"}:
        return None
    if process.frozen:
        pause = "docker unpause" if question.world == "docker" else "thaw it"
        return FailureCause(
            "frozen",
            question.destination,
            f"{question.destination} is frozen by its cgroup: the kernel accepts connections,"
            " nobody answers them",
            f"{pause}, or {case.restart(question.destination)}",
        )
    if process.state in "Tt":
        return FailureCause(
            "suspended",
            question.destination,
            f"{question.destination} is suspended (SIGSTOP): the kernel accepts connections, nobody"
            " answers them",
            f"kill -CONT {process.pid}, or {case.restart(question.destination)}",
        )
    return None


def not_listening(case: Case) -> FailureCause | None:
    """Find that nothing listens on the port, or only on another address."""
    question, far = case.evidence.question, case.evidence.destination
    ends = {"refused", "connected"} if case.proxied else {"refused"}
    if far is None or case.evidence.attempt.outcome not in ends or question.protocol == "ping":
        return None
    if case.far is not None and case.furthest < FAR_INSIDE and not question.published:
        return None
    wanted, address = _port(case), case.far.address if case.far else question.address
    if question.protocol == "udp":
        return FailureCause(
            "not-listening",
            question.destination,
            f"nothing in {question.destination} listens on UDP port {wanted}",
            f"look with: {near.place(case, question.destination)}ss -lun",
        )
    there = [each for each in far.listeners if each.local_port == wanted]
    if any(_accepts(each, address) for each in there):
        return None
    process = case.evidence.process
    short = process and process.file_limit and process.files >= process.file_limit * _SHORT
    remedy = f"{case.restart(question.destination)} (its log: invoke {question.world}.logs)"
    if question.destination == HOST:
        remedy = f"look with: ss -ltn sport = :{wanted}"
    if there:
        own = ", ".join(sorted({_shown(each) for each in there}))
        return FailureCause(
            "listens-elsewhere",
            question.destination,
            f"{question.destination} listens on {own} alone, not on {address}:{wanted}",
            remedy,
        )
    others = sorted({each.local_port for each in far.listeners})
    also = f"; it listens on {', '.join(map(str, others))}" if others else ""
    if short:
        also += "; its open files are at their limit"
    return FailureCause(
        "not-listening",
        question.destination,
        f"nothing in {question.destination} listens on port {wanted}{also}",
        remedy,
    )


def queue_full(case: Case) -> FailureCause | None:
    """Find a listener whose connections nobody accepts."""
    far = case.evidence.destination
    waited = case.evidence.attempt.outcome in {"silent", "connected"}
    if far is None or not waited or case.evidence.question.protocol != "tcp":
        return None
    for each in far.listeners:
        if each.local_port == _port(case) and each.recv_q > each.send_q > 0:
            name = case.evidence.question.destination
            return FailureCause(
                "accept-queue",
                name,
                f"{each.recv_q} connections wait in {name} to be accepted, and {each.send_q} may:"
                " the service accepts none",
                case.restart(name),
            )
    return None


def short_of(case: Case) -> FailureCause | None:
    """Find a resource that the service has none left of."""
    process, question = case.evidence.process, case.evidence.question
    unwell = case.evidence.attempt.outcome == "connected" or case.evidence.attempt.status >= 500
    if process is None or not unwell:
        return None
    name, remedy = question.destination, f"raise it in topology.yml (limits), then {case.net_up}"
    if process.file_limit and process.files >= process.file_limit * _SHORT:
        return FailureCause(
            "files",
            name,
            f"{name} has {process.files} files open and may have {process.file_limit}: it can"
            " accept no connection",
            case.restart(name),
        )
    if process.pids_limit and process.pids >= process.pids_limit:
        return FailureCause(
            "pids",
            name,
            f"{name} has {process.pids} processes and threads, and may have {process.pids_limit}",
            remedy,
        )
    if process.throttled_s > case.evidence.attempt.took_s / 2:
        return FailureCause(
            "cpu-limit",
            name,
            f"{name}'s CPU limit kept it waiting for {process.throttled_s:.1f} of the"
            f" {case.evidence.attempt.took_s:.1f} s",
            remedy,
        )
    if process.oom_kills and case.evidence.attempt.outcome == "connected":
        return FailureCause(
            "memory",
            name,
            f"{name} reached its memory limit: the kernel has killed {process.oom_kills} of its"
            " processes",
            remedy,
        )
    return None


def unwell(case: Case) -> FailureCause | None:
    """Find a service that answers, and says itself that it cannot serve."""
    attempt, name = case.evidence.attempt, case.evidence.question.destination
    said = visible(" ".join(attempt.said.split()))[:160]
    if not case.evidence.speaks_as_asked:
        return FailureCause(
            "not-http",
            name,
            f"somebody answers on {name}'s port {_port(case)}, but not by HTTP: {said}",
            f"{case.restart(name)} (its log: invoke {case.evidence.question.world}.logs {name})",
        )
    if attempt.status < 500:
        return None
    return FailureCause(
        "unwell",
        name,
        f"the network is sound; {name} itself answers {attempt.status}: {said}",
        f"ask on from there: invoke why {name} …, or invoke {case.evidence.question.world}.logs"
        f" {name}",
    )


def too_large(case: Case) -> FailureCause | None:
    """Find a link that is too narrow for a full packet."""
    if case.evidence.attempt.outcome not in {"connected", "silent"}:
        return None
    ends = [end for end in (case.near, case.far) if end]
    links = {end.host_link: end.outside for end in ends}
    links |= {end.bridge.name: end.bridge for end in ends if end.bridge}
    mtus = {name: link.mtu for name, link in links.items() if link}
    # TCP's ends know their own links' MTU, and tell each other; what is between them shows none.
    widest = max([*mtus.values(), *(end.inside.mtu for end in ends if end.inside)], default=0)
    narrow = [name for name, mtu in mtus.items() if mtu < widest]
    if not narrow or (case.drop() is None and case.evidence.attempt.outcome == "silent"):
        return None
    return FailureCause(
        "mtu",
        narrow[0],
        f"{narrow[0]} carries packets of {mtus[narrow[0]]} bytes at most, the others {widest}:"
        " small packets pass, full ones are lost",
        case.net_up,
    )


def no_way_back(case: Case) -> FailureCause | None:
    """Find a destination that has no route to the client."""
    far, namespace = case.far, case.evidence.destination
    if far is None or namespace is None or case.furthest < FAR_INSIDE:
        return None
    if namespace.no_route:
        return FailureCause(
            "no-way-back",
            far.name,
            f"{far.name} cannot send its answer: it has no route to the client",
            case.net_up,
        )
    route, world = namespace.route, case.evidence.question.world
    expected = str(far.segment.gateway_in(world))
    own = addresses(case.evidence.plan.replica(far.name), world)  # a container may have several
    gateways = {str(case.evidence.plan.segment(name).gateway_in(world)) for name, _ in own}
    if case.routed and route and route.gateway not in {None, *gateways}:
        return FailureCause(
            "wrong-way-back",
            far.name,
            f"{far.name} sends its answer via {route.gateway}; it should via {expected}",
            case.net_up,
        )
    return None


def answer_denied(case: Case) -> FailureCause | None:
    """Find a rule that drops the answer: the host's, or the source's own."""
    source, world = case.evidence.question.source, case.evidence.question.world
    if source != HOST and (rule := case.denied_by(source, replies=True)):
        what = f"a rule inside {source} drops the answer: {shown(rule)}"
        return FailureCause("source-rule", source, what, removal(rule, world), rule.rule)
    rule = case.denied_by(HOST, replies=True)
    if rule is None:
        return None
    return FailureCause(
        "answer-denied",
        HOST,
        f"the answer is dropped on this host: {shown(rule)}",
        case.net_up if is_ours(rule, case.evidence.plan) else removal(rule, world),
        rule.rule,
    )


def dropped(case: Case) -> FailureCause | None:
    """Fall back on the kernel's own reason."""
    drop = case.drop()
    if drop is None:
        return None
    at = f"{drop.where}, at {drop.link}" if drop.link else drop.where
    return FailureCause(
        f"kernel:{drop.reason}",
        drop.where,
        f"the kernel drops {drop.headers} in {at}: {drop.reason.replace('_', ' ').lower()}",
        case.net_up,
    )


def queueing(case: Case) -> FailureCause | None:
    """Find a packet that a queue or filter of tc dropped."""
    drop = case.drop("QDISC_DROP", "QDISC_OVERLIMIT", "QDISC_CONGESTED", "TC_EGRESS", "TC_INGRESS")
    if drop is None:
        return None
    what, enter = drop.reason.replace("_", " ").lower(), near.place(case, drop.where)
    return FailureCause(
        "queueing",
        drop.link or drop.where,
        f"traffic control (tc) on {drop.link} in {drop.where} drops it: {what}",
        f"{enter}tc qdisc del dev {drop.link} root (look with: {enter}tc -s qdisc show dev"
        f" {drop.link})",
    )


def no_neighbour(case: Case) -> FailureCause | None:
    """Find an address that nobody answers ARP for."""
    for name, namespace in case.evidence.namespaces.items():
        for each in namespace.neighbours:
            if (
                each.state in {"FAILED", "INCOMPLETE"}
                and each.address
                in {
                    case.evidence.attempt.address,
                    namespace.route.gateway if namespace.route else None,
                }
                and (namespace.route is None or namespace.route.link == each.link)
            ):
                return FailureCause(
                    "no-neighbour",
                    name,
                    f"nobody answers {name}'s ARP request for {each.address} on {each.link}",
                    case.net_up,
                )
    return None


def _port(case: Case) -> int:
    question = case.evidence.question
    if question.published:
        return case.evidence.plan.replica(question.destination).port
    return question.port


def _accepts(listener: TcpSocket, address: str) -> bool:
    local = listener.local
    return not any(local) or _shown(listener).rpartition(":")[0] == address


def _shown(listener: TcpSocket) -> str:
    local = ".".join(map(str, listener.local)) if len(listener.local) == 4 else "[IPv6]"
    return f"{local}:{listener.local_port}"


#: In the order in which they are looked for.
CAUSES: tuple[Cause, ...] = (
    host_end,
    port,
    near.far_link,
    near.arp_off,
    address_missing,
    denied_inside,
    not_running,
    stopped,
    not_listening,
    queue_full,
    short_of,
    unwell,
    no_way_back,
    answer_denied,
    queueing,
    too_large,
    no_neighbour,
    dropped,
)
