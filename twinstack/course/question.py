"""A question of a lesson: its answer is read from the running world when it is judged; pure."""

from __future__ import annotations

from dataclasses import dataclass

from twinstack.course.own_step import OwnStep, Printed


@dataclass(frozen=True, slots=True)
class Question(OwnStep):
    """One question; `look` is the command that prints the answer."""

    key: str  # by which an answer is given
    text: str
    look: str
    given: str = ""
    NAME = "question {0.key}"

    @property
    def looks(self) -> tuple[str, ...]:
        return (self.look,)

    def difference(self, printed: Printed) -> str | None:
        """Judge the answer; of several words in any order, each must be there."""
        if not self.given.strip():
            return f"is not answered: {self.text}"
        right = printed[self.look].split()
        if not right:
            return "cannot be judged: what it asks of is not there"
        return None if sorted(self.given.split()) == sorted(right) else f"{self.given} is not it"
