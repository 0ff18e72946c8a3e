// Records a share of an Express (or plain Node) server's calls as TrafficSnapshot JSON lines.
//   app.use(recorder({ write: (line) => pipe.write(line), service: "shop" }))
// Lines are not sanitised: hand them to `evolution-lab record --from FILE`, and keep no copy.
import { randomBytes } from "node:crypto";

const KEPT = new Set(["accept", "accept-language", "content-type", "location", "retry-after"]);
const kept = (headers) => Object.fromEntries(
  Object.entries(headers).filter(([name]) => KEPT.has(name)).map(([name, value]) => [name, String(value)]));
const value = (chunks, type) => {
  const text = Buffer.concat(chunks).toString("utf8");
  if (!text) return null;
  try { return /[/+]json\b/.test(type ?? "") ? JSON.parse(text) : text; } catch { return text; }
};

export function recorder({ write, service = null, sampleRate = 0.05, mostBytes = 262144 }) {
  const first = BigInt(Math.round((1 - Math.min(sampleRate, 0.05)) * 2 ** 56));
  return (req, res, next) => {
    const traceId = /^00-([0-9a-f]{32})-/.exec(req.headers.traceparent ?? "")?.[1] ?? randomBytes(16).toString("hex");
    if (BigInt(`0x${traceId.slice(18)}`) < first) return next();
    const began = Date.now(), sent = [], got = [], sizes = [0, 0];
    const keep = (to, at, part) => {
      if (part && typeof part !== "function" && (sizes[at] += part.length) <= mostBytes) to.push(Buffer.from(part));
    };
    const emit = req.emit, send = res.write, end = res.end;
    req.emit = function (event, part) { if (event === "data") keep(sent, 0, part); return emit.apply(this, arguments); };
    res.write = function (part) { keep(got, 1, part); return send.apply(this, arguments); };
    res.end = function (part) { keep(got, 1, part); return end.apply(this, arguments); };
    res.on("finish", () => {
      try {
        if (Math.max(...sizes) > mostBytes || res.getHeader("content-encoding")) return;
        const url = new URL(req.originalUrl ?? req.url, "http://localhost"), query = {};
        for (const name of new Set(url.searchParams.keys())) {
          const all = url.searchParams.getAll(name);
          query[name] = all.length > 1 ? all : all[0];
        }
        const path = decodeURIComponent(url.pathname), route = req.route ? `${req.baseUrl}${req.route.path}` : null;
        write(JSON.stringify({ formatVersion: 1, id: randomBytes(12).toString("hex"),
          operation: { key: `${req.method} ${route ?? path}`, service },
          input: { path, query, headers: kept(req.headers), body: value(sent, req.headers["content-type"]) },
          output: { status: res.statusCode, headers: kept(res.getHeaders()), body: value(got, res.getHeader("content-type")) },
          success: res.statusCode < 500, timestamp: new Date(began).toISOString(), durationMs: Date.now() - began,
          channel: "rest", sampleRate: Math.min(sampleRate, 0.05), metadata: { method: req.method, traceId } }) + "\n");
      } catch { /* the service goes on, whatever we make of a call */ }
    });
    next();
  };
}
