// Reads {documents, ids} of an export on stdin and writes what each SDK gives each id, "v" or "c".
"use strict";

const { readFileSync } = require("node:fs");

const evaluators = {
  growthbook(document, attribute) {
    const { GrowthBookClient, GrowthBook } = require("@growthbook/growthbook");
    const key = Object.keys(document.features)[0];
    const client = new GrowthBookClient().initSync({ payload: document });
    const first = new GrowthBook().initSync({ payload: document });
    return (id, index) => {
      const attributes = { [attribute]: id };
      const value = client.getFeatureValue(key, "missing", { attributes });
      if (index % 1000 === 0) {
        first.setAttributes(attributes);
        if (first.getFeatureValue(key, "missing") !== value) return "the two clients differ";
      }
      return value;
    };
  },
  flagd(document, attribute) {
    const { FlagdCore } = require("@openfeature/flagd-core");
    const key = Object.keys(document.flags)[0];
    const core = new FlagdCore();
    core.setConfigurations(JSON.stringify(document));
    return (id) => core.resolveStringEvaluation(key, "missing", { [attribute]: id }).value;
  },
};

const { format, attribute, documents, ids } = JSON.parse(readFileSync(0, "utf8"));
const letters = { control: "c", variant: "v" };
const answers = documents.map((document) => {
  const evaluate = evaluators[format](document, attribute);
  return ids.map((id, index) => letters[evaluate(id, index)] ?? "?").join("");
});
process.stdout.write(JSON.stringify(answers));
