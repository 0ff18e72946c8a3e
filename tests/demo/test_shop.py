"""The shop over loopback: what it promises, what it refuses, what goes wrong when it is told to."""

import copy
import time
from collections import Counter

import httpx
import jsonschema
import pytest

from evolution_lab.demo.shop import ServedApp, ShopSettings, create_shop, openapi_document
from evolution_lab.demo.timeline import Faults
from evolution_lab.errors import InputError

CART = "/carts/cart-acme-0001"
ITEM = {"sku": "sku-0007", "quantity": 2}
DISCONTINUED = {"sku": "sku-0025", "quantity": 1}
QUOTE = {"cartId": "cart-acme-0001", "items": [ITEM]}
INVOICE = {
    "cartId": "cart-acme-0001",
    "quoteId": "quote-acme-0001",
    "customer": {"name": "Ada Brook", "email": "ada.brook@example.com"},
    "poNumber": "PO-00001",
}
ADDRESS = {"name": "Ada Brook", "street": "1 Mill Row", "town": "Easton", "postcode": "90014"}
ORDER = {"cartId": "cart-acme-0001", "card": "card-0001", "shipTo": ADDRESS}


@pytest.fixture(scope="module")
def client(serve):
    with serve() as (_app, client):
        yield client


@pytest.fixture
def broken(serve):
    """A shop of its own, and the switch of its faults."""
    faults = Faults()
    with serve(faults=faults) as (_app, client):
        yield client, faults


def closed(schema):
    """Return a schema in which objects have no properties but the documented ones."""
    if isinstance(schema, dict):
        found = {name: closed(part) for name, part in schema.items()}
        if "properties" in schema:
            found["additionalProperties"] = False
        return found
    return [closed(part) for part in schema] if isinstance(schema, list) else schema


def undocumented(document, key, answer):
    """Say what about an answer the document does not promise; None where it keeps it."""
    method, path = ("POST", "/graphql") if key.startswith("query") else key.split(" ")
    responses = document["paths"][path][method.lower()]["responses"]
    if str(answer.status_code) not in responses:
        return f"status {answer.status_code}"
    schema = responses[str(answer.status_code)]["content"]["application/json"]["schema"]
    whole = closed({**schema, "components": copy.deepcopy(document["components"])})
    try:
        jsonschema.Draft202012Validator(whole).validate(answer.json())
    except jsonschema.ValidationError as error:
        return error.message
    return None


def test_everything_it_answers_is_in_its_document(client, send_sessions):
    document = client.get("/openapi.json").json()
    answers = send_sessions(client, seed=4, minutes=1.0, rate=5.0)
    assert len({key for key, _ in answers}) == 12
    assert {answer.status_code for _, answer in answers} >= {200, 201, 404}
    for key, answer in answers:
        assert undocumented(document, key, answer) is None, (key, answer.text)


def test_its_document_is_openapi_with_an_operation_id_each():
    document = openapi_document("9.9.9")
    assert document["openapi"] == "3.1.0"
    assert document["info"]["version"] == "9.9.9"
    ids = [op["operationId"] for item in document["paths"].values() for op in item.values()]
    assert len(ids) == len(set(ids)) == 11
    assert {"billing.createInvoice", "cart.add", "checkout", "catalog.search"} <= set(ids)
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/products?category=cellar", None, 400, "unknown_category"),
        ("GET", "/products?limit=51", None, 400, "invalid_parameter"),
        ("GET", "/products?limit=%C2%B2", None, 400, "invalid_parameter"),
        ("GET", "/products/sku-9999", None, 404, "product_not_found"),
        ("GET", "/carts/cart-globex-0001", None, 404, "cart_not_found"),
        ("POST", f"{CART}/items", {"sku": 7}, 422, "sku_missing"),
        ("POST", f"{CART}/items", {"sku": "sku-0001", "quantity": True}, 422, "invalid_quantity"),
        ("POST", f"{CART}/items", {"sku": "sku-9999"}, 404, "product_not_found"),
        ("POST", "/quotes", {"cartId": "cart-acme-0001", "items": []}, 422, "items_missing"),
        ("POST", "/quotes", QUOTE | {"items": [7]}, 422, "invalid_item"),
        ("POST", "/quotes", QUOTE | {"items": [{"sku": "no"}]}, 422, "unknown_item"),
        ("POST", "/invoices", INVOICE | {"quoteId": "no"}, 404, "quote_not_found"),
        ("POST", "/invoices", INVOICE | {"quoteId": None}, 422, "reference_missing"),
        ("POST", "/invoices", INVOICE | {"customer": {}}, 422, "customer_missing"),
        ("GET", "/invoices/invoice-globex-0001", None, 404, "invoice_not_found"),
        ("POST", "/checkout", ORDER | {"card": "card-declined"}, 402, "card_declined"),
        ("POST", "/checkout", ORDER | {"card": None}, 422, "payment_missing"),
        ("POST", "/checkout", ORDER | {"shipTo": None}, 422, "address_missing"),
        ("GET", "/orders?page=0", None, 400, "invalid_parameter"),
        ("GET", "/shipments/no", None, 404, "shipment_not_found"),
        ("POST", "/graphql", {"query": 7}, 400, "invalid_body"),
        ("POST", "/quotes", [], 400, "invalid_body"),
    ],
)
def test_it_refuses_with_a_status_and_a_code(client, method, path, body, status, code):
    answer = client.request(method, path, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_it_refuses_callers_it_does_not_know_and_bodies_it_cannot_read(client):
    assert client.get("/orders", headers={"X-User-Id": ""}).status_code == 401
    for content in (b"", b"{", b"\xff", b"[" * 100_000):
        assert client.post("/quotes", content=content).status_code == 400


def test_names_that_look_like_sql_are_only_names(client):
    hostile = "x'; DROP TABLE carts; --"
    assert client.get(f"/carts/{hostile}").status_code == 404
    found = client.get("/products", params={"q": hostile}).json()
    assert found == {"items": [], "total": 0}
    assert client.get(CART).status_code == 200


def test_a_cart_is_quoted_invoiced_and_ordered(client):
    cart = client.post(f"{CART}/items", json=ITEM).json()
    assert ITEM["sku"] in {item["sku"] for item in cart["items"]}
    assert cart == client.get(CART).json()
    total = sum(round(item["price"] * 100) * item["quantity"] for item in cart["items"])
    assert round(cart["total"] * 100) == total
    quote = client.post("/quotes", json=QUOTE).json()
    invoice = client.post("/invoices", json=INVOICE | {"quoteId": quote["quoteId"]}).json()
    assert invoice["net"] == pytest.approx(cart["total"] + quote["amount"])
    assert invoice["tax"] == pytest.approx(invoice["net"] * 0.19, abs=0.0051)
    assert client.get(f"/invoices/{invoice['id']}").json() == invoice
    order = client.post("/checkout", json=ORDER).json()
    assert (order["status"], order["total"]) == ("placed", cart["total"])


def test_pages_follow_each_other_without_gap_or_overlap(client):
    pages = [client.get(f"/orders?page={n}&pageSize=20").json() for n in range(1, 9)]
    ids = [order["id"] for page in pages for order in page["items"]]
    assert len(ids) == len(set(ids)) == pages[0]["total"]


def test_graphql_answers_queries_and_says_what_is_wrong_with_them(client):
    query = "query P($sku: ID!) { product(sku: $sku) { name related { sku related { sku } } } }"
    found = client.post("/graphql", json={"query": query, "variables": {"sku": "sku-0007"}}).json()
    assert len(found["data"]["product"]["related"]) == 3
    for wrong in ("{", "{ nothing }", "query Q { orders(last: 0) { id } }"):
        answer = client.post("/graphql", json={"query": wrong})
        assert (answer.status_code, bool(answer.json()["errors"])) == (200, True)


def test_a_checkout_hands_its_order_to_the_worker(serve):
    with serve() as (app, client):
        order = client.post("/checkout", json=ORDER).json()
        give_up = time.monotonic() + 5
        found = []
        while not found and time.monotonic() < give_up:
            sql = "SELECT order_id FROM shipments WHERE order_id = ?"
            found = [row["order_id"] for row in app.shop.store.rows(sql, order["id"])]
    assert found == [order["id"]]


def test_two_runs_of_the_same_requests_agree_in_all_that_is_not_volatile(
    serve, send_sessions, stable
):
    runs = []
    for _ in range(2):
        with serve() as (_app, client):
            runs.append([(key, *stable(a)) for key, a in send_sessions(client, bulk=True)])
    assert len(runs[0]) > 150
    assert runs[0] == runs[1]


def test_the_undocumented_field_and_error_are_just_that(broken):
    client, faults = broken
    document = openapi_document()
    for name, ask, said in (
        ("undocumented-field", lambda: client.get("/products/sku-0001"), "restockedOn"),
        ("undocumented-error", lambda: client.post(f"{CART}/items", json=DISCONTINUED), "409"),
    ):
        key = {"undocumented-field": "GET /products/{sku}"}.get(name, "POST /carts/{cartId}/items")
        assert undocumented(document, key, ask()) is None
        faults.plant(name)
        assert said in undocumented(document, key, ask())
        faults.lift(name)
        assert undocumented(document, key, ask()) is None


def test_the_missing_field_makes_calls_fail_and_only_then(broken):
    client, faults = broken
    without = {name: value for name, value in INVOICE.items() if name != "poNumber"}
    schema = openapi_document()["components"]["schemas"]["NewInvoice"]
    assert "poNumber" not in schema["required"]
    assert client.post("/invoices", json=without).status_code == 201
    faults.plant("missing-field")
    assert client.post("/invoices", json=without).json()["error"]["code"] == "ledger_rejected"
    assert client.post("/invoices", json=INVOICE).status_code == 201


def test_the_burst_hits_one_tenant_most_of_the_time(broken):
    client, faults = broken
    faults.plant("tenant-error-burst")
    seen = {
        tenant: Counter(
            client.get("/products", headers={"X-Tenant-Id": tenant}).status_code for _ in range(60)
        )
        for tenant in ("acme", "globex")
    }
    assert seen["acme"] == {200: 60}
    assert 35 <= seen["globex"][503] < 60


def test_the_bad_version_gets_a_fifth_of_the_sessions_and_fails_most_invoices(broken):
    client, faults = broken

    def ask(number):
        path = f"/invoices/invoice-acme-{1 + number % 120:04d}"
        return client.get(path, headers={"X-Session-Id": f"s-{number}"}).status_code

    assert {ask(number) for number in range(120)} == {200}
    faults.plant("bad-version")
    failed = [number for number in range(360) if ask(number) == 500]
    assert len(failed) == pytest.approx(0.2 * 0.6 * 360, rel=0.4)
    assert [number for number in range(360) if ask(number) == 500] == failed


def test_the_slow_dependency_slows_the_checkout_and_long_lists_slow_quotes(serve):
    faults = Faults()

    def took(ask):
        begun = time.perf_counter()
        assert ask().status_code == 201
        return time.perf_counter() - begun

    with serve(faults=faults, pace=0.2) as (_app, client):
        usual = min(took(lambda: client.post("/checkout", json=ORDER)) for _ in range(3))
        faults.plant("slow-dependency")
        assert min(took(lambda: client.post("/checkout", json=ORDER)) for _ in range(3)) > 2 * usual
        short = min(took(lambda: client.post("/quotes", json=QUOTE)) for _ in range(3))
        long = QUOTE | {"items": [ITEM] * 500}
        assert min(took(lambda: client.post("/quotes", json=long)) for _ in range(3)) > 3 * short


def test_a_shop_that_fails_at_random_says_so_as_a_failure(serve):
    with serve(failure_rate=0.3) as (_app, client):
        answers = [client.get(CART) for _ in range(100)]
    failed = [answer for answer in answers if answer.status_code == 500]
    assert 15 < len(failed) < 50
    assert failed[0].json()["error"]["code"] == "store_timeout"


def test_settings_out_of_range_are_refused():
    for options in ({"pace": -1}, {"failure_rate": 1.5}):
        with pytest.raises(InputError):
            ShopSettings(**options)


def test_a_port_that_is_taken_is_refused_and_a_closed_shop_is_gone():
    with ServedApp(create_shop()) as server:
        port = int(server.url.rpartition(":")[2])
        second = ServedApp(create_shop(), port)
        with pytest.raises(InputError, match=f"port == {port}"), second:
            pass
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/openapi.json", trust_env=False)
