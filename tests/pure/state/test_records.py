from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from twinstack.errors import CannotTell
from twinstack.state import records

NUMBERS = TypeAdapter(dict[str, int])


def test_a_record_reads_back_as_it_was_written_and_none_where_there_is_none(tmp_path: Path):
    path = tmp_path / "there/numbers.json"
    assert records.read(path, NUMBERS, "") is None
    records.write(path, NUMBERS, {"a": 1})
    assert records.read(path, NUMBERS, "") == {"a": 1}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": "b"}', b"\xff\xfe"])
def test_a_record_that_cannot_be_understood_is_an_error_with_its_remedy(
    content: bytes, tmp_path: Path
):
    (tmp_path / "numbers.json").write_bytes(content)
    with pytest.raises(CannotTell, match=r"cannot be understood: .*; remove it"):
        records.read(tmp_path / "numbers.json", NUMBERS, "remove it")
