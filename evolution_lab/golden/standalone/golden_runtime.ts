// Judges golden cases as plain data; the rules are those of evolution_lab.golden.comparison.
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

// -- patterns
const PATTERNS: Readonly<Record<string, string>> = {};
// -- judging

export type Json = any;
export type Hook = (title: string) => unknown;
export type Runner = (input: Json, metadata: Json) => unknown;
interface Difference {
  path: string;
  kind: string;
  expected: string;
  actual: string;
  step?: string;
}
interface Step {
  operation: string;
  metadata: Json;
  input?: Json;
  output?: Json;
  error?: Json;
}
export interface Case {
  title: string;
  steps: Step[];
}
interface Result {
  case: string;
  verdict: string;
  differences: Difference[];
  outputs: Json[];
}
type Came = { output?: Json; error?: Json; stopped?: string; timeout?: boolean };

/** The case says nothing: its runner or its target is not there. */
export class CouldNotRunError extends Error {
  override name = "CouldNotRunError";
}

const has = (value: object, key: string): boolean =>
  Object.prototype.hasOwnProperty.call(value, key);

const set = (object: Json, key: string, value: Json): void => {
  Object.defineProperty(object, key, {
    value,
    enumerable: true,
    writable: true,
    configurable: true,
  });
};

const plain = (key: string): string =>
  /^\$\$+match/.test(key) ? key.slice(1) : key;

const typeOf = (value: Json): string => {
  if (value === null || value === undefined) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") {
    return Number.isInteger(value) ? "integer" : "number";
  }
  return typeof value;
};

const isObject = (value: Json): boolean => typeOf(value) === "object";

// Matchers are recognised by their kind alone: literal keys that look like it are escaped.
const kindOf = (tree: Json): string | undefined =>
  isObject(tree) && has(tree, "$match") ? tree["$match"] : undefined;

const asJson = (value: Json): Json => {
  if (value === undefined) return null;
  if (typeof value === "bigint") return Number(value);
  if (typeof value === "object" && value !== null) {
    if (typeof value.toJSON === "function") return value.toJSON();
  }
  return value;
};

const show = (value: Json): string => {
  let text: string;
  try {
    text = JSON.stringify(value, (_key, item) =>
      typeof item === "bigint" ? String(item) : item,
    );
  } catch {
    text = typeOf(value);
  }
  text = text ?? "nothing";
  return text.length <= 120 ? text : text.slice(0, 119) + "…";
};

const asText = (value: Json): string => {
  if (value === null || value === undefined) return "None";
  return String(value);
};

const readNumber = (digits: string): number => Number(digits);

const at = (value: Json, pointer: string): Json => {
  for (const token of pointer.split("/").slice(1)) {
    const key = token.replace(/~1/g, "/").replace(/~0/g, "~");
    if (Array.isArray(value) && /^[0-9]+$/.test(key)) value = value[Number(key)];
    else if (isObject(value) && has(value, key)) value = value[key];
    else return null;
  }
  return value === undefined ? null : value;
};

const escaped = (text: string): string =>
  text.replace(/[\^$\\.*+?()[\]{}|/]/g, "\\$&");

const whole = (pattern: string, text: string): boolean =>
  new RegExp(`^(?:${pattern})$`, "u").test(text);

const unbase64 = (text: string): string | null => {
  const plainText = text.replace(/-/g, "+").replace(/_/g, "/");
  const padded = plainText + "=".repeat((4 - (text.length % 4)) % 4);
  if (text.length % 4 === 1 || !/^[A-Za-z0-9+/]*={0,2}$/.test(padded)) return null;
  try {
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    return decoder.decode(Buffer.from(padded, "base64"));
  } catch {
    return null;
  }
};

const asTree = (value: Json): Json => {
  if (Array.isArray(value)) return value.map(asTree);
  if (!isObject(value)) return value;
  const tree = {};
  for (const key of Object.keys(value)) {
    set(tree, /^\$+match/.test(key) ? "$" + key : key, asTree(value[key]));
  }
  return tree;
};

const resolve = (tree: Json, names: Map<string, Json>): Json => {
  if (Array.isArray(tree)) return tree.map((item) => resolve(item, names));
  if (!isObject(tree)) return tree;
  const known = (alias: string): Json => {
    if (!names.has(alias)) throw new ReferenceError(alias);
    return names.get(alias);
  };
  const kind = kindOf(tree);
  if (kind === "ref") return known(tree.alias);
  if (kind === "number") return readNumber(tree.value);
  if (kind === "text") {
    const parts = tree.parts.map((part: Json) =>
      typeof part === "string" ? part : asText(known(part.alias)),
    );
    const text: string = parts.join("");
    return tree.encoding === "none" ? text : Buffer.from(text).toString("base64");
  }
  const sent = {};
  for (const key of Object.keys(tree)) set(sent, plain(key), resolve(tree[key], names));
  return sent;
};

const collect = (came: Json, tree: Json, names: Map<string, Json>, depth = 0): void => {
  const actual = asJson(came);
  if (depth > 128 || tree === null || typeof tree !== "object") return;
  const kind = kindOf(tree);
  if (Array.isArray(tree)) {
    if (!Array.isArray(actual)) return;
    tree.slice(0, actual.length).forEach((expected, index) => {
      collect(actual[index], expected, names, depth + 1);
    });
  } else if (kind === "bind") names.set(tree.alias, actual);
  else if (kind === "optional") collect(actual, tree.as, names, depth);
  else if (kind === undefined && isObject(actual)) {
    for (const key of Object.keys(tree)) {
      const name = plain(key);
      if (has(actual, name)) collect(actual[name], tree[key], names, depth + 1);
    }
  }
};

/** Returns the differences between what came and what is expected. */
export const compare = (
  came: Json,
  tree: Json,
  names: Map<string, Json>,
  sent: Json,
  path = "",
  depth = 0,
): Difference[] => {
  const actual = asJson(came);
  const say = (kind: string, expected: string): Difference[] => [
    { path, kind, expected, actual: show(actual) },
  ];
  const below = (step: string | number): string =>
    `${path}/${String(step).replace(/~/g, "~0").replace(/\//g, "~1")}`;
  if (depth > 128) return say("depth", "at most 128 levels");
  if (kindOf(tree) !== undefined) return match(actual, tree, names, sent, path, depth);
  const found: Difference[] = [];
  if (isObject(tree)) {
    if (!isObject(actual)) return say("type", "an object");
    const known = new Set<string>();
    const there = (name: string): boolean =>
      has(actual, name) &&
      actual[name] !== undefined &&
      typeof actual[name] !== "function";
    for (const key of Object.keys(tree)) {
      const name = plain(key);
      known.add(name);
      if (there(name)) {
        found.push(
          ...compare(actual[name], tree[key], names, sent, below(name), depth + 1),
        );
      } else if (kindOf(tree[key]) !== "optional") {
        const expected = show(tree[key]);
        found.push({ path: below(name), kind: "missing", expected, actual: "nothing" });
      }
    }
    for (const key of Object.keys(actual)) {
      if (known.has(key) || !there(key)) continue;
      const shown = show(actual[key]);
      const expected = "no such property";
      found.push({ path: below(key), kind: "extra", expected, actual: shown });
    }
    return found;
  }
  if (Array.isArray(tree)) {
    if (!Array.isArray(actual)) return say("type", "an array");
    if (actual.length !== tree.length) found.push(...say("length", `${tree.length}`));
    tree.slice(0, actual.length).forEach((expected, index) => {
      found.push(
        ...compare(actual[index], expected, names, sent, below(index), depth + 1),
      );
    });
    return found;
  }
  if (typeof tree === "number" && typeof actual === "number") {
    const same = actual === tree || (actual !== actual && tree !== tree);
    return same ? [] : say("value", show(tree));
  }
  if (typeOf(actual) !== typeOf(tree)) return say("type", show(tree));
  return actual === tree ? [] : say("value", show(tree));
};

const match = (
  actual: Json,
  tree: Json,
  names: Map<string, Json>,
  sent: Json,
  path: string,
  depth: number,
): Difference[] => {
  const fits = (value: Json, expected: Json, deeper = 0): boolean =>
    compare(value, expected, names, sent, "", depth + deeper).length === 0;
  const part = (piece: Json): string => {
    if (typeof piece === "string") return escaped(piece);
    const kind = piece["$match"];
    if (kind === "from-input") return escaped(asText(at(sent, piece.path)));
    if (kind !== "ref") return `(?:${piece.pattern ?? PATTERNS[kind]})`;
    if (!names.has(piece.alias)) return "[\\s\\S]*";
    return escaped(asText(names.get(piece.alias)));
  };
  const kind: string = tree["$match"];
  let word = "shape";
  let good = false;
  if (kind === "bind" || kind === "optional" || (kind === "ref" && !names.has(tree.alias))) {
    return compare(actual, tree.as, names, sent, path, depth);
  } else if (kind === "array-of") {
    word = "length";
    if (Array.isArray(actual)) {
      const found = actual.flatMap((value, index) =>
        compare(value, tree.as, names, sent, `${path}/${index}`, depth + 1),
      );
      if (found.length > 0) return found;
      good = actual.length >= tree.min;
    }
  } else if (kind === "ref") {
    word = "link";
    good = fits(actual, asTree(names.get(tree.alias)));
  } else if (kind === "from-input") {
    word = "link";
    good = fits(actual, asTree(at(sent, tree.path)));
  } else if (kind === "one-of") {
    good = tree.of.some((choice: Json) => fits(actual, choice));
  } else if (kind === "type") {
    word = "type";
    const came = typeOf(actual);
    good = came === tree.type || (tree.type === "number" && came === "integer");
  } else if (kind === "number" || kind === "close-to" || kind === "epoch") {
    word = "value";
    good = typeof actual === "number" && fitsNumber(actual, tree);
  } else if (kind === "unordered") {
    word = "element";
    good =
      Array.isArray(actual) &&
      partnered(
        tree.items.map((wish: Json) => actual.map((value: Json) => fits(value, wish, 1))),
        actual.length,
      );
  } else if (kind === "text") {
    word = "link";
    const text = tree.encoding === "base64" && typeof actual === "string"
      ? unbase64(actual)
      : actual;
    good = typeof text === "string" && whole(tree.parts.map(part).join(""), text);
  } else {
    const pattern = kind === "pattern" ? tree.pattern : PATTERNS[kind];
    good = typeof actual === "string" && whole(pattern ?? "", actual);
  }
  return good ? [] : [{ path, kind: word, expected: show(tree), actual: show(actual) }];
};

const fitsNumber = (value: number, tree: Json): boolean => {
  if (tree["$match"] === "close-to") return Math.abs(value - tree.value) <= tree.abs;
  if (tree["$match"] === "epoch") {
    const unit = tree.unit === "s" ? 1 : 1e3;
    return 978307200 * unit <= value && value < 4102444800 * unit;
  }
  const wanted = readNumber(tree.value);
  return value === wanted || (value !== value && wanted !== wanted);
};

// Whether every wish finds an element of its own (Kuhn 1955).
const partnered = (fitting: boolean[][], size: number): boolean => {
  const holder = new Map<number, number>();
  const place = (wish: number, tried: Set<number>): boolean => {
    for (let index = 0; index < size; index += 1) {
      if (!fitting[wish]?.[index] || tried.has(index)) continue;
      tried.add(index);
      const other = holder.get(index);
      if (other === undefined || place(other, tried)) {
        holder.set(index, wish);
        return true;
      }
    }
    return false;
  };
  return fitting.length === size && fitting.every((_row, wish) => place(wish, new Set()));
};

// -- calling

const late = Symbol("late");

const call = async (work: () => unknown, milliseconds: number): Promise<Came> => {
  let timer: NodeJS.Timeout | undefined;
  const clock = new Promise<typeof late>((done) => {
    timer = setTimeout(() => done(late), milliseconds);
  });
  try {
    const value = await Promise.race([(async () => work())(), clock]);
    return value === late ? { timeout: true } : { output: asJson(value) };
  } catch (error: Json) {
    if (error?.name === "CouldNotRunError") return { stopped: String(error.message) };
    if (error?.name === "TimeoutError") return { timeout: true };
    const named = error?.name !== undefined && error.name !== "Error";
    const code = error?.code === undefined || error.code === null ? null : `${error.code}`;
    return {
      error: {
        name: named ? error.name : (error?.constructor?.name ?? null),
        code,
        message: error instanceof Error ? error.message : String(error),
      },
    };
  } finally {
    clearTimeout(timer);
  }
};

const judgeError = (error: Json, expected: Json): Difference[] =>
  ["name", "code", "message"].flatMap((part) =>
    expected[part] === undefined || expected[part] === null
      ? []
      : compare(error[part], expected[part], new Map(), null, `/error/${part}`),
  );

/** Runs the steps of a case and returns its verdict, with differences and outputs. */
export const runCase = async (
  test: Case,
  runner: Runner,
  milliseconds = 10_000,
  setup?: Hook,
  teardown?: Hook,
): Promise<Result> => {
  const names = new Map<string, Json>();
  const outputs: Json[] = [];
  const end = (verdict: string, found: Difference[], step: number): Result => ({
    case: test.title,
    verdict,
    differences: found.map((difference) => ({ ...difference, step: `${step}` })),
    outputs,
  });
  const one = (path: string, kind: string, expected: string, actual: string) => [
    { path, kind, expected, actual },
  ];
  if (test.steps.some((step) => !has(step, "input"))) {
    return end("could-not-run", one("", "error", "its data file", "nothing"), 0);
  }
  if (typeof runner !== "function") {
    return end("could-not-run", one("", "error", "a runner", "nothing"), 0);
  }
  if (setup !== undefined) {
    const ready = await call(() => setup(test.title), milliseconds);
    if (!has(ready, "output")) {
      const reason = `setup: ${show(ready)}`;
      return end("could-not-run", one("", "error", "a run", reason), 0);
    }
  }
  try {
    for (const [index, step] of test.steps.entries()) {
      let sent: Json;
      try {
        sent = resolve(step.input, names);
      } catch (error: Json) {
        const wanted = `value of ${error.message}`;
        return end("drift", one("", "link", wanted, "nothing"), index);
      }
      const metadata = { ...step.metadata, operation: step.operation };
      const came = await call(() => runner(sent, metadata), milliseconds);
      outputs.push(has(came, "output") ? came.output : (came.error ?? null));
      if (came.stopped !== undefined) {
        return end("could-not-run", one("", "error", "a run", came.stopped), index);
      }
      if (came.timeout) {
        const wanted = `within ${milliseconds / 1000} s`;
        return end("timeout", one("", "error", wanted, "nothing"), index);
      }
      const expected = step.error;
      if (expected !== undefined && came.error === undefined) {
        const found = one("/error", "error", show(expected), show(came.output));
        return end("missing-error", found, index);
      }
      if (came.error !== undefined) {
        const found =
          expected === undefined
            ? one("/error", "error", "no error", show(came.error))
            : judgeError(came.error, expected);
        if (found.length > 0) return end("wrong-error", found, index);
        continue;
      }
      collect(came.output, step.output, names);
      const found = compare(came.output, step.output, names, sent);
      if (found.length > 0) return end("drift", found, index);
    }
    return end("pass", [], 0);
  } finally {
    if (teardown !== undefined) await call(() => teardown(test.title), milliseconds);
  }
};

/** Returns a case with the bodies that stand in the file beside the suite. */
export const withData = (test: Case, file: string, folder: string): Case => {
  const path = join(folder, file);
  if (!existsSync(path)) return test;
  const data = JSON.parse(readFileSync(path, "utf8"));
  const kept = data[test.title.split("-")[0] ?? ""] ?? {};
  const steps = test.steps.map((step, index) => ({ ...step, ...kept[`${index}`] }));
  return { ...test, steps };
};

/** Fails the test unless the case passed; notes the result for `evolution-lab test run`. */
export const check = (result: Result): void => {
  const notes = process.env["EVOLUTION_LAB_GOLDEN_RESULTS"];
  if (notes) appendFileSync(notes, JSON.stringify(result) + "\n");
  if (result.verdict === "pass") return;
  const lines = result.differences.map(
    (d) =>
      `step ${d.step} ${d.path || "/"}: ${d.kind}: expected ${d.expected}, got ${d.actual}`,
  );
  throw new Error([result.verdict, ...lines].join("\n"));
};
