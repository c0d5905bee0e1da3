const at = (id) => document.getElementById(id);
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
    const text = at("text").value;
    const response = await fetch(model.search ? "/search" : "/predict", { method: "POST", ...asked(model) });
    const found = await response.json();
    if (!response.ok) throw new Error(found.error);
    if (model !== chosen()) return; // another model is shown by now
    (model.search ? list : show)(found, text);
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

function show(answer, text) {
  at("answer").className = answer.abstain ? "withheld" : "";
  at("answer").replaceChildren(...answerParts(answer, text));
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
