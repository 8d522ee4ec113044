"""Where a field lies is read from the kernel's own description of its types."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from twinstack.linux.btf import Kind, kernel_types

STRINGS = b"\0int\0inner\0outer\0first\0second\0reason\0NONE\0DENIED\0"


def at(name: str) -> int:
    return STRINGS.index(b"\0" + name.encode() + b"\0") + 1


def type_(name: str, kind: Kind, count: int, size: int, more: bytes = b"") -> bytes:
    return struct.pack("<III", at(name) if name else 0, kind << 24 | count, size) + more


def member(name: str, of: int, offset: int) -> bytes:
    return struct.pack("<III", at(name) if name else 0, of, offset * 8)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    types = (
        type_("int", Kind.INT, 0, 4, bytes(4))
        + type_("", Kind.UNION, 1, 8, member("second", 1, 4))
        + type_("inner", Kind.STRUCT, 2, 16, member("first", 1, 0) + member("", 2, 8))
        + type_("outer", Kind.STRUCT, 2, 32, member("first", 1, 0) + member("inner", 5, 16))
        + type_("", Kind.CONST, 0, 3)
        + type_(
            "reason",
            Kind.ENUM,
            2,
            4,
            struct.pack("<IiIi", at("NONE"), 0, at("DENIED"), 7),
        )
    )
    head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(STRINGS))
    (path := tmp_path / "btf").write_bytes(head + types + STRINGS)
    return path


def test_a_field_is_found_through_inner_structures_unnamed_ones_and_qualifiers(file: Path):
    types = kernel_types(file)
    assert types.offset("inner", "first") == 0
    assert types.offset("inner", "second") == 8 + 4
    assert types.offset("outer", "inner", "second") == 16 + 8 + 4


def test_an_enumeration_gives_its_names_by_value(file: Path):
    assert kernel_types(file).enumerators("reason") == {0: "NONE", 7: "DENIED"}


def test_what_a_kernel_does_not_have_is_named(file: Path):
    types = kernel_types(file)
    with pytest.raises(LookupError, match=r"struct outer has no inner\.third"):
        types.offset("outer", "inner", "third")
    with pytest.raises(LookupError, match="no struct sk_buff"):
        types.offset("sk_buff", "head")
    assert types.identity(Kind.STRUCT, "inner") == 3


def test_a_file_of_another_kind_is_refused(tmp_path: Path):
    (other := tmp_path / "other").write_bytes(bytes(64))
    with pytest.raises(LookupError, match="is no BTF"):
        kernel_types(other)
    other.write_bytes(b"")
    with pytest.raises(LookupError, match="is no BTF"):
        kernel_types(other)
