// Calls a service over HTTP: the runner of suites made with --runner http.
// -- runner
const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
const KEPT_HEADERS: readonly string[] = [];

const runHttp = async (sent: Json, metadata: Json): Promise<Json> => {
  const base = (process.env["GOLDEN_BASE_URL"] || BASE_URL).replace(/\/+$/, "");
  const method = String(metadata.method ?? metadata.operation.split(" ")[0]).toUpperCase();
  const extra = JSON.parse(process.env["GOLDEN_HEADERS"] || "{}");
  const headers: Record<string, string> = { ...(sent.headers ?? {}), ...extra };
  const query = new URLSearchParams();
  for (const [name, values] of Object.entries(sent.query ?? {})) {
    for (const value of [values].flat()) query.append(name, String(value));
  }
  let body: string | undefined;
  if (sent.body !== null && sent.body !== undefined) {
    const type = headers["content-type"] ?? "";
    const json = type === "" || /[/+]json\b/i.test(type) || typeof sent.body !== "string";
    body = json ? JSON.stringify(sent.body) : sent.body;
    if (type === "") headers["content-type"] = "application/json";
  }
  const path = sent.path.split("/").map(encodeURIComponent).join("/");
  const target = `${base}${path}${query.size > 0 ? `?${query}` : ""}`;
  let answer: Response;
  try {
    answer = await fetch(target, {
      method: METHODS.includes(method) ? method : "POST",
      headers,
      body,
      redirect: "manual",
    });
  } catch (error) {
    throw new CouldNotRunError(`${base}: ${(error as Error).message}`);
  }
  const kept: Record<string, string> = {};
  for (const name of KEPT_HEADERS) {
    const value = answer.headers.get(name);
    if (value !== null) kept[name] = value;
  }
  const text = await answer.text();
  let came: Json = text === "" ? null : text;
  const type = answer.headers.get("content-type") ?? "";
  if (text !== "" && (type === "" || /^[^;]*[/+]json\b/i.test(type))) {
    try {
      came = JSON.parse(text);
    } catch {
      came = text;
    }
  }
  return { status: answer.status, headers: kept, body: came };
};
