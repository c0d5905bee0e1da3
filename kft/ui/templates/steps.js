"use strict";
// The five steps. What is shown follows from the address of the page and from what the server says.
let looked = "";
let runs = [];
let tried = "";
let known = Promise.resolve(); // what the model that is tried reads
const newest = (kind) => state.jobs.find((job) => job.kind === kind && job.recipe === place().recipe);
const reportOf = (run) => state.jobs.find((job) => job.kind === "report" && job.run === run);
const value = (id) => at(id).value;
const escaped = (path) => path.split("/").map((part) => "/" + encodeURIComponent(part)).join("");
const quoted = (name) => (/^[\w@%+=:,.\/-]+$/.test(name) ? name : "'" + name.replaceAll("'", "'\\''") + "'");

function size(bytes) {
  if (bytes === null) return "";
  return bytes < 1e6 ? Math.max(1, Math.round(bytes / 1e3)) + " kB" : (bytes / 1e6).toFixed(1) + " MB";
}

function choice(title, detail, act) {
  const item = make("li");
  const button = make("button", title);
  button.type = "button";
  button.append(make("span", detail));
  button.addEventListener("click", act);
  item.append(button);
  return item;
}

// ---- data

function showData() {
  const key = JSON.stringify([state.data, state.recipes, state.jobs]);
  if (at("files").dataset.key === key) return; // a list that is made anew would lose the focus
  at("files").dataset.key = key;
  at("files").replaceChildren(...state.data.map((each) =>
    choice(each.name, each.bytes === null ? each.kind : size(each.bytes), () => go("columns", { data: each.name, recipe: "" }))));
  if (state.more) at("files").append(make("li", state.more.toLocaleString() + " more, by later names, are not listed.", "muted"));
  if (!state.data.length) at("files").append(make("li", "There is no table in it yet: choose one from your computer.", "muted"));
  at("upload-help").textContent = "csv, tsv, txt, jsonl, parquet or xlsx, up to " + Math.floor(state.largest / 2 ** 20)
    + " MB. It is copied into this folder and goes nowhere else. Photos: a folder beside the data, with one subfolder a class.";
  const works = state.recipes.map((recipe) => {
    const jobs = state.jobs.filter((job) => job.recipe === recipe && job.kind !== "report");
    const step = jobs.length && jobs[0].kind === "train" ? "train" : "check";
    const said = jobs.length ? { check: "check", train: "training" }[jobs[0].kind] + " " + WORDS[jobs[0].state].toLowerCase() : "recipe";
    return choice(recipe, said, () => go(step, { recipe, data: "" }));
  });
  at("works").replaceChildren(...works);
  at("earlier").hidden = !works.length;
}

async function upload() {
  const [file] = at("upload").files;
  if (!file) return;
  untell("data-error");
  if (file.size > state.largest) {
    const most = Math.floor(state.largest / 2 ** 20) + " MB";
    tell("data-error", { problem: "the file is larger than this page takes", where: file.name, received: size(file.size),
      expected: "at most " + most, next_step: "use fewer rows first; or put the file into the folder and type kft init" });
    return;
  }
  say("Copying " + file.name);
  try {
    const found = await ask("/files?name=" + encodeURIComponent(file.name), file, "application/octet-stream");
    go("columns", { data: found.name, recipe: "" });
  } catch (error) {
    if (error instanceof Told) tell("data-error", error.error);
  } finally {
    at("upload").value = "";
  }
}

// ---- columns

function asked() {
  const pairs = value("task") === "text-pairs" || value("task") === "text-similarity";
  return { name: place().data || "", task: value("task"), text: value("column-text"),
    pair: pairs ? value("column-pair") : "", label: value("column-label") };
}

function options(id, names, chosen) {
  const made = names.map(([name, title]) => {
    const option = make("option", title);
    option.value = name;
    return option;
  });
  at(id).replaceChildren(...made);
  at(id).value = names.some(([name]) => name === chosen) ? chosen : names[0][0];
}

async function look(first) {
  const data = place().data;
  const given = first ? { name: data } : asked();
  at("columns-about").textContent = "Reading " + data;
  // What another file holds is not to be taken for this one's.
  if (first) at("columns-form").hidden = at("looked").hidden = at("rows").hidden = true;
  untell("columns-error");
  let found;
  try {
    found = await askJson("/look", given);
  } catch (error) {
    at("columns-about").textContent = data;
    at("columns-form").reset();
    at("columns-form").hidden = at("looked").hidden = at("rows").hidden = true;
    if (error instanceof Told) tell("columns-error", error.error);
    else looked = "";
    return;
  }
  if (place().data !== data) return;
  showRows(found);
  showFields(found, given);
  showLook(found.look);
  at("columns-about").textContent = data + (found.look ? ", " + found.look.rows.toLocaleString() + " rows" : "");
  if (found.error) tell("columns-error", found.error);
  say(found.error ? "" : "Read " + data);
}

function showRows(found) {
  at("rows").hidden = !found.rows.length;
  at("rows").replaceChildren(table(found.columns.slice(0, 30), found.rows));
}

function showFields(found, given) {
  const seen = found.look || {};
  const guess = [["", "as kft finds it"]];
  const several = Array.isArray(seen.label);
  const columns = found.columns.map((name) => [name, name]);
  options("task", [...guess, ...Object.entries(state.tasks).map(([name]) => [name, name])], seen.task || given.task || "");
  at("task-help").textContent = state.tasks[value("task")] || "one class a text, or whatever the columns look like";
  options("column-text", [...guess, ...columns], seen.text || given.text || "");
  options("column-pair", [...guess, ...columns], seen.text_pair || given.pair || "");
  options("column-label", [...guess, ...columns], several ? "" : seen.label || given.label || "");
  at("column-fields").hidden = !columns.length;
  showPair();
  at("columns-form").hidden = !columns.length && !found.look;
  at("use").hidden = !found.look;
}

function showPair() {
  at("column-pair-part").hidden = !["text-pairs", "text-similarity"].includes(value("task"));
  at("task-help").textContent = state.tasks[value("task")] || "one class a text, or whatever the columns look like";
}

function showLook(seen) {
  at("looked").hidden = !seen;
  if (!seen) return;
  at("warnings").replaceChildren(...seen.warnings.map((text) => make("li", text)));
  at("summary").replaceChildren(...list("dl", seen.summary).children);
  const rows = seen.largest.map(([name, count, example]) => [name, count.toLocaleString(), example]);
  at("labels").hidden = !rows.length;
  at("labels").replaceChildren(table(["label", "rows", "an example"], rows, [1]));
}

// ---- check

function showFindings(job) {
  const result = job.result;
  const found = result ? result.findings : [];
  if (at("findings").dataset.job === job.id + job.state) return;
  at("findings").dataset.job = job.id + job.state;
  at("findings").replaceChildren(...found.map((each) => {
    const item = make("li", undefined, each.severity);
    const said = make("p");
    said.append(make("b", each.severity), ": " + each.message);
    item.append(said, make("p", each.advice, "muted"));
    return item;
  }));
  if (result && !found.length) at("findings").append(make("li", "Nothing was found that would spoil a result."));
  const file = result && result.files.find((name) => name.endsWith("audit.html"));
  at("check-page").hidden = !file;
  if (!file) return;
  const link = make("a", "Open the page with examples and plots");
  Object.assign(link, { href: "/shown" + escaped(file), target: "_blank", rel: "noopener" });
  at("check-page").replaceChildren(link);
}

async function showCheck() {
  const job = newest("check");
  if (!job) {
    at("check-job").hidden = at("check-page").hidden = true;
    at("check-start").textContent = "Check";
    at("check-start").className = "";
    at("to-train").className = "quiet";
    delete at("findings").dataset.job;
    at("check-start").hidden = false;
    at("findings").replaceChildren();
    return "kft check " + quoted(place().recipe);
  }
  const told = await ask("/jobs/" + job.id);
  showJob(at("check-job"), told);
  if (told.error) tell("check-error", told.error);
  if (told.state === "running") untell("check-error");
  showFindings(told);
  at("check-start").textContent = told.state === "done" ? "Check again" : "Check";
  at("check-start").className = told.state === "done" ? "quiet" : "";
  at("to-train").className = told.state === "done" ? "" : "quiet";
  at("check-start").hidden = told.state === "running";
  return told.command;
}

// ---- train

function showEpochs(epochs) {
  at("epochs").hidden = !epochs.length;
  const fixed = (number) => (number === null || number === undefined ? "" : number.toFixed(4));
  const metric = epochs.length ? epochs[epochs.length - 1].metric.replaceAll("_", " ") : "";
  const rows = epochs.map((each) => {
    const row = [each.phase, each.epoch || "start", fixed(each.loss), fixed(each.valid_loss), fixed(each.value) + (each.is_best ? " best" : "")];
    row.best = each.is_best;
    return row;
  });
  const made = table(["phase", "epoch", "loss", "loss on valid", metric + " on valid"], rows, [1, 2, 3, 4]);
  if (at("epochs").textContent !== made.textContent) at("epochs").replaceChildren(made);
}

async function showTrain() {
  const job = newest("train");
  if (!job) {
    for (const id of ["train-job", "train-resume", "train-stop", "to-result", "epochs"]) at(id).hidden = true;
    at("train-start").hidden = false;
    return "kft train " + quoted(place().recipe);
  }
  const told = await ask("/jobs/" + job.id);
  showJob(at("train-job"), told);
  if (told.error) tell("train-error", told.error);
  if (told.state === "running") untell("train-error");
  showEpochs(told.epochs);
  at("train-start").textContent = told.state === "done" || told.resumable ? "Train anew" : "Train";
  at("train-start").className = told.state === "done" || told.resumable ? "quiet" : "";
  at("train-start").hidden = told.state === "running";
  at("train-resume").hidden = !told.resumable;
  at("train-stop").hidden = told.state !== "running";
  at("to-result").hidden = told.state !== "done";
  at("to-result").onclick = () => go("result", { run: job.run });
  if (told.epochs.length && told.state === "running" && !told.progress) {
    const last = told.epochs[told.epochs.length - 1];
    say(last.phase + ", epoch " + last.epoch + ": " + last.metric + " " + fixedShort(last.value));
  }
  return told.command;
}

const fixedShort = (number) => (number === null || number === undefined ? "unknown" : number.toFixed(3));

// ---- result

async function showResult(entered) {
  if (entered) {
    const found = await ask("/runs");
    runs = found.runs;
    const wanted = place().run;
    const there = !wanted || runs.some((each) => each.run === wanted);
    at("unread").textContent = [there ? "" : wanted + " is not ready, or cannot be read: it is not what is shown here.",
      ...Object.entries(found.unreadable).map(([each, why]) => each + " cannot be read: " + why + ".")].join(" ").trim();
    at("unread").hidden = !at("unread").textContent;
    at("no-result").hidden = runs.length > 0;
    at("result").hidden = !runs.length;
    if (!runs.length) return "";
    options("run", runs.map((each) => [each.run, each.run.replace("runs/", "") + " (" + each.figure + ")"]), place().run || runs[0].run);
    if (tried !== value("run")) {
      at("answer").hidden = true;
      untell("result-error");
    }
  }
  const run = runs.find((each) => each.run === value("run"));
  if (!run) return "";
  if (entered) showFigures(run);
  const job = reportOf(run.run);
  at("report-job").hidden = !job || job.state === "done";
  if (job && job.state !== "done") {
    const told = await ask("/jobs/" + job.id);
    showJob(at("report-job"), told);
    if (told.error) tell("result-error", told.error);
  }
  const there = run.report || (job && job.state === "done");
  at("report-link").hidden = !there;
  at("report-link").href = "/shown" + escaped(run.run) + "/report.html";
  at("report-start").hidden = Boolean(there || (job && job.state === "running"));
  if (there && job && job.state === "done") say("The report is ready");
  return "kft report " + quoted(run.run) + "; kft predict " + quoted(run.run) + " INPUT";
}

function showFigures(run) {
  at("figure").textContent = run.figure;
  const rows = run.metrics.map(([title, found]) =>
    [title, found.value.toFixed(3), found.low === null ? "" : found.low.toFixed(3) + " to " + found.high.toFixed(3)]);
  at("metrics").replaceChildren(table(["on rows it has never seen", "figure", "95 % interval"], rows, [1, 2]));
  if (run.run !== tried) known = askAbout(run.run);
}

async function askAbout(run) {
  tried = run;
  try {
    const about = await ask(escaped(run) + "/about");
    at("try-text-part").hidden = about.reads === "image";
    at("try-image-part").hidden = about.reads !== "image";
    at("try-pair-part").hidden = about.reads !== "text-pair";
    at("try-text-label").textContent = about.reads === "text-pair" ? "First text" : "Text";
  } catch (error) {
    tried = "";
    if (error instanceof Told) tell("result-error", error.error);
  }
}

async function answer() {
  const run = value("run");
  const text = value("try-text");
  let found;
  await known;
  if (!at("try-image-part").hidden) {
    const [image] = at("try-image").files;
    if (!image) throw new Told({ problem: "there is no image", next_step: "choose one" });
    found = await ask("/try?run=" + encodeURIComponent(run), image, image.type || "image/png");
  } else {
    const pair = at("try-pair-part").hidden ? {} : { pair: value("try-pair") };
    found = await askJson("/try", { run, text, ...pair });
  }
  if (run !== value("run")) return; // another run is shown by now
  at("answer").className = found.abstain ? "withheld" : "";
  at("answer").replaceChildren(...answerParts(found, text));
  at("answer").hidden = false;
  at("answer").scrollIntoView({ block: "nearest" });
}

// ---- all of it

const SHOW = { data: showData, columns: () => undefined, check: showCheck, train: showTrain, result: showResult };

function showSteps(step) {
  const { data, recipe } = place();
  const open = { data: true, columns: data, check: recipe, train: recipe, result: true };
  if (!at("steps").children.length) {
    for (const [name, title] of Object.entries(STEPS)) {
      const item = make("li");
      const button = make("button", title);
      button.type = "button";
      button.addEventListener("click", () => go(name));
      item.append(button);
      at("steps").append(item);
    }
  }
  Object.keys(STEPS).forEach((name, number) => {
    const button = at("steps").children[number].firstChild;
    button.disabled = !open[name];
    if (name === step) button.setAttribute("aria-current", "step");
    else button.removeAttribute("aria-current");
  });
}

let current = "";

// Who presses a button that goes away stays in the step: at the button that now stands there, or at its title.
function keepFocus(before, section) {
  if (before.offsetParent !== null || !section.contains(before)) return;
  const next = [...section.querySelectorAll("button:not(.quiet), a.button, #train-stop")].find((each) => each.offsetParent);
  (next || section.querySelector("h2")).focus();
}

async function enter() {
  const before = document.activeElement;
  const now = place();
  const step = now.step in STEPS ? now.step : "data";
  const changed = current !== location.hash;
  const another = !at("step-" + step).classList.contains("here");
  current = location.hash;
  for (const name of Object.keys(STEPS)) {
    at("step-" + name).hidden = name !== step;
    at("step-" + name).classList.toggle("here", name === step);
  }
  showSteps(step);
  document.title = "kft: " + STEPS[step].toLowerCase();
  if (another) {
    for (const box of document.querySelectorAll(".told")) untell(box.id);
    at("step-" + step).querySelector("h2").focus();
  }
  if (step === "columns" && now.data && (another || looked !== now.data)) {
    const first = looked !== now.data;
    looked = now.data;
    await look(first); // another time as it was asked for: the file may have changed meanwhile
  }
  const command = await SHOW[step](changed || another);
  keepFocus(before, at("step-" + step));
  at("typed").hidden = !command;
  if (command) at("command").textContent = command;
}

async function poll() {
  try {
    state = await ask("/state");
    at("folder").textContent = state.folder;
    await enter();
  } catch (error) {
    if (error instanceof Told) console.warn(error.message);
  }
  setTimeout(poll, lost ? AGAIN : EVERY);
}

async function start(kind, values) {
  await askJson("/start", { kind, recipe: place().recipe || "", ...values });
  state = await ask("/state");
  await enter();
}

at("upload").addEventListener("change", upload);
at("task").addEventListener("change", showPair);
at("columns-form").addEventListener("submit", during(at("look-again"), "Looking", () => look(false), "columns-error"));
at("use").addEventListener("click", during(at("use"), "Writing", async () => {
  const { recipe } = await askJson("/recipe", asked());
  state = await ask("/state");
  go("check", { recipe });
}, "columns-error"));
at("check-start").addEventListener("click", during(at("check-start"), "Starting", () => start("check"), "check-error"));
at("to-train").addEventListener("click", () => go("train"));
at("train-start").addEventListener("click", during(at("train-start"), "Starting", () => start("train"), "train-error"));
at("train-resume").addEventListener("click", during(at("train-resume"), "Starting", () => start("train", { run: newest("train").run }), "train-error"));
at("train-stop").addEventListener("click", during(at("train-stop"), "Stopping", () => askJson("/stop", { id: newest("train").id }), "train-error"));
at("report-start").addEventListener("click", during(at("report-start"), "Starting", () => start("report", { run: value("run") }), "result-error"));
at("run").addEventListener("change", () => go("result", { run: value("run") }));
at("try").addEventListener("submit", during(at("try-send"), "Computing", answer, "result-error"));
at("try").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("try").requestSubmit();
});
addEventListener("hashchange", () => enter().catch(() => undefined));

(async () => {
  try {
    state = await ask("/state");
    const working = state.jobs.find((job) => job.state === "running");
    if (!location.hash && working) {
      go(working.kind === "report" ? "result" : working.kind, { recipe: working.recipe, run: working.run });
    }
  } catch { /* told by ask */ }
  poll();
})();
