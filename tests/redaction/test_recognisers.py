"""What is found, what is left alone, and that no text is too dear to look through."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum import luhn

from evolution_lab.redaction.key_names import kind_of_name
from evolution_lab.redaction.phone_numbers import find_phones
from evolution_lab.redaction.recognisers import RECOGNISERS, find_all

# (text, kind, what must be within one finding of that kind)
FOUND = [
    ("no user jane.doe+x@mail.example.co.uk here", "email", "jane.doe+x@mail.example.co.uk"),
    ("?user=jane%40example.com", "email", "jane%40example.com"),
    ("<o'hara@exämple.de>", "email", "o'hara@exämple.de"),
    ("a" * 100 + "@example.com", "email", "a" * 100 + "@example.com"),
    ("call +49 30 901820", "phone", "+49 30 901820"),
    ("+4915112345678", "phone", "+4915112345678"),
    ("dial 0049 30 901820", "phone", "0049 30 901820"),
    ("ring (415) 555-2671 now", "phone", "(415) 555-2671"),
    ("ring 415.555.2671 now", "phone", "415.555.2671"),
    ("tel: 90 18 20", "phone", "90 18 20"),
    ('{"mobile": "9018 2011"}', "phone", "9018 2011"),
    ("card 4111111111111111", "card", "4111111111111111"),
    ("4111-1111-1111-1111", "card", "4111-1111-1111-1111"),
    ("order 4242 4111 1111 1111 1111 1200", "card", "4111 1111 1111 1111"),
    ("order 42 4111111111111111", "card", "4111111111111111"),
    ("card_4111111111111111", "card", "4111111111111111"),
    ("amex 3782 822463 10005.", "card", "3782 822463 10005"),
    ("\uff14\uff11\uff11\uff11 1111 1111 1111", "card", "1111 1111 1111"),
    ("from GB82 WEST 1234 5698 7654 32 TO HIM", "iban", "GB82 WEST 1234 5698 7654 32"),
    ("de89370400440532013000", "iban", "de89370400440532013000"),
    ("id 219-09-9999", "ssn", "219-09-9999"),
    ("SSN is 219 09 9999", "ssn", "219 09 9999"),
    ("refused: 203.0.113.7:5432", "ip", "203.0.113.7"),
    ("to [2001:db8::8a2e:370:7334]:443", "ip", "2001:db8::8a2e:370:7334"),
    ("peer ::ffff:192.0.2.1", "ip", "::ffff:192.0.2.1"),
    ("from 00:1A:2B:3C:4D:5E", "mac", "00:1A:2B:3C:4D:5E"),
    ("DOB: 12 March 1980", "birthday", "12 March 1980"),
    ("born on 5/21/1950", "birthday", "5/21/1950"),
    ("password=correcthorse", "secret", "correcthorse"),
    ("password: 'pass \"word\" 1'", "secret", 'pass "word" 1'),
    ('{"api_key": "a\'b\\"c"}', "secret", "a'b\\\"c"),
    ('{\\"password\\":\\"hunter2\\"}', "secret", "hunter2"),
    ("Authorization: Basic dXNlcjpwYXNz", "secret", "dXNlcjpwYXNz"),
    ("got Bearer abcdefghijklmnopq", "secret", "abcdefghijklmnopq"),
    ("Set-Cookie: sid=1f3; Path=/", "secret", "1f3"),
    ("Cookie: theme=dark; track=42", "secret", "theme=dark; track=42"),
    ("GET /login?access_token=abc&x=1", "secret", "abc"),
    ("refresh_token%3Dabc", "secret", "abc"),
    ("postgres://app:pa55@db/shop", "secret", "app:pa55"),
    ("AKIA" + "IOSFODNN7" + "EXAMPLE", "secret", "IOSFODNN7"),
    ("ghp" + "_" + "a1B2" * 9, "secret", "a1B2" * 9),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "secret", "eyJzdWIiOiIxIn0.c2ln"),
    ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----", "secret", "MIIE"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIE, cut", "secret", "MIIE, cut"),
    ("key Zx9qLm2VbT7sKd4RwYpA8cNf", "secret", "Zx9qLm2VbT7sKd4RwYpA8cNf"),
    ("seen " + "0f" * 32, "secret", "0f" * 32),
]

LEFT_ALONE = [
    "GET /users/{id}/orders/{id}",
    "billing.createInvoice",
    "upstream returned 503 after 3000 ms",
    "rows 1200-1300 of 4500",
    "expected 1024 4096 got 2048 8192",
    "took 1 234 567 us",
    "10 20 30 40 50",
    "1.5 2.5 3.5 4.5 GiB",
    "lat 52.520008 lon 13.404954",
    "SELECT * FROM t WHERE a IN (100, 200, 300, 400)",
    "2024-01-15 10:30:22.123 ERROR",
    "2024/01/15 10:15:30",
    "2024-01-15T10:30:22Z",
    "12/31/2024 10:15",
    "timeout 12:34:56.789",
    "order ec17ff4a-ddf8-4117-b078-406398976959 not found",
    "trace 9eaf12abc8c38e9e0ea20547eca8fc2d",
    "commit 1834dcf4733349f56b41b85a550c888d1234abcd",
    "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "epoch 1621272644",
    "1700000000000000000",
    "SKU-5206 qty 6",
    "java 17.0.9+9-LTS",
    "connection to 127.0.0.1:5432 refused, nor [::1]:5432",
    "std::vector<a1::b2>",
    "Unexpected token } in JSON at position 4",
    "invalid token: unexpected end",
    "Authorization: required",
    "password: must have 8 characters",
    "passwords must match",
    "max_tokens=4096",
    "mapping=fast design: ok outside: none",
    "ERR_HTTP2_STREAM_CANCEL",
    "ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "AccountServiceCreateInvoiceForCustomerAndNotifyWarehouseV2",
    "getUserByIdAndTenantIdAndStatusIn2ndShard",
    "com.acme.checkout.OrderServiceImplV2$Proxy123.call(OrderServiceImplV2.java:112)",
    "arn:aws:iam::123456789012:role/app",
    "SQLSTATE[23505]",
    "npm left-pad@1.3.0",
    "root@localhost",
    "card 4111111111111112",
    "GB82 WEST 1234 5698 7654 33",
]


@pytest.mark.parametrize(("text", "kind", "value"), FOUND, ids=range(len(FOUND)))
def test_finds(text, kind, value):
    start = text.index(value)
    assert any(
        f.kind == kind and f.start <= start and start + len(value) <= f.end for f in find_all(text)
    ), find_all(text)


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_leaves_alone(text):
    assert find_all(text) == []


def test_names_of_operations_lose_what_is_certain_and_keep_what_is_guessed():
    name = "GET /call/030 901820/Zx9qLm2VbT7sKd4RwYpA8cNf/jane@example.org"
    assert [f.kind for f in find_all(name, names_only=True)] == ["email"]


def test_overlaps_become_one_finding_of_the_surest_kind():
    text = "password=jane@example.org"
    assert [(f.kind, text[f.start : f.end]) for f in find_all(text)] == [
        ("secret", "jane@example.org")
    ]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([text for text, *_ in FOUND] + LEFT_ALONE), max_size=4), st.text())
def test_findings_are_in_order_and_apart(parts, between):
    text = between.join(parts)
    position = 0
    for finding in find_all(text):
        assert position <= finding.start < finding.end <= len(text)
        position = finding.end


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 10**11 - 1),
    st.sampled_from(["", " ", "-", "."]),
    st.sampled_from(["", "paid with ", "no. 17 ", "4242 ", "(", "card_"]),
    st.sampled_from(["", ".", " 12/27", ", 100 EUR", ")", " 1234"]),
)
def test_every_card_number_is_found_whatever_stands_around_it(number, separator, before, after):
    digits = f"4539{number:011d}"
    digits += luhn.calc_check_digit(digits)
    card = separator.join(digits[i : i + 4] for i in range(0, 16, 4))
    text = f"{before}{card}{after}"
    start = len(before)
    assert any(f.start <= start and start + len(card) <= f.end for f in find_all(text))


HOSTILE = {
    "letters": "a" * 100_000,
    "letters, at last an @": "a" * 100_000 + "@",
    "ats": "a@" * 50_000,
    "labels": "@" + "a." * 50_000,
    "digits": "1" * 100_000,
    "numbers": "01 " * 33_000,
    "telephones": " ".join(f"0{30 + i % 60} {1_000_000 + 7 * i}" for i in range(9_000)),
    "brackets": "(" * 100_000,
    "colons": "1:" * 50_000,
    "points": "1." * 50_000,
    "key beginnings": "-----BEGIN PRIVATE KEY-----" * 3_000,
    "web tokens": "eyJaaaaaaaa." * 8_000,
    "user infos": "://a:" * 20_000,
    "passwords": 'password="' * 10_000,
    "escapes": 'token="' + "\\" * 100_000,
    "cookies": "cookie: " * 12_000,
    "accounts": "GB82 WEST " * 10_000,
    "tokens": "aA1bB2cC3dD4eE5fF6gG7hH8 " * 4_000,
    "blanks": "basic" + " " * 100_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_is_too_dear(name):
    # Linear: 100 KB take well below a second; a quadratic pattern would take minutes.
    before = time.process_time()
    find_all(HOSTILE[name])
    assert time.process_time() - before < 5


@pytest.mark.parametrize("recogniser", RECOGNISERS, ids=lambda each: each.kind)
def test_recognisers_find_nothing_in_nothing(recogniser):
    assert list(recogniser.find("")) == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("password", "secret"),
        ("db.userPassword", "secret"),
        ("X-Api-Key", "secret"),
        ("http.request.header.set-cookie", "secret"),
        ("HTTP_AUTHORIZATION", "secret"),
        ("customer.e_mail", "email"),
        ("phoneNumber", "phone"),
        ("cardNumber", "card"),
        ("dateOfBirth", "birthday"),
        ("user.full_name", "name"),
        ("billing_address", "address"),
        ("client.address", "ip"),
        ("service.name", None),
        ("server.address", None),
        ("http.route", None),
        ("token_count", None),
        ("monkey", None),
        ("", None),
    ],
)
def test_names_of_fields(name, kind):
    assert kind_of_name(name) == kind


def test_long_runs_of_digits_are_looked_at_once():
    """A pattern that tried every way to part them took 60 ms a row of a table of timestamps."""
    row = ",".join(f"16750787320470{n:05d}" for n in range(400))
    began = time.process_time()
    assert list(find_phones(row)) == []
    list(find_phones("(1" * 2_000))
    assert time.process_time() - began < 2.0
