"""The engine's stream of a log: frames, lines of several of them, and which are the last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from twinstack.compose.container_log import _last_shown, frames, stamped_lines
from twinstack.world import LogRecord, LogSearch, LogVerdict


def frame(text: bytes) -> bytes:
    return b"\x01\0\0\0" + len(text).to_bytes(4, "big") + text


@given(st.lists(st.binary(max_size=20)), st.integers(1, 30))
def test_frames_come_whole_however_the_stream_is_cut(texts: list[bytes], size: int):
    stream = b"".join(map(frame, texts))
    chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert list(frames(chunks)) == texts


def test_a_line_has_the_time_of_its_first_part():
    stamp, later = b"2026-11-29T10:00:00.123456789Z", b"2026-11-29T10:00:00.2Z"
    texts = [stamp + b" a b\n", stamp + b" long ", later + b" line\n", later + b" end"]
    lines = list(stamped_lines(texts))
    ns = 1795946400_123456789
    assert lines == [(ns, b"a b"), (ns, b"long line"), (1795946400_200000000, b"end")]


def test_the_last_lines_are_kept_with_what_goes_on_from_them():
    def judge(record: LogRecord) -> LogVerdict:
        return {"+": "shown", "-": "hidden", " ": "goes on"}[record.text[0]]  # type: ignore[return-value]

    def kept(last: int, *texts: str) -> list[str]:
        wanted = LogSearch(judge, last, filtered=True)
        return [record.text for record in _last_shown(map(LogRecord, texts), wanted, last)]

    texts = ("+1", " 1", "-2", " 2", "+3", " 3", " 3", "+4", "-5")
    assert kept(2, *texts) == ["+3", " 3", " 3", "+4"]
    assert kept(9, *texts) == ["+1", " 1", "+3", " 3", " 3", "+4"]
    assert kept(0, *texts) == []
