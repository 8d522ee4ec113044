"""Chains of our own in iptables, as text in the form that iptables-save prints. Pure.

Every rule is in a chain of ours and carries our mark as a comment, as do the jumps from the
built-in chains. Rules are written as iptables-save prints them, so that comparing them with the
present ones is comparing lines. Source: iptables-extensions(8).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from twinstack.printable import counted

#: The command that takes the texts written here: no chain but those that they name is emptied.
RESTORE = ("iptables-restore", "--noflush", "--wait", "5")
#: How deep chains may lead on, in chains that lead in circles.
_MAX_JUMPS = 8
#: The present rules by table: `:CHAIN` and `-A CHAIN …` lines of iptables-save.
Tables = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Hook:
    """One of our chains, and the built-in chain that jumps to it."""

    table: str
    builtin: str  # "" where only others of our chains jump to it
    chain: str
    rules: tuple[str, ...]
    first: bool = False  # the jump comes before foreign rules, which would drop or accept
    comment: str = ""

    @property
    def jump(self) -> str:
        """The rule that jumps to the chain; empty where no built-in one does."""
        if not self.builtin:
            return ""
        return f"-A {self.builtin} -m comment --comment {quoted(self.comment)} -j {self.chain}"

    @property
    def lines(self) -> tuple[str, ...]:
        """The chain's content as iptables-save prints it."""
        return tuple(f"-A {self.chain} {rule}" for rule in self.rules)

    @property
    def title(self) -> str:
        """Its name in messages: that of the built-in chain, or its own."""
        return f"{self.table} {self.builtin or self.chain}"


@dataclass(frozen=True, slots=True)
class Ownership:
    """How a world's chains and rules are recognised, without its plan."""

    pattern: re.Pattern[str]  # matches the start of its chains' names
    mark: str  # the first word of the comment on each of its rules

    def owns(self, chain: str) -> bool:
        """Tell whether a chain is this world's."""
        return self.pattern.match(chain) is not None

    def chains(self, lines: tuple[str, ...]) -> list[str]:
        """List this world's chains among a table's lines."""
        names = (line[1:].split()[0] for line in lines if line.startswith(":"))
        return [chain for chain in names if self.owns(chain)]


def exactly(chain: str) -> re.Pattern[str]:
    """Match one chain's name."""
    return re.compile(rf"{re.escape(chain)}\Z")


def quoted(comment: str) -> str:
    """Quote a comment as iptables-save does."""
    return f'"{comment}"'


def without_comments(line: str) -> str:
    """Leave out what is quoted: a comment may hold any words, also a target's."""
    return re.sub(r'"(?:[^"\\]|\\.)*"', "", line)


@functools.lru_cache(maxsize=65536)
def target(line: str) -> str:
    """Give a rule's target: what it does with a packet, or the chain that it goes to."""
    match = re.search(r" -[jg] (\S+)", without_comments(line))
    return match[1] if match else ""


def matches_link(pattern: str, link: str) -> bool:
    """Tell whether a rule's -i or -o matches a link: "+" at the end stands for any rest.

    Source: iptables(8).
    """
    return link.startswith(pattern[:-1]) if pattern.endswith("+") else link == pattern


def restore_text(hooks: tuple[Hook, ...], present: Tables) -> str:
    """Write the input of one `iptables-restore --noflush` that creates chains and their jumps.

    Naming a chain there empties it, so its content is replaced as a whole; a jump is added only
    where it is absent. A table is committed at once or not at all.
    """
    text: list[str] = []
    for table in dict.fromkeys(hook.table for hook in hooks):
        in_table = [hook for hook in hooks if hook.table == table]
        text.append(f"*{table}")
        text += [f":{hook.chain} - [0:0]" for hook in in_table]
        for hook in in_table:
            text += hook.lines
            if hook.jump and hook.jump not in present.get(table, ()):
                text.append(hook.jump.replace("-A ", "-I ", 1) if hook.first else hook.jump)
        text.append("COMMIT")
    return "\n".join([*text, ""])


def removal_text(ours: Ownership, present: Tables, only: Collection[str] | None = None) -> str:
    """Write the input of one `iptables-restore --noflush` that removes a world's chains.

    Needs no plan: chains are recognised by name, jumps by the chain they lead to. A chain in which
    another program has put a rule loses our rules and stays. `only` restricts it to some chains.
    Empty when there is nothing to remove.
    """
    text: list[str] = []
    for table, lines in present.items():
        chains = [chain for chain in ours.chains(lines) if only is None or chain in only]
        if not chains:
            continue
        kept = set(chains) & set(foreign_rules(ours.mark, lines))
        removed = [chain for chain in chains if chain not in kept]
        text.append(f"*{table}")
        for line in lines:
            if not line.startswith("-A "):
                continue
            chain = line.split()[1]
            is_ours = chain in kept and _is_marked(line, ours.mark)
            if chain not in removed and (target(line) in chains or is_ours):
                text.append(line.replace("-A ", "-D ", 1))
        text += [f"-F {chain}" for chain in removed]
        text += [f"-X {chain}" for chain in removed]
        text.append("COMMIT")
    return "\n".join([*text, ""]) if text else ""


@functools.lru_cache(maxsize=8)
def foreign_rules(mark: str, lines: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    """Map each chain, ours or not, to its rules without our mark, if it has any."""
    rules: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("-A ") and not _is_marked(line, mark):
            rules.setdefault(line.split(" ", 2)[1], []).append(line)
    return {chain: tuple(lines) for chain, lines in rules.items()}


_COMMENT = re.compile(r'--comment "?([^\s"]+)')


def _is_marked(line: str, mark: str) -> bool:
    comment = _COMMENT.search(line)
    return comment is not None and comment[1] == mark


def difference(hook: Hook, present: tuple[str, ...]) -> str | None:
    """Say how a chain differs from the declared one, or None."""
    if not any(line.startswith(f":{hook.chain} ") for line in present):
        return f"chain {hook.chain} is absent"
    rules = tuple(line for line in present if line.startswith(f"-A {hook.chain} "))
    if rules != hook.lines:
        missing = len(set(hook.lines) - set(rules))
        surplus = len(set(rules) - set(hook.lines))
        parts = [f"misses {counted(missing, 'rule')}"] if missing else []
        parts += [f"has {counted(surplus, 'rule')} too many"] if surplus else []
        return ", ".join(parts) or "has its rules in another order, or twice"
    if hook.jump and hook.jump not in present:
        return f"the jump from {hook.builtin} is absent"
    return None


def withdrawn(hooks: Iterable[Hook], present: tuple[str, ...]) -> frozenset[str] | None:
    """Give the addresses that lose a permission when chains of a table are rewritten.

    None: it may be any. Rules that only permit more take it from nobody.
    """
    addresses: set[str] = set()
    for hook in hooks:
        if not any(line.startswith(f":{hook.chain} ") for line in present):
            return None
        before = [line for line in present if line.startswith(f"-A {hook.chain} ")]
        kept = [line for line in before if line in hook.lines]
        if kept != [line for line in hook.lines if line in before]:
            return None  # the order changed
        fresh = [line for line in hook.lines if line not in before]
        if any(target(line).endswith(("DROP", "DENY")) for line in fresh):
            return None
        for line in before:
            if line not in kept:
                named = re.findall(r" -[sd] ([\d.]+)/32\b", without_comments(line))
                if not named:
                    return None
                addresses.update(named)
    return frozenset(addresses)


def parse_save(text: str) -> dict[str, tuple[str, ...]]:
    """Read the output of iptables-save, by table."""
    tables: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if line.startswith("*"):
            current = tables.setdefault(line[1:], [])
        elif line.startswith((":", "-A ")):
            current.append(line)
    return {table: tuple(lines) for table, lines in tables.items()}


def followed(lines: Sequence[str], chain: str) -> Iterator[str]:
    """List the rules that a chain's packets may meet, in their order, without comments."""
    chains: dict[str, list[str]] = {}  # sorted out once: a host of many services has thousands
    declared: set[str] = set()
    for line in lines:
        name = line.removeprefix("-A ").removeprefix(":").split(" ", 1)[0]
        if line.startswith(":"):
            declared.add(name)
        elif line.startswith("-A "):
            chains.setdefault(name, []).append(line)

    def follow(chain: str, depth: int) -> Iterator[str]:
        for line in map(without_comments, chains.get(chain, ())):
            yield line
            if (jump := target(line)) in declared and depth < _MAX_JUMPS:
                yield from follow(jump, depth + 1)

    return follow(chain, 0)
