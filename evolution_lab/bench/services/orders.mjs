// orders.py in JavaScript: the same answers to the same requests.
import { serve, world } from "./node_world.mjs";

const PRICES = { mug: 7.9, lamp: 39.5, desk: 249.0, pen: 1.25, chair: 119.99 };
const drawn = world(Number(process.argv[2]));
const orders = new Map();
let number = 1000;
const round = (value) => Number((Math.sign(value) * Math.round(Math.abs(value) * 100 + 1e-9)) / 100);

function create(body) {
  const items = body?.items;
  if (!items?.length) return [422, { code: "NO_ITEMS", message: "an order has at least one item" }];
  const lines = [];
  let total = 0;
  for (const { sku, quantity = 1 } of items) {
    if (!(sku in PRICES)) return [422, { code: "UNKNOWN_SKU", message: `no product ${sku}` }];
    if (quantity < 1 || quantity > 50) return [422, { code: "BAD_QUANTITY", message: "between 1 and 50 of a product" }];
    total += PRICES[sku] * quantity;
    lines.push({ sku, quantity, amount: round(PRICES[sku] * quantity) });
  }
  const shipping = total >= 50 ? 0 : 4.9;
  const discount = body.coupon === "TEN" ? 0.1 : 0;
  const id = drawn.uuid();
  const order = {
    id, number: ++number, status: "open", lines, subtotal: round(total), discount: round(total * discount),
    shipping, total: round(total * (1 - discount) + shipping), priority: total > 200 ? "high" : "normal",
    createdAt: new Date(drawn.now()).toISOString(), links: { self: `/orders/${id}`, cancel: `/orders/${id}/cancel` },
  };
  orders.set(id, order);
  return [201, order];
}

function list(query) {
  const limit = query.limit ?? "10";
  if (!/^\d+$/.test(limit) || Number(limit) < 1 || Number(limit) > 100) {
    return [400, { code: "BAD_LIMIT", message: "limit lies between 1 and 100" }];
  }
  const products = Object.keys(PRICES).sort();
  const more = products.length > Number(limit);
  const cursor = Buffer.from(`${limit}:${drawn.token(12)}`).toString("base64url");
  return [200, {
    products: products.slice(0, Number(limit)).map((sku) => ({ sku, price: PRICES[sku] })),
    count: Math.min(Number(limit), products.length), hasMore: more, next: more ? cursor : null, requestId: drawn.token(16),
  }];
}

serve((method, path, query, body) => {
  const parts = path.replace(/^\/|\/$/g, "").split("/");
  const missing = [404, { code: "ORDER_NOT_FOUND", message: "no such order" }];
  if (parts[0] !== "orders") return [404, { code: "UNKNOWN_PATH", message: "no such path" }];
  if (method === "POST" && parts.length === 1) return create(body);
  if (method === "GET" && parts.length === 1) return list(query);
  const order = orders.get(parts[1]);
  if (method === "GET" && parts.length === 2) return order ? [200, order] : missing;
  if (method === "POST" && parts.at(-1) === "cancel") {
    if (!order) return missing;
    if (order.status === "cancelled") return [409, { code: "ALREADY_CANCELLED", message: "it was cancelled before" }];
    order.status = "cancelled";
    return [200, { id: order.id, status: "cancelled", refund: order.total }];
  }
  return [405, { code: "METHOD_NOT_ALLOWED", message: method }];
});
