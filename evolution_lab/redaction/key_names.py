"""What the name of a field says about its value: ``user.email``, ``apiKey``, ``first_name``."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_KINDS: Final = (
    ("secret", re.compile(
        r".*\b(?:pass(?:word|wd|code|phrase)|pwd|secret|token|authorization|cookie|credentials?|"
        r"(?:api|access|private|secret|signing|encryption|auth) ?key|apikey|cvv|cvc|otp|pin|csrf|xsrf)$")),
    ("ssn", re.compile(r".*\b(?:ssn|social security(?: number)?|tax ?id|national id|passport(?: number)?)$")),
    ("email", re.compile(r".*\be ?mail(?: address)?$")),
    ("phone", re.compile(r".*\b(?:(?:tele)?phone|tel|mobile|fax|msisdn)(?: number| no)?$")),
    ("iban", re.compile(r".*\b(?:iban|account number|bank account)$")),
    ("card", re.compile(r".*\b(?:card ?(?:number|no)|pan|credit ?card)$")),
    ("birthday", re.compile(r".*\b(?:dob|birth ?da(?:y|te)|date of birth)$")),
    ("name", re.compile(r".*\b(?:(?:full|first|last|middle|given|family|sur|maiden|customer|contact|person|holder) ?names?)$")),
    ("address", re.compile(r".*\b(?:(?:postal|street|home|billing|shipping|delivery|mailing) address(?: line)?(?: \d)?|street)$")),
    ("ip", re.compile(r".*\b(?:(?:client|remote|peer|source|user) ?(?:ip|addr(?:ess)?)|ip(?: address)?|x forwarded for|x real ip)$")),
)  # fmt: skip


@lru_cache(maxsize=4096)
def kind_of_name(name: str) -> str | None:
    """Return the kind of data a field of this name holds, or None where the name does not say.

    Examples:
        >>> kind_of_name("user.emailAddress"), kind_of_name("X-Api-Key"), kind_of_name("service.name")
        ('email', 'secret', None)
    """
    words = " ".join(_WORD.findall(name[:200])).lower()
    return next((kind for kind, pattern in _KINDS if pattern.fullmatch(words)), None)
