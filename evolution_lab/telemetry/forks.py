"""Objects that own threads and pipes, made anew in a forked process.

A pre-forking server makes its application once and forks; threads do not survive that, and a pipe
would be shared with strangers.
"""

from __future__ import annotations

import os
from typing import Final, Protocol
from weakref import WeakSet


class Renewable(Protocol):
    """Owns something that a forked process must not go on using."""

    def renew(self) -> None:
        """Forget the parent's threads, locks, pipes and counts; called in the new process."""


_renewables: Final[WeakSet[Renewable]] = WeakSet()


def renew_when_forked(owner: Renewable) -> None:
    """Have ``owner.renew()`` called in every process forked from now on."""
    _renewables.add(owner)


def _renew_all() -> None:
    for owner in list(_renewables):
        owner.renew()


os.register_at_fork(after_in_child=_renew_all)
