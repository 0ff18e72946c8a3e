"""Synthetic people: tenants and their users, with names, addresses and numbers nobody has."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

TENANTS: Final = MappingProxyType({"acme": 0.33, "globex": 0.30, "initech": 0.21, "umbrella": 0.16})
"""Tenants and their share of the sessions."""

USERS_PER_TENANT: Final = 40

_GIVEN: Final = (
    "Ada", "Ben", "Carla", "Deniz", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kaia",
    "Luca", "Mira", "Nils", "Olga", "Pablo", "Quinn", "Rosa", "Sami", "Tove",
)  # fmt: skip
_FAMILY: Final = (
    "Abend", "Brook", "Castell", "Dorn", "Ekberg", "Falk", "Grove", "Hasek", "Imhof", "Juhl",
    "Kern", "Lund", "Marsh", "Novak", "Orlow", "Pinto", "Roth", "Sand", "Thorn", "Vale",
)  # fmt: skip
_STREETS: Final = ("Birch Road", "Canal Street", "Harbour Lane", "Mill Row", "Orchard Way")
_TOWNS: Final = (("Northwick", "90001"), ("Easton", "90014"), ("Westbury", "90027"))


@dataclass(frozen=True)
class Person:
    """One synthetic customer; the address ends in ``example.com``, the number begins with 555-01.

    Attributes:
        name: Given and family name.
        email: Under ``example.com``, which belongs to nobody.
        phone: From the range set aside for fiction.
        street: Number and street.
        town: Town.
        postcode: Its code.
    """

    name: str
    email: str
    phone: str
    street: str
    town: str
    postcode: str


def user_id(tenant: str, number: int) -> str:
    """Return the id a user signs in with.

    Examples:
        >>> user_id("acme", 3)
        'acme.user-003@example.com'
    """
    return f"{tenant}.user-{number:03d}@example.com"


def person(tenant: str, number: int) -> Person:
    """Return a user's person, the same every time.

    Examples:
        >>> person("acme", 3).name, person("acme", 3).email
        ('Elif Novak', 'elif.novak.003@acme.example.com')
    """
    at = list(TENANTS).index(tenant) * USERS_PER_TENANT + number
    given = _GIVEN[(at + 1) % len(_GIVEN)]
    family = _FAMILY[(at * 3 + at // 20 + 4) % len(_FAMILY)]
    town, postcode = _TOWNS[at % len(_TOWNS)]
    return Person(
        name=f"{given} {family}",
        email=f"{given}.{family}.{number:03d}@{tenant}.example.com".lower(),
        phone=f"+1-555-01{at % 100:02d}",
        street=f"{1 + at % 90} {_STREETS[at % len(_STREETS)]}",
        town=town,
        postcode=postcode,
    )
