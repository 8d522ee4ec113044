"""That every replica of a service gets its turn, as the edge's answers say; pure."""

from __future__ import annotations

from dataclasses import dataclass

from twinstack.course.own_step import OwnStep, Printed


@dataclass(frozen=True, slots=True)
class Turns(OwnStep):
    """Wait until each of some replicas has answered. Three requests are sent for each of them."""

    url: str
    replicas: tuple[str, ...]
    NAME = "turns"

    @property
    def _asking(self) -> str:
        """Print who answered each request."""
        ask = f"curl -s -m 2 -o /dev/null -D - {self.url} | grep -i ^x-served-by"
        return f"for n in {{1..{3 * len(self.replicas)}}}; do {ask}; done"

    @property
    def looks(self) -> tuple[str, ...]:
        return (f"{self._asking}; true",)

    @property
    def commands(self) -> tuple[str, ...]:
        answered = f'[ "$({self._asking} | sort -u | wc -l)" = {len(self.replicas)} ]'
        return (f"for try in {{1..40}}; do {answered} && break; sleep 0.5; done",)

    def difference(self, printed: Printed) -> str | None:
        answers = printed[self.looks[0]].split()
        silent = [replica for replica in self.replicas if replica not in answers]
        if not silent:
            return None
        return f"{', '.join(silent)} answered none of {3 * len(self.replicas)} requests"
