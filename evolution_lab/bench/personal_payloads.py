"""Payloads with invented personal data and secrets whose places are known, as many as asked for.

The identities are Faker's, in several languages, seeded; the layouts are ours: telling names, vague
names, names that say nothing, and sentences. Nothing in them is anybody's.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from evolution_lab.errors import MissingExtraError

if TYPE_CHECKING:
    from faker import Faker

LOCALES: Final = ("en_US", "de_DE", "fr_FR", "es_ES", "pl_PL", "it_IT", "nl_NL", "sv_SE")
LAYOUTS: Final = ("clear", "vague", "opaque", "free text")
TYPED: Final = ("email", "phone", "card", "iban", "ssn", "ip", "secret")
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_CLEAR_NAMES: Final = {
    "name": ("fullName", "full_name", "customer-name", "contactName"),
    "email": ("email", "emailAddress", "e_mail", "contact_email"),
    "phone": ("phone", "phoneNumber", "mobile_phone", "telephone"),
    "address": ("streetAddress", "shipping_address", "billingAddress", "home_address"),
    "dob": ("dateOfBirth", "birth_date", "dob", "birthday"),
    "card": ("cardNumber", "card_number", "creditCard", "pan"),
    "iban": ("iban", "IBAN", "bankAccount", "accountNumber"),
    "ssn": ("ssn", "socialSecurityNumber", "taxId", "national_id"),
    "ip": ("clientIp", "ip_address", "remoteAddr", "userIp"),
    "secret": ("apiKey", "access_token", "password", "clientSecret"),
}
_VAGUE_NAMES: Final = {
    "name": "recipient", "email": "contact", "phone": "tel", "address": "ship_to", "dob": "born",
    "card": "number", "iban": "acct", "ssn": "tin", "ip": "remote", "secret": "value",
}  # fmt: skip


@dataclass(frozen=True)
class LabelledPayload:
    """A payload and what in it is personal, secret or safe.

    Attributes:
        layout: How it is laid out.
        payload: JSON.
        personal: (kind, value) of what must not remain.
        safe: Paths and values that must stay.
    """

    layout: str
    payload: dict[str, Any]
    personal: tuple[tuple[str, str], ...]
    safe: tuple[tuple[tuple[str | int, ...], Any], ...] = field(default=())


def labelled_payloads(n_payloads: int, *, seed: int = 0) -> Iterator[LabelledPayload]:
    """Yield payloads of about 1 KB, the layouts in turn.

    Args:
        n_payloads: How many.
        seed: Of everything drawn.

    Raises:
        MissingExtraError: Faker is not installed.
    """
    try:
        from faker import Faker
    except ImportError:
        raise MissingExtraError("faker", "bench") from None
    rng = random.Random(seed)  # noqa: S311 - no secret depends on it
    fakers = [Faker(locale) for locale in LOCALES]
    for number, fake in enumerate(fakers):
        fake.seed_instance(seed * 100 + number)
    for number in range(n_payloads):
        layout = LAYOUTS[number % len(LAYOUTS)]
        fake = fakers[rng.randrange(len(fakers))]
        values = _identity(fake, fakers[0], rng)
        order, safe = _order(fake, rng)
        payload = _laid_out(layout, values, rng)
        payload["order"] = order
        paths = tuple((("order", name), value) for name, value in safe.items())
        yield LabelledPayload(layout, payload, tuple(values.items()), paths)


def _identity(fake: Faker, american: Faker, rng: random.Random) -> dict[str, str]:
    born = fake.date_of_birth(minimum_age=18, maximum_age=90)
    token = "".join(rng.choices(_LETTERS, k=36))
    return {
        "name": f"{fake.first_name()} {fake.last_name()}",
        "email": fake.email().replace("example", rng.choice(("post", "mailbox", "acme"))),
        "phone": fake.phone_number(),
        "address": f"{fake.street_address()}, {fake.postcode()} {fake.city()}".replace("\n", ", "),
        "dob": born.strftime(rng.choice(("%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y"))),
        "card": fake.credit_card_number(rng.choice(("visa16", "mastercard", "amex"))),
        "iban": fake.iban(),
        "ssn": american.ssn(),
        "ip": rng.choice((fake.ipv4_public, fake.ipv4_public, fake.ipv6))(),
        "secret": rng.choice(
            (
                f"ghp_{token}",
                f"sk_live_{token[:24]}",
                f"AKIA{token[:16].upper()}",
                f"xoxb-{token[:28]}",
                f"Bearer {token}",
            )
        ),
    }


def _order(fake: Faker, rng: random.Random) -> tuple[dict[str, Any], dict[str, Any]]:
    safe = {
        "orderId": str(fake.uuid4()),
        "createdAt": fake.iso8601() + "Z",
        "sku": f"SKU-{rng.randrange(10_000):04d}",
        "amount": round(rng.uniform(1, 900), 2),
        "currency": rng.choice(("EUR", "USD", "PLN")),
        "status": rng.choice(("draft", "paid", "in_transit", "void")),
        "quantity": rng.randrange(1, 20),
        "version": f"{rng.randrange(9)}.{rng.randrange(40)}.{rng.randrange(20)}",
        "traceId": f"{rng.getrandbits(128):032x}",
        "title": rng.choice(("Blue ceramic mug", "Oak table", "Desk lamp", "Garden hose 20 m")),
        "epoch": rng.randrange(1_600_000_000, 1_790_000_000),
        "weightGrams": rng.randrange(50, 90_000),
        "prefixedId": f"ord_{''.join(rng.choices(_LETTERS[:26], k=10))}",
        "locale": rng.choice(("en-GB", "de-DE")),
    }
    return dict(safe), safe


def _laid_out(layout: str, values: dict[str, str], rng: random.Random) -> dict[str, Any]:
    if layout == "clear":
        named = {rng.choice(_CLEAR_NAMES[kind]): value for kind, value in values.items()}
        split = dict(list(named.items())[:5]), dict(list(named.items())[5:])
        return {"customer": split[0], "payment": split[1]}
    if layout == "vague":
        named = {_VAGUE_NAMES[kind]: value for kind, value in values.items()}
        number, secret = named.pop("number"), named.pop("value")
        return {"input": named, "pm": {"number": number}, "token": {"token": secret}}
    if layout == "opaque":
        return {"rows": [{"k": f"c{n}", "v": value} for n, value in enumerate(values.values())]}
    v = values
    return {
        "messages": [
            f"{v['name']} wrote from {v['email']}, please call back on {v['phone']} before noon.",
            f"Deliver to {v['address']} and leave it at the door; born {v['dob']}, SSN {v['ssn']}.",
            f"Charged {v['card']}, refund goes to {v['iban']}; seen from {v['ip']} with {v['secret']}",
        ]
    }
