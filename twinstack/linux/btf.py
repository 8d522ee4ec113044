"""The kernel's own description of its types (BTF): where a field lies, what a number is called.

With it a BPF program can read the kernel's structures without a compiler or headers, on whatever
kernel it is. Source: Documentation/bpf/btf.rst of the kernel.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from pathlib import Path

VMLINUX = Path("/sys/kernel/btf/vmlinux")
_HEADER = struct.Struct("<HBBIIIII")  # struct btf_header
_TYPE = struct.Struct("<III")  # struct btf_type
_MEMBER = struct.Struct("<III")  # struct btf_member: name, type, offset in bits
_ENUMERATOR = struct.Struct("<Ii")  # struct btf_enum
_MAGIC = 0xEB9F


class Kind(IntEnum):
    """Kinds of types: BTF_KIND_*. Source: btf.h."""

    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    DECL_TAG = 17
    ENUM64 = 19


#: Bytes that follow a type's head: for each of its members, or once.
_PER_MEMBER: dict[int, int] = {
    Kind.STRUCT: 12,
    Kind.UNION: 12,
    Kind.ENUM: 8,
    Kind.FUNC_PROTO: 8,
    Kind.DATASEC: 12,
    Kind.ENUM64: 12,
}
_ONCE: dict[int, int] = {Kind.INT: 4, Kind.ARRAY: 12, Kind.VAR: 4, Kind.DECL_TAG: 4}
_THROUGH = {Kind.TYPEDEF, Kind.VOLATILE, Kind.CONST}


@dataclass(frozen=True)
class KernelTypes:
    """The types of the running kernel."""

    strings: bytes
    types: bytes

    @cached_property
    def _offsets(self) -> list[int]:
        """List where each type begins, by its id; id 0 is void."""
        found, offset = [0], 0
        while offset < len(self.types):
            found.append(offset)
            kind, count = self._kind(offset)
            offset += _TYPE.size + _PER_MEMBER.get(kind, 0) * count + _ONCE.get(kind, 0)
        return found

    def identity(self, kind: Kind, name: str) -> int:
        """Give the id of a named type. Raises: LookupError for a kernel that has none."""
        wanted = self.strings.find(b"\0" + name.encode() + b"\0") + 1
        for number, offset in enumerate(self._offsets):
            named = number and wanted and _TYPE.unpack_from(self.types, offset)[0] == wanted
            if named and self._kind(offset)[0] == kind:
                return number
        raise LookupError(f"this kernel has no {kind.name.lower()} {name}")

    def offset(self, structure: str, *path: str) -> int:
        """Give where a field lies in a structure, in bytes; a path leads into inner structures.

        Raises: LookupError.
        """
        inside, total = self.identity(Kind.STRUCT, structure), 0
        for field in path:
            for name, bits, member in self._fields(inside):
                if name == field:
                    inside, total = self._resolved(member), total + bits // 8
                    break
            else:
                raise LookupError(f"this kernel's struct {structure} has no {'.'.join(path)}")
        return total

    def enumerators(self, name: str) -> Mapping[int, str]:
        """Map the values of an enumeration to their names. Raises: LookupError."""
        offset = self._offsets[self.identity(Kind.ENUM, name)]
        found = {}
        for number in range(self._kind(offset)[1]):
            at = offset + _TYPE.size + number * _ENUMERATOR.size
            text, value = _ENUMERATOR.unpack_from(self.types, at)
            found[value] = self._text(text)
        return found

    def _fields(self, number: int) -> Iterator[tuple[str, int, int]]:
        """List a structure's fields (name, offset in bits, type), those of unnamed ones too."""
        offset = self._offsets[number]
        kind, count = self._kind(offset)
        if kind not in {Kind.STRUCT, Kind.UNION}:
            return
        has_bitfields = _TYPE.unpack_from(self.types, offset)[1] >> 31
        for place in range(count):
            at = offset + _TYPE.size + place * _MEMBER.size
            text, member, bits = _MEMBER.unpack_from(self.types, at)
            bits &= 0xFFFFFF if has_bitfields else 0xFFFFFFFF
            if text:
                yield self._text(text), bits, member
            else:
                for name, inner, deeper in self._fields(self._resolved(member)):
                    yield name, bits + inner, deeper

    def _resolved(self, number: int) -> int:
        while number and self._kind(self._offsets[number])[0] in _THROUGH:
            number = _TYPE.unpack_from(self.types, self._offsets[number])[2]
        return number

    def _kind(self, offset: int) -> tuple[int, int]:
        """Give a type's kind and its number of members."""
        info = _TYPE.unpack_from(self.types, offset)[1]
        return info >> 24 & 0x1F, info & 0xFFFF

    def _text(self, offset: int) -> str:
        return self.strings[offset : self.strings.index(b"\0", offset)].decode()


def kernel_types(file: Path = VMLINUX) -> KernelTypes:
    """Read the running kernel's types. Raises: OSError; LookupError for a file of another kind."""
    data = file.read_bytes()
    if len(data) < _HEADER.size:
        raise LookupError(f"{file} is no BTF")
    magic, _, _, head, types, types_bytes, strings, strings_bytes = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise LookupError(f"{file} is no BTF of this machine's byte order")
    return KernelTypes(
        data[head + strings : head + strings + strings_bytes],
        data[head + types : head + types + types_bytes],
    )
