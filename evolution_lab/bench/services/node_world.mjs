// What the JavaScript services take from outside, and how they are served; see world.py and serving.py.
import { createServer } from "node:http";

const ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

export function world(seed) {
  let state = (seed * 2654435761 + 1) >>> 0;
  const noise = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const ahead = noise() * 4e10;
  const hex = (n) => Array.from({ length: n }, () => "0123456789abcdef"[Math.floor(noise() * 16)]).join("");
  return {
    noise,
    now: () => Date.now() + ahead,
    uuid: () => `${hex(8)}-${hex(4)}-4${hex(3)}-a${hex(3)}-${hex(12)}`,
    token: (n) => Array.from({ length: n }, () => ALPHABET[Math.floor(noise() * ALPHABET.length)]).join(""),
    shuffled: (items) => items.map((item) => [noise(), item]).sort((a, b) => a[0] - b[0]).map((each) => each[1]),
  };
}

export function serve(call) {
  const server = createServer((request, response) => {
    let raw = "";
    request.on("data", (chunk) => (raw += chunk));
    request.on("end", () => {
      const url = new URL(request.url, "http://localhost");
      const query = Object.fromEntries(url.searchParams);
      const [status, body] = call(request.method, url.pathname, query, raw ? JSON.parse(raw) : null);
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(body));
    });
  });
  server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
}
