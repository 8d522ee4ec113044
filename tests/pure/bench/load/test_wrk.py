"""wrk's report is read with its units, and a failure is no success."""

from __future__ import annotations

import pytest

from bench.load import wrk
from twinstack.errors import CannotTell

WRK = """\
Running 1s test @ http://127.0.0.1:18998/
  1 threads and 10 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   658.36us  483.83us   4.65ms   92.76%
    Req/Sec    10.34k     1.13k   12.02k    60.00%
  Latency Distribution
     50%  539.00us
     75%  651.00us
     90%    0.93ms
     99%    3.07ms
  10308 requests in 1.01s, 30.00MB read
{more}Requests/sec:  10293.27
Transfer/sec:     30.09MB
"""


def test_a_report_is_read_with_its_units() -> None:
    tally = wrk.parse(WRK.format(more=""))
    assert (tally.done, tally.failed) == (10308, 0)
    assert tally.figures == pytest.approx({"seconds": 1.01, "p50_ms": 0.539, "p99_ms": 3.07})


def test_answers_outside_2xx_are_no_success() -> None:
    more = (
        "  Socket errors: connect 0, read 7, write 0, timeout 1\n  Non-2xx or 3xx responses: 308\n"
    )
    tally = wrk.parse(WRK.format(more=more))
    assert (tally.done, tally.failed) == (10_000, 316)


@pytest.mark.parametrize("text", ["", "unable to connect to 127.0.0.1:1 Connection refused\n"])
def test_a_report_that_is_not_whole_cannot_be_read(text: str) -> None:
    with pytest.raises(CannotTell, match="lacks a figure"):
        wrk.parse(text)


def test_a_command_has_its_headers_and_bounds() -> None:
    words = wrk.command("http://x/", 2, 3, ("Connection: close",))
    assert words[:6] == ["wrk", "--latency", "-t", "1", "-c", "2"]
    assert words[-3:] == ["-H", "Connection: close", "http://x/"]


def test_a_run_of_less_than_whole_seconds_is_interrupted_before_its_last_tick() -> None:
    words = wrk.command("http://x/", 2, 1.4, ())
    assert words[:5] == ["timeout", "--foreground", "--preserve-status", "--signal=INT", "1.35"]
    assert "2s" in words
    assert wrk.command("http://x/", 2, 2.0, ())[0] == "wrk"
