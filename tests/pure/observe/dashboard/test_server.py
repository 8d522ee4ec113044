"""The dashboard's server over real sockets: who may ask, what is refused, and slow clients."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, replace

import pytest

from tests.support.bench_fakes import PLAN, FakeWorld
from tests.support.project import ROOT
from tests.support.readings import reading
from twinstack.errors import Missing, TwinstackError
from twinstack.model.plan import Plan
from twinstack.model.topology import WorldName
from twinstack.observe.dashboard import hosts, server
from twinstack.observe.detail import looks
from twinstack.observe.live.feed import Feed
from twinstack.observe.live.hour import FIGURES
from twinstack.observe.live.model import WorldSample
from twinstack.observe.live.samples import sample
from twinstack.world import LogReader


def line(at: float = 1.0, **more: object) -> bytes:
    found = replace(sample("net", PLAN, at, [reading(at)]), **more)  # type: ignore[arg-type]
    return json.dumps(asdict(found)).encode()


@pytest.fixture
def feed() -> Feed:
    found = Feed(("net", "docker"))
    found.take("net", line())
    found.take("docker", json.dumps(asdict(WorldSample("docker", 1.0, False))).encode())
    return found


@contextmanager
def serving(found: server.Server) -> Iterator[server.Server]:
    with found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield found
        finally:
            found.feed.end()
            found.shutdown()
            thread.join()


@pytest.fixture
def board(feed: Feed) -> Iterator[server.Server]:
    with serving(server.listen(feed, lambda: {"net": PLAN, "docker": None}, ROOT, 0)) as found:
        yield found


def ask(
    board: server.Server, path: str = "/", method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", board.port, timeout=5)) as link:
        link.request(
            method, path, headers={name.replace("_", "-"): text for name, text in headers.items()}
        )
        answer = link.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()


def raw(board: server.Server, data: bytes) -> bytes:
    with closing(socket.create_connection(("127.0.0.1", board.port), timeout=5)) as link:
        link.sendall(data)
        got = b""
        while part := link.recv(65536):
            got += part
        return got


def test_the_page_and_its_files_are_served_and_nothing_is_loaded_from_elsewhere(board):
    status, headers, body = ask(board)
    assert status == 200
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    text = body.decode()
    assert "<style" not in text
    assert re.findall(r"<script(?! src=\"/dashboard.js\")", text) == []
    assert re.findall(r' style="| on\w+="', text) == []
    for link in re.findall(r'(?:src|href)="([^"#]+)"', text):
        assert ask(board, link)[0] == 200
    for file in (ROOT / "templates" / "dashboard").iterdir():
        name, found = file.name, file.read_text()
        if name.endswith(".js"):
            assert re.search(r"innerHTML|insertAdjacent|eval\(|document\.write", found) is None
            assert ask(board, f"/{name}")[1]["Content-Type"].startswith("text/javascript")
        assert re.findall(r"https?://", found.replace("http://www.w3.org/2000/svg", "")) == []


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("localhost:{port}", 200),
        ("LOCALHOST:{port}", 200),
        ("[::1]:{port}", 200),
        ("127.0.0.1", 200),
        ("localhost:1", 200),  # as through ssh -L 1:localhost:7700
        ("lab.example", 421),
        ("rebound.example", 421),
        ("rebound.example:{port}", 421),
        ("127.0.0.1:{port}.rebound.example", 421),
        ("127.0.0.1.rebound.example:{port}", 421),
        ("0.0.0.0:{port}", 421),
        ("", 421),
    ],
)
def test_only_our_own_host_is_answered(board, host: str, status: int):
    replica = "/replica.json?world=net&name=product-service"
    for path in ("/", "/events", "/latest.json", "/dashboard.js", "/nowhere", replica):
        if status == 421 or path == "/":
            found = ask(board, path, Host=host.format(port=board.port))
            assert found[0] == status
            if status == 421:
                assert b"product" not in found[2]


def test_a_name_that_is_allowed_is_answered_and_no_other(feed: Feed):
    allowed = (hosts.ServedHost("lab.example", 8443),)
    with serving(server.listen(feed, dict, ROOT, 0, allowed)) as found:
        assert ask(found, Host="lab.example:8443")[0] == 200
        assert ask(found, Host="lab.example")[0] == 421
        assert ask(found, Host="rebound.example:8443")[0] == 421
        assert ask(found, Host="localhost:9000")[0] == 200


def test_no_host_and_two_hosts_are_bad_requests(board):
    assert raw(board, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    host = b"Host: 127.0.0.1:%d\r\n" % board.port
    assert raw(board, b"GET / HTTP/1.1\r\n" + host + host + b"\r\n").startswith(b"HTTP/1.1 400 ")
    assert raw(board, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_another_sites_page_may_not_ask(board):
    assert ask(board, Sec_Fetch_Site="cross-site")[0] == 403
    assert ask(board, Sec_Fetch_Site="same-origin")[0] == 200
    assert "Access-Control-Allow-Origin" not in ask(board, Origin="http://rebound.example")[1]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_nothing_can_be_changed(board, method: str):
    status, headers, _ = ask(board, "/", method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_paths_lead_nowhere_else(board):
    for path in ("/nowhere", "/../README.md", "/%2e%2e/README.md", "/dashboard/page.html.j2"):
        assert ask(board, path)[0] == 404
    assert ask(board, "/", "HEAD")[2] == b""


class Logless(FakeWorld):
    def log_reader(self, replica: str) -> LogReader:
        raise Missing(replica, "is not there")


def test_a_replica_is_one_document_and_a_wrong_name_one_line(feed: Feed):
    worlds = {"net": lambda: Logless("net", 1), "docker": lambda: None}
    with serving(server.listen(feed, dict, ROOT, 0, worlds=worlds)) as found:  # type: ignore[arg-type]
        status, headers, body = ask(found, "/replica.json?world=net&name=order-service")
        assert (status, headers["Content-Type"]) == (200, "application/json")
        assert headers["Cache-Control"] == "no-store"
        assert json.loads(body)["detail"]["name"] == "order-service"
        for query, code in {
            "": 404,
            "?world=net": 404,
            "?world=net&name=redis%0a%1b[2J": 404,
            "?world=../net&name=order-service": 404,
            "?world=docker&name=order-service": 404,
            "?" + "a=1&" * 20: 400,
        }.items():
            status, headers, body = ask(found, f"/replica.json{query}")
            assert (status, headers["Content-Type"]) == (code, "text/plain; charset=utf-8")
            assert body.decode().strip().isprintable()
        assert ask(found, "/replica.json?world=net&name=order-service", "POST")[0] == 405
        assert ask(found, "/replica.json?world=net&name=order-service", "HEAD")[2] == b""


def test_a_replica_that_is_not_known_in_time_is_said_to_be(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(looks, "WAIT_S", 0.05)
    end = threading.Event()

    def hangs() -> None:
        end.wait(20)

    worlds = {"net": hangs, "docker": hangs}
    with serving(server.listen(feed, dict, ROOT, 0, worlds=worlds)) as found:  # type: ignore[arg-type]
        try:
            status, headers, body = ask(found, "/replica.json?world=net&name=order-service")
        finally:
            end.set()
        assert (status, headers["Retry-After"]) == (503, "2")
        assert b"has not answered within 0.05 s" in body


def events_of(link: http.client.HTTPResponse, count: int) -> list[tuple[str, dict[str, object]]]:
    found: list[tuple[str, dict[str, object]]] = []
    kind = ""
    while len(found) < count:
        text = link.readline().decode().rstrip()
        if text.startswith("event: "):
            kind = text.removeprefix("event: ")
        elif text.startswith("data: "):
            found.append((kind, json.loads(text.removeprefix("data: "))))
    return found


def stream(board: server.Server) -> http.client.HTTPResponse:
    link = http.client.HTTPConnection("127.0.0.1", board.port, timeout=5)
    link.request("GET", "/events")
    return link.getresponse()


def test_a_client_gets_the_history_and_then_each_sample(board, feed: Feed):
    with closing(stream(board)) as link:
        first = events_of(link, 3)
        assert [kind for kind, _ in first] == ["history", "sample", "sample"]
        assert first[0][1]["worlds"]["net"]["states"]["redis-cache"] == "u"  # type: ignore[index]
        feed.take("net", line(2.0))
        kind, found = events_of(link, 1)[0]
        assert (kind, found["at"]) == ("sample", 2.0)


def death(replica: str) -> dict[str, object]:
    return {"at": 1.0, "kind": "death", "replica": replica, "text": "gone", "good": False}


def test_a_client_gets_the_events_of_samples_that_it_missed(board, feed: Feed):
    feed.take("net", line(2.0, events=(death("nginx-lb"),)))
    with closing(stream(board)) as link:
        first = events_of(link, 3)
        assert [one["replica"] for one in first[0][1]["events"]] == ["nginx-lb"]  # type: ignore[attr-defined]
        with feed._changed:  # no reader wakes before both are there
            feed.take("net", line(3.0, events=(death("redis-cache"), death("postgres-db"))))
            feed.take("net", line(4.0))
        found = events_of(link, 2)
        assert [kind for kind, _ in found] == ["happened", "sample"]
        events = found[0][1]["events"]
        assert [(one["number"], one["world"], one["replica"]) for one in events] == [  # type: ignore[attr-defined]
            (2, "net", "redis-cache"),
            (3, "net", "postgres-db"),
        ]
        assert found[1][1]["at"] == 4.0
        feed.take("net", line(5.0))
        assert [kind for kind, _ in events_of(link, 1)] == ["sample"]  # each comes once


#: What a client that comes is sent at once; it may come by a slow tunnel.
MOST_BYTES = 600_000


def remember_an_hour(feed: Feed) -> None:
    """Feed 59 minutes of both worlds, with long figures and more events than are kept."""
    sample: dict[str, object] = json.loads(line())
    for second in range(59 * 60):
        at = 1_800_000_000.123456 + second
        figures = dict.fromkeys(FIGURES, at / 3.7)
        events = [{**death("product-service-2"), "at": at, "text": "x" * 160}] * (second % 9 == 0)
        for name in feed.worlds:
            document = {**sample, **figures, "world": name, "at": at, "events": events}
            feed.take(name, json.dumps(document).encode())


def test_a_client_that_comes_after_59_minutes_gets_them_whole_and_they_are_bounded(
    board, feed: Feed
):
    remember_an_hour(feed)
    with closing(stream(board)) as link:
        _, history = events_of(link, 1)[0]
        worlds = history["hour"]["worlds"]  # type: ignore[index]
        for name in feed.worlds:
            assert len(worlds[name]["fine"]["at"]) == 301
            assert len(worlds[name]["means"]["at"]) == 353
        assert len(json.dumps(history)) < MOST_BYTES
        events_of(link, 2)  # the two latest samples
        for second in range(20):
            feed.take("net", line(1_800_003_600.0 + second))
        while (found := events_of(link, 1)[0])[0] != "means":
            pass
        assert found[1]["net"]["means"]["at"][0] == 1_800_003_530  # type: ignore[index]


def test_a_slow_client_gets_the_hour_too(board, feed: Feed, monkeypatch: pytest.MonkeyPatch):
    remember_an_hour(feed)
    monkeypatch.setattr(server._Handler, "timeout", 1.0)
    slow = socket.create_connection(("127.0.0.1", board.port))
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % board.port)
    got = b""
    with closing(slow):
        slow.settimeout(5)
        while b"event: sample" not in got:
            part = slow.recv(16_384)
            assert part, f"it was disconnected after {len(got)} bytes"
            got += part
            time.sleep(0.02)


def test_a_client_that_receives_nothing_delays_no_other(board, feed: Feed):
    deaf = socket.create_connection(("127.0.0.1", board.port))
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.sendall(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % board.port)
    with closing(deaf), closing(stream(board)) as link:
        events_of(link, 3)
        started_s = time.monotonic()
        for number in range(400):  # two megabytes that the deaf one does not take
            feed.take("net", line(10.0 + number))
        last = 0.0
        while last < 409.0:
            kind, found = events_of(link, 1)[0]
            last = float(str(found["at"])) if kind == "sample" else last
        assert time.monotonic() - started_s < 5


def test_streams_at_once_are_bounded(board):
    several = [stream(board) for _ in range(server.STREAMS)]
    assert {one.status for one in several} == {200}
    over = stream(board)
    assert (over.status, over.getheader("Retry-After")) == (503, "5")
    assert ask(board)[0] == 200  # the page itself is still served
    for one in (*several, over):
        one.close()


def test_connections_for_which_there_was_no_thread_are_no_longer_counted(
    board, monkeypatch: pytest.MonkeyPatch
):
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        for _ in range(server.CONNECTIONS):
            with suppress(OSError, http.client.HTTPException):
                ask(board)
    assert ask(board)[0] == 200


def test_plans_are_cached_for_many_who_load_the_page(feed: Feed, monkeypatch: pytest.MonkeyPatch):
    asked = []

    def plans() -> dict[WorldName, Plan | None]:
        asked.append(1)
        time.sleep(0.05)
        return {"net": PLAN, "docker": None}

    kept = server.CachedPlans(plans)
    threads = [threading.Thread(target=kept) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert kept() == {"net": PLAN, "docker": None}
    assert len(asked) == 1
    monkeypatch.setattr(server, "PLANS_S", 0.0)
    kept = server.CachedPlans(plans)
    kept()
    kept()
    assert len(asked) == 3
    with server.listen(feed, plans, ROOT, 0) as found:
        assert isinstance(found.plans, server.CachedPlans)


def test_a_busy_port_is_one_line(feed: Feed):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TwinstackError, match=rf"^port {port}: cannot be listened on: "):
            server.listen(feed, dict, ROOT, port)


def test_metrics_are_served_as_prometheus_reads_them_and_to_no_stranger(board, feed) -> None:
    feed.take("net", line(time.time()))
    status, headers, body = ask(board, "/metrics", X_Prometheus_Scrape_Timeout_Seconds="1")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=")
    assert b'twinstack_world_up{world="net"} 1.0' in body
    assert b'twinstack_world_up{world="docker"}' not in body  # its sample is of 1970
    assert ask(board, "/metrics", Host="rebound.example")[0] == 421
    assert ask(board, "/metrics", Sec_Fetch_Site="cross-site")[0] == 403
