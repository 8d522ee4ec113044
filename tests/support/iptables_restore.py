"""What `iptables-restore --noflush` makes of a table, without a kernel."""

from __future__ import annotations

from collections.abc import Mapping


def restored(present: Mapping[str, tuple[str, ...]], text: str) -> dict[str, tuple[str, ...]]:
    """Do what `iptables-restore --noflush` does, as far as these texts go."""
    after = {table: list(lines) for table, lines in present.items()}
    current: list[str] = []
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if line.startswith("*"):
            current = after.setdefault(line[1:], [])
        elif line.startswith(":"):
            chain = word[1:]
            current[:] = [kept for kept in current if not kept.startswith(f"-A {chain} ")]
            if not any(kept.startswith(f":{chain} ") for kept in current):
                current.insert(0, line)
        elif word == "-A":
            assert any(kept.startswith(f":{rest.split()[0]} ") for kept in current), line
            current.append(line)
        elif word == "-I":
            place = next(
                (n for n, kept in enumerate(current) if kept.startswith(f"-A {rest.split()[0]} ")),
                len(current),
            )
            current.insert(place, f"-A {rest}")
        elif word == "-D":
            current.remove(f"-A {rest}")
        elif word == "-F":
            current[:] = [kept for kept in current if not kept.startswith(f"-A {rest} ")]
        elif word == "-X":
            users = [kept for kept in current if kept.endswith(f" -j {rest}")]
            assert not users, f"{rest} is still used by {users}"
            current[:] = [kept for kept in current if not kept.startswith(f":{rest} ")]
        else:
            assert line == "COMMIT"
    return {table: tuple(lines) for table, lines in after.items()}
