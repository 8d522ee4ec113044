"""A step of a lesson that no plan has: commands make it, looks show it, others take it away; pure.

A look is a command of the shell that changes nothing; `difference` judges what the looks printed.
`shell` runs them all, as the student would.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from twinstack.reconcile import Described

#: What each look printed; nothing if it failed, as it does where the thing is absent.
Printed = Mapping[str, str]


class OwnStep(Described):
    """One such step; its templates are as `Described` has them."""

    __slots__ = ()
    LOOKS: ClassVar[tuple[str, ...]]
    UNDO: ClassVar[tuple[str, ...]] = ()
    CLAIMS: ClassVar[tuple[str, ...]] = ()

    @property
    def looks(self) -> tuple[str, ...]:
        """The commands that show it."""
        return tuple(look.format(self) for look in self.LOOKS)

    @property
    def undo(self) -> tuple[str, ...]:
        """The commands that take it away; they fail where nothing of it is there."""
        return tuple(command.format(self) for command in self.UNDO)

    @property
    def claims(self) -> tuple[str, ...]:
        """The paths that must be free before a lesson, since `undo` takes away what is there."""
        return tuple(path.format(self) for path in self.CLAIMS)

    @property
    def sysctls(self) -> tuple[str, ...]:
        """The host's sysctls that it sets, which get their former values back."""
        return ()

    def difference(self, printed: Printed) -> str | None:
        """Say how it differs from what its looks printed; None when it does not."""
        raise NotImplementedError
