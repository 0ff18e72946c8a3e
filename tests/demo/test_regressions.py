"""Each regression changes answers that are then different, and leaves all others alone."""

import pytest

from evolution_lab.demo.shop import REGRESSIONS, ShopSettings
from evolution_lab.errors import UnknownNameError

CARTS = {"GET /carts/{cartId}", "POST /carts/{cartId}/items"}
SHOWN_BY = {
    "wrong-total": CARTS,
    "dropped-field": {"GET /products/{sku}"},
    "wrong-error-code": {"GET /carts/{cartId}"},
    "renamed-enum": {"POST /checkout", "GET /orders"},
    "off-by-one-page": {"GET /orders"},
    "changed-rounding": {"POST /invoices"},
    "number-as-text": {"POST /quotes"},
    "reversed-order": {"GET /products"},
}

SEED = 11


@pytest.fixture(scope="module")
def usual(serve, send_sessions, stable):
    with serve() as (_app, client):
        return [(key, *stable(answer)) for key, answer in send_sessions(client, seed=SEED)]


def test_there_are_at_least_six_and_each_is_tested():
    assert len(REGRESSIONS) >= 6
    assert set(SHOWN_BY) == set(REGRESSIONS)


@pytest.mark.parametrize("name", sorted(SHOWN_BY))
def test_a_regression_changes_its_operations_and_no_other(
    name, usual, serve, send_sessions, stable
):
    with serve(regressions={name}) as (_app, client):
        changed = [(key, *stable(answer)) for key, answer in send_sessions(client, seed=SEED)]
    assert [key for key, *_ in changed] == [key for key, *_ in usual]
    differing = {one[0] for one, other in zip(changed, usual, strict=True) if one != other}
    assert differing == SHOWN_BY[name]


def test_regressions_can_be_combined(serve):
    both = {"dropped-field", "wrong-error-code"}
    with serve(regressions=both) as (_app, client):
        assert "currency" not in client.get("/products/sku-0001").json()
        assert client.get("/carts/no").json()["error"]["code"] == "invoice_not_found"


def test_an_unknown_regression_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownNameError, match="Did you mean 'wrong-total'"):
        ShopSettings(regressions=frozenset({"wrong-totals"}))
