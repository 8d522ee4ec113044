"""Every mistake is one line, and a mistaken value causes no other: the rest is checked for real."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.core_cases import TEXT, WRITTEN, Edit, written
from tests.support.model_cases import limits, mistakes_in, place, segment, service


def several(*edits: Edit) -> str:
    """Give the repository's topology with all of the edits."""

    def edit(d: dict[str, Any]) -> None:
        for each in edits:
            each(d)

    return written(edit)


def paths(lines: list[str]) -> list[str]:
    """Give each mistake's path, in the order of the lines."""
    return [line.split(": ")[1] for line in lines]


def test_mistakes_of_every_kind_come_at_once_in_the_order_of_their_lines():
    text = TEXT
    for old, new in (
        ("    port: 3000", "    port: 70000"),
        ("    user: 30040", "    user: 30010"),
        ("secrets: [redis.acl]", "secrets: [redis.alc]"),
        ("    data: true", "    data: true\n    data: false"),
        ("{from: nginx-lb, to: api-gateway}", "{from: nginx-lb, to: api-gatewy}"),
        ("burst: 2000", "brst: 2000"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    lines = mistakes_in(text)
    assert paths(lines) == [
        "services.api-gateway.port",
        "services.order-service.user",
        "services.service-registry.data",
        "services.redis-cache.secrets.0",
        "flows.2.to",
        "edge.brst",
    ]
    assert [line.split(": ")[0] for line in lines] == [
        f"topology.yml:{place(text, words, further)}"
        for words, further in (
            ("port: 70000", 6),
            ("user: 30010\n    workers: 1\n    threads: 4", 6),
            ("data: false", 0),
            ("redis.alc", 0),
            ("api-gatewy", 0),
            ("brst", 0),
        )
    ]


#: A mistake, and what would be said besides if it were taken for anything but one.
ALONE: dict[str, tuple[Edit, str]] = {
    "a service that flows and ports name": (service("nginx-lb", port=0), "services.nginx-lb.port"),
    "a service that is a list": (
        lambda d: d["services"].update({"nginx-lb": []}),
        "services.nginx-lb",
    ),
    "a service that is empty": (
        lambda d: d["services"].update({"redis-cache": None}),
        "services.redis-cache",
    ),
    "a service named badly": (
        lambda d: (
            d["services"].update({"Web": d["services"].pop("nginx-lb")}),
            d["flows"][0].update(to="Web"),
            d["flows"][2].update({"from": "Web"}),
            [port.update(service="Web") for port in d["host_ports"][:2]],
        ),
        "services.Web",
    ),
    "an address of a service whose tier is unknown": (
        service("nginx-lb", tier=5, addresses=["10.0.9.9"]),
        "services.nginx-lb.tier",
    ),
    "replicas that are none": (service("nginx-lb", replicas="x"), "services.nginx-lb.replicas"),
    "a runtime that decides on a module": (
        service("order-service", runtime="wsgy"),
        "services.order-service.runtime",
    ),
    "a module that a cache is for": (
        service("product-service", module=5, cache="near"),
        "services.product-service.module",
    ),
    "a segment's subnet with addresses and a pool in it": (
        segment("flat", "app", subnet="10.0.0.0/99"),
        "shapes.flat.segments.app.subnet",
    ),
    "a segment's tiers": (
        segment("tiered", "backend", tiers="backend"),
        "shapes.tiered.segments.backend.tiers",
    ),
    "a segment's pool, which replicas need": (
        lambda d: (
            d["services"]["product-service"].update(replicas=9),
            d["shapes"]["flat"]["segments"]["app"].update(pool="10.0.0.128"),
        ),
        "shapes.flat.segments.app.pool",
    ),
    "a misspelt pool, which replicas need": (
        lambda d: (
            d["services"]["product-service"].update(replicas=9),
            d["shapes"]["flat"]["segments"]["app"].update(
                poool=d["shapes"]["flat"]["segments"]["app"].pop("pool")
            ),
        ),
        "shapes.flat.segments.app.poool",
    ),
    "a misspelt key that is missing so": (
        lambda d: d["services"]["nginx-lb"].update(prt=d["services"]["nginx-lb"].pop("port")),
        "services.nginx-lb.prt",
    ),
    "a shape without segments": (lambda d: d["shapes"].update(flat={}), "shapes.flat.segments"),
    "no services at all": (lambda d: d.update(services=[]), "services"),
    "misspelt services": (lambda d: d.update(servces=d.pop("services")), "servces"),
    "flows that are a word": (lambda d: d.update(flows="all"), "flows"),
    "a flow that is a word": (lambda d: d["flows"].append("all"), f"flows.{len(WRITTEN['flows'])}"),
    "a flow to a number": (lambda d: d["flows"][2].update(to=5), "flows.2.to"),
    "a machine whose address is none": (
        lambda d: d["hosts"].update(
            machines={"one": "10.88.0", "two": "10.88.0.12"},
            placement={"redis-cache": ["one"], "postgres-db": ["two"]},
        ),
        "hosts.machines.one",
    ),
    "an underlay that is none, with machines": (
        lambda d: d["hosts"].update(
            underlay="10.88", machines={"one": "10.99.0.11"}, placement={"redis-cache": ["one"]}
        ),
        "hosts.underlay",
    ),
    "a base of no role": (lambda d: d["software"]["bases"].update(java="x"), "software.bases.java"),
    "a limit": (limits(cpus=True), "services.nginx-lb.limits.cpus"),
    "an egress port, with the same one later": (
        service("nginx-lb", egress={"tcp": [0, 80]}),
        "services.nginx-lb.egress.tcp.0",
    ),
}


@pytest.mark.parametrize("name", ALONE)
def test_one_mistake_is_one_line(name: str):
    edit, path = ALONE[name]
    assert paths(mistakes_in(written(edit))) == [path]


#: Without these nothing can be checked against anything.
NEEDED = {"no services at all", "misspelt services", "a shape without segments"}


@pytest.mark.parametrize("name", sorted(ALONE.keys() - NEEDED))
def test_beside_a_mistake_the_rest_is_checked(name: str):
    edit, path = ALONE[name]
    other = service("postgres-db", user=30070)
    assert sorted(paths(mistakes_in(several(edit, other)))) == sorted(
        [path, "services.postgres-db.user"]
    )


def test_a_key_beside_its_misspelling_is_checked_all_the_same():
    lines = mistakes_in(written(service("api-gateway", usr=30020, user=30010)))
    assert sorted(paths(lines)) == ["services.api-gateway.user", "services.api-gateway.usr"]


def test_an_unknown_key_is_no_mistake_of_its_values():
    lines = mistakes_in(several(service("nginx-lb", extra={"port": 0}), limits(cpus=0)))
    assert paths(lines) == ["services.nginx-lb.limits.cpus", "services.nginx-lb.extra"]


WORDS: dict[str, tuple[Edit, str]] = {
    "a number in quotes": (service("nginx-lb", port="80"), "cannot be '80': it should be a valid"),
    "a list": (service("nginx-lb", port=[80]), "cannot be a list: it should be a valid integer"),
    "nothing": (service("nginx-lb", port=None), "cannot be empty: it should be a valid integer"),
    "a number for a text": (service("nginx-lb", tier=5), "cannot be 5: it must be a text: put it"),
    "a word for a list": (service("nginx-lb", addresses="x"), "cannot be 'x': it must be a list"),
    "a word for a mapping": (service("nginx-lb", limits="x"), "it must be a mapping of keys to"),
    "a truth for a number": (limits(cpus=True), "cannot be True: it should be a valid number"),
    "a word for a truth": (service("service-registry", data="yes"), "it should be a valid boolean"),
    "a word that is near": (service("nginx-lb", runtime="ngnx"), "; did you mean nginx?"),
    "a long text": (service("nginx-lb", port="x" * 300), f"cannot be '{'x' * 59}…: it should"),
}


@pytest.mark.parametrize("name", WORDS)
def test_a_value_of_another_type_is_said_in_yamls_words(name: str):
    edit, words = WORDS[name]
    (line,) = mistakes_in(written(edit))
    assert words in line


@pytest.mark.parametrize("key", ["memory_bytes", "memroy"])
def test_a_name_of_the_code_is_no_key(key: str):
    (line,) = mistakes_in(TEXT.replace("memory: 64M", f"{key}: 64M"))
    assert f"services.nginx-lb.limits.{key}: is not a known key; did you mean memory?" in line
