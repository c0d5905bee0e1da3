"use strict";
const at = (id) => document.getElementById(id);
const make = (name, text, className) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
};
const percent = (value) => (100 * value).toFixed(1) + " %";
const SHOWN = 8;
const EXCERPT = 240;
const DOCUMENTS = "documents of the index";
let models = [];
let waiting = false;

function headers() {
  const token = at("token").value.trim();
  return token ? { Authorization: "Bearer " + token } : {};
}

function chosen() {
  return models.find((model) => model.name === at("model").value) || models[0];
}

async function loadModels() {
  const response = await fetch("/models", { headers: headers() });
  const found = await response.json();
  if (response.status === 401) {
    at("about").textContent = "This server asks for a token.";
    return false;
  }
  if (!response.ok) throw new Error(found.error);
  models = found;
  if (at("form").dataset.search) models.push({ name: DOCUMENTS, search: true, labels: [] });
  at("model").replaceChildren(...models.map((model) => make("option", model.name)));
  at("model-part").hidden = models.length < 2;
  showModel();
  return true;
}

function showModel() {
  const model = chosen();
  if (model.search) {
    at("title").textContent = "Find documents";
    at("about").textContent = "The passages of the index that come nearest.";
  }
  for (const part of ["image-part", "pair-part"]) at(part).hidden = true;
  at("text-part").hidden = false;
  at("text-label").textContent = model.search ? "Query" : "Text";
  if (model.search) return;
  const labels = model.labels.length ? ", " + model.labels.length + " labels" : "";
  at("title").textContent = model.name;
  at("about").textContent = model.task + labels + ", version " + model.version;
  at("text-part").hidden = model.reads === "image";
  at("image-part").hidden = model.reads !== "image";
  at("pair-part").hidden = model.reads !== "text-pair";
  at("text-label").textContent = model.reads === "text-pair" ? "First text" : "Text";
}

function asked(model) {
  const name = { model: model.name };
  if (model.reads === "image") {
    const form = new FormData();
    if (!at("image").files.length) throw new Error("Choose an image first.");
    form.append("image", at("image").files[0]);
    form.append("model", model.name);
    return { body: form, headers: headers() };
  }
  const first = at("text").value;
  if (model.search) {
    delete name.model;
    name.k = SHOWN;
  }
  const one = model.search ? { query: first } : { text: first };
  const given = model.reads === "text-pair" ? { pair: [first, at("second").value] } : one;
  if (!Object.values(given).flat().every((text) => text.trim())) throw new Error("Write a text first.");
  const type = { "Content-Type": "application/json" };
  return { body: JSON.stringify({ ...name, ...given }), headers: { ...headers(), ...type } };
}

async function send() {
  if (waiting) return;
  waiting = true;
  at("send").setAttribute("aria-disabled", "true");
  at("send").textContent = "Computing";
  try {
    if (!models.length && !(await loadModels())) throw new Error("The token is missing or wrong.");
    const model = chosen();
    const response = await fetch(model.search ? "/search" : "/predict", { method: "POST", ...asked(model) });
    const found = await response.json();
    if (!response.ok) throw new Error(found.error);
    (model.search ? list : show)(found);
  } catch (error) {
    fail(error instanceof TypeError ? "The server cannot be reached." : error.message);
  } finally {
    waiting = false;
    at("send").removeAttribute("aria-disabled");
    at("send").textContent = "Answer";
  }
}

function fail(reason) {
  at("answer").className = "error";
  at("answer").replaceChildren(make("p", reason, "why"));
  at("answer").hidden = false;
}

function headline(answer) {
  if ("label" in answer) return answer.label;
  if ("labels" in answer) return answer.labels.length ? answer.labels.join(", ") : "none of the labels";
  if ("value" in answer) return String(Number(answer.value.toPrecision(6)));
  return answer.spans && answer.spans.length ? answer.spans.length + " found" : "nothing found";
}

function bars(probabilities) {
  const list = make("ol");
  const sorted = Object.entries(probabilities).sort((one, other) => other[1] - one[1]);
  for (const [place, [label, value]] of sorted.slice(0, SHOWN).entries()) {
    const item = make("li", undefined, place ? "" : "first");
    const track = make("span", undefined, "track");
    const bar = make("i");
    bar.style.width = 100 * value + "%";
    track.append(bar);
    item.append(make("span", label), track, make("span", percent(value)));
    list.append(item);
  }
  if (sorted.length > SHOWN) {
    const rest = sorted.slice(SHOWN).reduce((sum, [, value]) => sum + value, 0);
    list.append(make("li", sorted.length - SHOWN + " more labels, together " + percent(rest), "muted"));
    list.lastChild.style.display = "block";
  }
  return list;
}

// Places count characters as Python does: one for each code point.
function marked(text, spans) {
  const characters = Array.from(text);
  const shown = make("p");
  let position = 0;
  for (const span of spans) {
    shown.append(characters.slice(position, span.start).join(""));
    const mark = make("mark", characters.slice(span.start, span.end).join(""));
    mark.append(" ", make("small", span.label));
    shown.append(mark);
    position = span.end;
  }
  shown.append(characters.slice(position).join(""));
  return shown;
}

function windows(text, evidence) {
  const characters = Array.from(text);
  const list = make("div");
  list.append(make("p", "Read in windows; these say most for the answer:", "muted"));
  for (const each of evidence) {
    const alone = "value" in each ? Number(each.value.toPrecision(4)) + " alone" : each.label + " " + percent(each.confidence);
    const said = alone + ", weight " + percent(each.weight);
    const place = ", characters " + each.start + " to " + each.end;
    const excerpt = characters.slice(each.start, Math.min(each.end, each.start + EXCERPT)).join("");
    list.append(make("p", said + place, "muted"), make("blockquote", excerpt));
  }
  return list;
}

function show(answer) {
  const parts = [];
  if (answer.abstain) {
    parts.push(make("p", "Withheld: " + (answer.why || "not sure enough") + ". The model declines to answer.", "why"));
  }
  parts.push(make("h2", (answer.abstain ? "It would have said: " : "") + headline(answer)));
  if (typeof answer.confidence === "number") parts.push(make("p", "confidence " + percent(answer.confidence), "muted"));
  if (answer.interval) {
    const [low, high] = answer.interval.map((end) => Number(end.toPrecision(6)));
    parts.push(make("p", "the right number lies from " + low + " to " + high + ", as often as was promised", "muted"));
  }
  if (answer.probabilities) parts.push(bars(answer.probabilities));
  if (answer.spans) parts.push(marked(at("text").value, answer.spans));
  if (answer.evidence) parts.push(windows(at("text").value, answer.evidence));
  parts.push(make("p", answer.model + ", version " + answer.version, "muted"));
  at("answer").className = answer.abstain ? "withheld" : "";
  at("answer").replaceChildren(...parts);
  at("answer").hidden = false;
}

function list(found) {
  const parts = found.abstain ? [make("p", "No good answer. The nearest documents:", "why")] : [];
  for (const each of found.results) {
    parts.push(make("h2", each.document), make("p", "score " + each.score.toFixed(3), "muted"), make("p", each.text));
  }
  at("answer").className = found.abstain ? "withheld" : "";
  at("answer").replaceChildren(...parts);
  at("answer").hidden = false;
}

at("form").addEventListener("submit", (event) => { event.preventDefault(); send(); });
at("model").addEventListener("change", showModel);
at("token").addEventListener("change", () => loadModels().catch((error) => fail(error.message)));
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); send(); }
});
loadModels()
  .then((open) => at(open ? (chosen().reads === "image" ? "image" : "text") : "token").focus())
  .catch((error) => fail(error.message || "The server cannot be reached."));
