"""How stores fail. Apart from the stores: a service without one imports no driver."""

from __future__ import annotations


class RedisDown(Exception):
    """Redis did not answer, or its breaker is open."""


class DatabaseDown(Exception):
    """PostgreSQL did not answer in time, or refused us; nothing was committed."""


class OutcomeUnknown(Exception):
    """The connection broke during COMMIT: the transaction may or may not have happened."""
