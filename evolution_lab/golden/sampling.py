"""Which calls are recorded: the same ones in every process, at a rate that is spelt out above 5 %."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from evolution_lab.errors import ConfigError

HIGHEST_RATE: Final = 0.05
"""The most that is recorded without a reason in words."""
SHARES: Final = 1 << 56
"""Traces fall into this many equal shares."""
_SHARE_DIGITS: Final = 14
_TRACE_DIGITS: Final = 32


def checked_rate(rate: float, reason: str | None) -> float:
    """Return a sample rate that may be used.

    Args:
        rate: Share of calls, fraction.
        reason: Why more than 5 % is wanted, in words; None where it is not.

    Raises:
        ConfigError: The rate is no fraction, or above 5 % without a reason.

    Examples:
        >>> checked_rate(0.02, None), checked_rate(1.0, "staging, nobody's data")
        (0.02, 1.0)
    """
    if not 0 <= rate <= 1:
        raise ConfigError(f"traffic_sample_rate == {rate}, must be between 0 and 1.")
    if rate > HIGHEST_RATE and not (reason or "").strip():
        raise ConfigError(
            f"traffic_sample_rate == {rate}, must be at most {HIGHEST_RATE}: recording costs the "
            "service and holds people's data. Say why you need more: "
            'allow_more_than_5_percent="…".'
        )
    return rate


def share_of(trace_id: str) -> int:
    """Return which of ``SHARES`` a trace falls into; equal in every process and language.

    A trace id of 32 hexadecimal digits is its own randomness: the last 56 bits of it (W3C Trace
    Context Level 2, "random trace id flag"; the same that OpenTelemetry's probability samplers read),
    so that what is recorded here has its spans there. Any other text is hashed.

    Examples:
        >>> share_of("4bf92f3577b34da6a3ce929d0e0e4736") == 0xce929d0e0e4736
        True
        >>> 0 <= share_of("call-7") < SHARES
        True
    """
    if len(trace_id) == _TRACE_DIGITS:
        try:
            return int(trace_id[-_SHARE_DIGITS:], 16)
        except ValueError:
            pass
    text = trace_id.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=7).digest(), "big")


def first_share(rate: float) -> int:
    """Return the share from which on traces are recorded at a rate.

    Rejecting the low end makes every lower rate's traces a part of every higher one's.

    Examples:
        >>> first_share(1.0), first_share(0.0) == SHARES
        (0, True)
    """
    return round((1 - rate) * SHARES)
