// The review panel: the same module in a notebook (anywidget) and on the page of `evolution-lab review`.
// It needs of its host only model.send(message) and model.on("msg:custom", answer => …). Whatever comes
// from traffic is set as text, never as HTML.

const STATUSES = ["pending", "approved", "rejected", "superseded", "expired", "withdrawn", "adopted"];
const SVG = "http://www.w3.org/2000/svg";

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function age(iso) {
  const hours = (Date.now() - Date.parse(iso)) / 3.6e6;
  if (hours < 1) return `${Math.max(0, Math.round(hours * 60))} min`;
  return hours < 48 ? `${Math.round(hours)} h` : `${Math.round(hours / 24)} d`;
}

const share = (value) => (value === null || value === undefined ? "–" : `${Math.round(value * 100)} %`);

function facts(pairs) {
  const list = make("dl", { class: "er-facts" });
  for (const [name, value] of pairs) list.append(make("dt", { text: name }), make("dd", { text: value }));
  return list;
}

function shape(tag, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function chart(data) {
  const width = 640, height = 170, left = 56, bottom = 22, top = 10;
  const all = data.lines.flatMap((line) => line.values).filter((value) => value !== null);
  if (!all.length) return make("p", { text: "No numbers to draw." });
  const most = Math.max(...all, data.baseline ?? 0, ...(data.range ?? [])) * 1.05 || 1;
  const count = Math.max(...data.lines.map((line) => line.values.length));
  const x = (k) => left + ((width - left - 8) * k) / Math.max(count - 1, 1);
  const y = (value) => top + (height - top - bottom) * (1 - value / most);
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", class: "er-chart" });
  svg.append(shape("title", {}, `${data.label}, with its baseline`));
  const from = x(data.from), to = x(Math.min(data.to, count - 1));
  svg.append(shape("rect", { x: from, y: top, width: Math.max(to - from, 3), height: height - top - bottom, class: "er-episode" }));
  if (data.range) {
    const [low, high] = data.range;
    svg.append(shape("rect", { x: left, y: y(high), width: width - left - 8, height: Math.max(y(low) - y(high), 1), class: "er-range" }));
  }
  if (data.baseline !== null) {
    svg.append(shape("line", { x1: left, x2: width - 8, y1: y(data.baseline), y2: y(data.baseline), class: "er-baseline" }));
  }
  for (const line of data.lines) {
    let path = "", pen = false;
    line.values.forEach((value, k) => {
      if (value === null) { pen = false; return; }
      path += `${pen ? "L" : "M"}${x(k).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = true;
    });
    svg.append(shape("path", { d: path, class: line.main ? "er-line er-main" : "er-line" }));
  }
  const round = (value) => Number(value.toPrecision(3)).toString();
  for (const value of [0, most / 2, most]) svg.append(shape("text", { x: left - 6, y: y(value) + 4, class: "er-tick er-right" }, round(value)));
  const when = (k) => new Date(Date.parse(data.start) + k * data.windowSeconds * 1000).toISOString().slice(5, 16).replace("T", " ");
  svg.append(shape("text", { x: left, y: height - 6, class: "er-tick" }, when(0)));
  svg.append(shape("text", { x: width - 8, y: height - 6, class: "er-tick er-right" }, `${when(count - 1)} UTC`));
  return make("figure", { class: "er-figure" }, make("figcaption", { text: `${data.label} (${data.unit})` }), svg);
}

function diff(text) {
  const block = make("pre", { class: "er-diff", tabindex: "0", "aria-label": "Change of the spec" });
  for (const line of text.split("\n")) {
    const kind = line.startsWith("+") ? "er-added" : line.startsWith("-") ? "er-removed" : line.startsWith("@@") ? "er-place" : "";
    block.append(make("span", { class: kind, text: `${line}\n` }));
  }
  return block;
}

class Panel {
  constructor(model, root) {
    this.model = model;
    this.waiting = new Map();
    this.number = 0;
    this.rows = [];
    this.chosen = null;
    this.detail = null;
    this.reviewer = "";
    model.on("msg:custom", (answer) => {
      const done = this.waiting.get(answer.number);
      if (!done) return;
      this.waiting.delete(answer.number);
      done(answer);
    });
    this.build(root);
    this.refresh();
  }

  ask(message) {
    const number = ++this.number;
    return new Promise((done) => {
      this.waiting.set(number, done);
      this.model.send({ ...message, number });
    });
  }

  build(root) {
    root.classList.add("er-panel");
    this.search = make("input", { type: "search", placeholder: "Search", "aria-label": "Search suggestions", oninput: () => this.draw() });
    const filter = (label, values) => {
      const select = make("select", { "aria-label": label, onchange: () => this.draw() }, make("option", { value: "", text: label }));
      for (const value of values) select.append(make("option", { value, text: value }));
      return select;
    };
    this.status = filter("any status", STATUSES);
    this.status.value = "pending";
    this.change = filter("any change", ["new-spec", "revision", "policy-update", "schema-update"]);
    this.count = make("span", { class: "er-count", "aria-live": "polite" });
    this.list = make("div", { class: "er-list", role: "listbox", tabindex: "0", "aria-label": "Suggestions" });
    this.list.addEventListener("click", (event) => {
      const row = event.target.closest("[data-id]");
      if (row) this.choose(row.dataset.id);
    });
    this.view = make("section", { class: "er-detail", "aria-label": "Suggestion" });
    this.alert = make("div", { class: "er-alert", role: "alert" });
    root.append(
      make("header", { class: "er-head" }, this.search, this.status, this.change, this.count, make("span", { class: "er-keys", text: "j/k move · a approve · r reject" })),
      this.alert,
      make("div", { class: "er-body" }, this.list, this.view),
    );
    root.addEventListener("keydown", (event) => this.key(event));
    root.tabIndex = -1;
  }

  key(event) {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
    if (typing && event.key === "Escape") { event.target.blur(); this.list.focus(); return; }
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const shown = this.shown();
    const place = shown.findIndex((row) => row.id === this.chosen);
    const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    if (step) {
      const next = shown[Math.min(Math.max(place + step, 0), shown.length - 1)];
      if (next) this.choose(next.id);
      event.preventDefault();
    } else if (event.key === "a") this.decide("approve");
    else if (event.key === "r") { this.notes?.focus(); event.preventDefault(); }
    else if (event.key === "/") { this.search.focus(); event.preventDefault(); }
  }

  shown() {
    const words = this.search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    return this.rows.filter((row) =>
      (!this.status.value || row.status === this.status.value) &&
      (!this.change.value || row.change === this.change.value) &&
      words.every((word) => row.words.includes(word)));
  }

  async refresh() {
    const answer = await this.ask({ kind: "list" });
    if (answer.error) { this.say(answer.error); return; }
    this.reviewer = answer.reviewer;
    this.rows = answer.suggestions;
    for (const row of this.rows) row.words = [row.summary, row.target, row.intent, row.change, row.priority, row.id, ...row.tags].join(" ").toLowerCase();
    this.draw();
    const first = this.shown()[0];
    if (!this.chosen && first) this.choose(first.id);
  }

  draw() {
    const shown = this.shown();
    this.count.textContent = `${shown.length} of ${this.rows.length}`;
    const rows = document.createDocumentFragment();
    for (const row of shown) {
      rows.append(make("div", { class: `er-row er-${row.status}`, role: "option", id: `er-${row.id}`, "data-id": row.id, "aria-selected": String(row.id === this.chosen) },
        make("span", { class: "er-chip", text: row.status }),
        make("span", { class: `er-priority er-p-${row.priority}`, text: row.priority }),
        make("span", { class: "er-summary", text: row.summary }),
        make("span", { class: "er-meta", text: `${row.target} · ${row.change} · confidence ${share(row.confidence)} · ${age(row.createdAt)}` })));
    }
    this.list.replaceChildren(rows);
    if (!shown.length) this.list.append(make("p", { class: "er-empty", text: this.rows.length ? "Nothing fits the filters." : "No suggestion yet: run evolution-lab suggest." }));
  }

  mark() {
    for (const row of this.list.querySelectorAll("[aria-selected=true]")) row.setAttribute("aria-selected", "false");
    const row = this.list.querySelector(`[data-id="${CSS.escape(this.chosen)}"]`);
    if (!row) return;
    row.setAttribute("aria-selected", "true");
    row.scrollIntoView({ block: "nearest" });
    this.list.setAttribute("aria-activedescendant", row.id);
  }

  async choose(id) {
    this.chosen = id;
    this.say("");
    this.mark();
    const answer = await this.ask({ kind: "detail", id });
    if (this.chosen !== id) return;
    if (answer.error) { this.say(answer.error); return; }
    this.show(answer.suggestion);
  }

  show(suggestion) {
    this.detail = suggestion;
    const parts = [
      make("h2", { text: suggestion.summary }),
      make("p", { class: "er-rationale", text: suggestion.rationale }),
      facts([["status", suggestion.status], ["priority", suggestion.priority], ...suggestion.facts]),
    ];
    if (suggestion.actions.length) {
      parts.push(make("h3", { text: "What is asked" }), make("ul", {}, ...suggestion.actions.map((text) => make("li", { text }))));
    }
    for (const signal of suggestion.signals) {
      parts.push(make("h3", { text: signal.title }));
      if (signal.chart) parts.push(chart(signal.chart));
      parts.push(facts(signal.facts));
    }
    if (suggestion.evidence.length) {
      parts.push(make("h3", { text: "Evidence" }), make("ul", {}, ...suggestion.evidence.map((each) => make("li", { text: `${each.type}: ${each.description}` }))));
    }
    parts.push(make("h3", { text: "Change" }));
    if (suggestion.refused) parts.push(make("p", { class: "er-refused", text: `No overlay: ${suggestion.refused}` }));
    parts.push(suggestion.diff ? diff(suggestion.diff) : make("p", { text: "No document has this operation's spec: the change is described in words." }));
    if (suggestion.samples.length) {
      parts.push(make("h3", { text: "Requests behind it (personal data replaced)" }), ...suggestion.samples.map((text) => make("pre", { class: "er-sample", text })));
    }
    if (suggestion.history.length) {
      parts.push(make("h3", { text: "History" }), make("ul", {}, ...suggestion.history.map((each) => make("li", { text: `${each.at}: ${each.status} by ${each.reviewer}, revision ${each.revision}${each.notes ? `: ${each.notes}` : ""}` }))));
    }
    this.notes = null;
    if (suggestion.status === "pending") parts.push(this.box());
    this.view.replaceChildren(...parts);
    this.view.scrollTop = 0;
  }

  box() {
    if (!this.reviewer) return make("p", { class: "er-empty", text: "Shown only: nobody is named who decides (--reviewer)." });
    this.notes = make("textarea", { rows: "3", maxlength: "4000", "aria-label": "Notes", placeholder: "Why? A rejection needs a note." });
    return make("form", { class: "er-box", onsubmit: (event) => event.preventDefault() },
      this.notes,
      make("button", { type: "button", class: "er-approve", text: "Approve", onclick: () => this.decide("approve") }),
      make("button", { type: "button", class: "er-reject", text: "Reject", onclick: () => this.decide("reject") }),
      make("span", { class: "er-meta", text: `as ${this.reviewer}, revision ${this.detail.revision}` }));
  }

  async decide(decision) {
    const suggestion = this.detail;
    if (!suggestion || suggestion.status !== "pending" || !this.notes) return;
    const answer = await this.ask({ kind: "decide", id: suggestion.id, decision, notes: this.notes.value, revision: suggestion.revision });
    if (answer.error) { this.say(answer.error); return; }
    const row = this.rows.find((each) => each.id === suggestion.id);
    if (row) row.status = answer.suggestion.status;
    this.draw();
    this.show(answer.suggestion);
    this.say(`${answer.suggestion.status}: ${answer.suggestion.summary}`, "er-good");
    this.list.focus();
  }

  say(text, kind = "er-bad") {
    this.alert.textContent = text;
    this.alert.className = text ? `er-alert ${kind}` : "er-alert";
  }
}

export default {
  render({ model, el }) {
    new Panel(model, el);
  },
};
