"""The hook for Node: what it writes is what the import reads, and the share is the recorder's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from evolution_lab.golden import InMemoryTrafficStore, import_traffic
from evolution_lab.golden.sampling import first_share, share_of

HOOK = Path(__file__).parents[2] / "evolution_lab" / "golden" / "express_hook.mjs"
SERVER = """
import { createServer } from "node:http";
import { appendFileSync } from "node:fs";
const { recorder } = await import(process.argv[2]);
const hook = recorder({ write: (line) => appendFileSync(process.argv[3], line), service: "shop" });
const server = createServer((req, res) => hook(req, res, () => {
  if (req.url === "/broken") req.baseUrl = req.route = { get path() { throw new Error("odd"); } };
  let body = "";
  req.on("data", (part) => { body += part; });
  req.on("end", () => {
    res.statusCode = 201;
    res.setHeader("content-type", "application/json");
    res.setHeader("set-cookie", "secret");
    res.write('{"got":');
    res.end(`${body || "null"}}`);
  });
}));
server.listen(0, async () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  const statuses = [];
  for (const trace of JSON.parse(process.argv[4])) {
    const headers = { traceparent: `00-${trace}-${"b".repeat(16)}-01`, authorization: "secret" };
    const answer = await fetch(`${url}/a%20b?x=1&x=2`, { method: "POST",
      headers: { ...headers, "content-type": "application/json" }, body: '{"sku":"A-1"}' });
    statuses.push(answer.status, JSON.stringify(await answer.json()));
  }
  const odd = await fetch(`${url}/broken`, { headers: { traceparent: `00-${"f".repeat(32)}-${"b".repeat(16)}-01` } });
  statuses.push(odd.status);
  console.log(JSON.stringify(statuses));
  server.close();
});
"""


def test_the_hook_writes_lines_that_are_imported(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        if "node" in os.environ.get("EVOLUTION_LAB_REQUIRE", ""):
            pytest.fail("Node.js is required and not there")
        pytest.skip("Node.js is not there")
    script, lines = tmp_path / "server.mjs", tmp_path / "lines.jsonl"
    script.write_text(SERVER)
    traces = [f"{n:018x}{n * 2**56 // 60:014x}" for n in range(60)]
    done = subprocess.run(
        [node, str(script), HOOK.as_uri(), str(lines), json.dumps(traces)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    statuses = json.loads(done.stdout)
    assert set(statuses) == {201, '{"got":{"sku":"A-1"}}'}
    wanted = {trace for trace in traces if share_of(trace) >= first_share(0.05)}
    assert len(wanted) == 3
    store = InMemoryTrafficStore()
    report = import_traffic(lines, store=store)
    assert (report.added, report.refused) == (3, {})
    made = list(store.snapshots())
    assert {snapshot.trace_id for snapshot in made} == wanted
    assert made[0].input == {
        "path": "/a b",
        "query": {"x": ["1", "2"]},
        "headers": {"accept": "*/*", "accept-language": "*", "content-type": "application/json"},
        "body": {"sku": "A-1"},
    }
    assert made[0].output == {
        "status": 201,
        "headers": {"content-type": "application/json"},
        "body": {"got": {"sku": "A-1"}},
    }
    assert "secret" not in lines.read_text()
