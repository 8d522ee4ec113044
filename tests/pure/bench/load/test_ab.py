"""What ab and wrk print is read for what it says, and no failure passes for a success."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.load import Tally, ab
from twinstack.errors import CannotTell

REPORT = """\
This is ApacheBench, Version 2.3 <$Revision$>

Benchmarking 127.0.0.1 (be patient).....done

Server Software:        nginx
Server Hostname:        127.0.0.1
Server Port:            80

Document Path:          /api/products
Document Length:        Variable

Concurrency Level:      10
Time taken for tests:   0.025 seconds
Complete requests:      60
Failed requests:        {failed}
{more}Total transferred:      {total} bytes
HTML transferred:       {body} bytes
Requests per second:    2400.00 [#/sec] (mean)
Time per request:       4.151 [ms] (mean)
Time per request:       0.415 [ms] (mean, across all concurrent requests)
Transfer rate:          5867.14 [Kbytes/sec] received

Percentage of the requests served within a certain time (ms)
  50%      4
 100%      6 (longest request)
"""
PERCENTILES = "Percentage served,Time in ms\n0,0.708\n50,3.926\n95,5.125\n99,6.250\n100,6.250\n"


def report(*, failed: int = 0, more: str = "", body: int = 180_000) -> Tally:
    text = REPORT.format(failed=failed, more=more, total=body + 7_000, body=body)
    return ab.parse(text, PERCENTILES, answer_bytes=3_000)


def test_ab_report_of_a_good_run_is_read_whole() -> None:
    found = report()
    assert (found.done, found.failed) == (60, 0)
    assert found.figures == {
        "complete": 60,
        "non_2xx": 0,
        "lost": 0,
        "seconds": 0.025,
        "transferred_bytes": 187_000,
        "body_bytes": 180_000,
        "mean_ms": 4.151,
        "p50_ms": 3.926,
        "p95_ms": 5.125,
        "p99_ms": 6.25,
    }


def test_ab_answers_outside_2xx_are_no_success() -> None:
    found = report(more="Non-2xx responses:      20\n", body=120_161)
    assert (found.done, found.failed, found.figures["non_2xx"]) == (40, 20, 20)


def test_ab_connections_closed_without_an_answer_are_no_success() -> None:
    found = report(body=144_000)  # ab itself says: 60 complete, 0 failed
    assert (found.done, found.figures["lost"]) == (48, 12)


def test_ab_reset_connections_are_counted_once() -> None:
    parts = "   (Connect: 0, Receive: 12, Length: 0, Exceptions: 12)\n"
    found = report(failed=24, more=parts, body=144_000)
    assert (found.done, found.figures["lost"]) == (48, 12)


def test_ab_failures_all_count_when_no_answer_is_known() -> None:
    parts = "   (Connect: 0, Receive: 12, Length: 0, Exceptions: 12)\n"
    text = REPORT.format(failed=24, more=parts, total=150_000, body=144_000)
    assert ab.parse(text, PERCENTILES).done == 36


def test_ab_answers_of_slightly_varying_length_are_all_successes() -> None:
    assert report(body=179_400).done == 60


def test_ab_run_of_nothing_but_failures_has_no_success() -> None:
    found = report(more="Non-2xx responses:      60\n", body=9_000)
    assert (found.done, found.failed) == (0, 60)


@given(failed=st.integers(0, 60), non_2xx=st.integers(0, 60), body=st.integers(0, 200_000))
def test_ab_success_never_exceeds_the_answers_that_were_good(
    failed: int, non_2xx: int, body: int
) -> None:
    more = f"Non-2xx responses:      {non_2xx}\n" if non_2xx else ""
    found = report(failed=failed, more=more, body=body)
    assert 0 <= found.done <= max(0, 60 - max(non_2xx, failed))


@pytest.mark.parametrize("text", ["", "Connection refused", "Complete requests:      60\n"])
def test_ab_report_that_is_not_whole_cannot_be_read(text: str) -> None:
    with pytest.raises(CannotTell, match="has no line"):
        ab.parse(text, PERCENTILES)


@pytest.mark.parametrize("text", ["", "Percentage served,Time in ms\n", "nonsense"])
def test_ab_percentiles_that_are_not_there_cannot_be_read(text: str) -> None:
    with pytest.raises(CannotTell):
        ab.parse_percentiles(text)


def test_ab_that_gave_up_says_why_and_how_far_it_came() -> None:
    said = "apr_pollset_poll: The timeout specified has expired (70007)\n"
    assert (
        ab.reason("(be patient)...Total of 57 requests completed\n", said)
        == "apr_pollset_poll: The timeout specified has expired (70007), 57 requests were complete"
    )


def test_ab_is_asked_to_accept_varying_length_and_to_survive_a_reset() -> None:
    load = ab.AbLoad(requests=10, concurrency=50, keepalive=True)
    words = ab.command("http://10.0.0.10:80/", load, Path("x"))
    assert {"-l", "-r", "-k", "-q"} <= set(words)
    assert words[words.index("-c") + 1] == "10"  # ab refuses more clients than requests
