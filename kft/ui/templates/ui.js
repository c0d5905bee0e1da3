"use strict";
// What every step needs: asking the server, telling errors, the connection, the address of the page, focus.
const at = (id) => document.getElementById(id);
const STEPS = { data: "Data", columns: "Columns", check: "Check", train: "Train", result: "Result" };
const EVERY = 1000;
const AGAIN = 2000;
let state = { data: [], recipes: [], jobs: [], tasks: {}, largest: 0, folder: "" };
let lost = false;

class Told extends Error {
  constructor(error) {
    super(error.problem);
    this.error = error;
  }
}

function place() {
  return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
}

function go(step, values) {
  const next = { ...place(), ...values, step };
  for (const name of Object.keys(next)) if (!next[name]) delete next[name];
  location.hash = new URLSearchParams(next).toString();
}

function say(text) {
  if (at("said").textContent !== text) at("said").textContent = text;
}

function connection(text, found) {
  at("connection").textContent = text;
  at("connection").className = found ? "found" : "";
  at("connection").hidden = !text;
}

async function ask(path, body, type) {
  const sent = body === undefined ? {} : { method: "POST", body, headers: { "X-KFT": "page", "Content-Type": type } };
  if (body === undefined) sent.signal = path.endsWith("/about") ? undefined : AbortSignal.timeout(20000);
  let response;
  try {
    response = await fetch(path, sent);
  } catch (error) {
    lost = true;
    connection("The connection to kft is lost. Is kft ui still running in its terminal? Start it again there: this page "
      + "goes on by itself. A training that was started goes on meanwhile.");
    throw error;
  }
  if (lost) {
    lost = false;
    connection("Connected again.", true);
    setTimeout(() => lost || connection(""), 5000);
  }
  let found = {};
  try {
    found = await response.json();
  } catch {
    found = { error: { problem: "the server's answer cannot be read", next_step: "load the page again" } };
  }
  if (response.status === 401 || response.status === 403) connection(found.error.problem + ".");
  if (!response.ok) throw new Told(found.error);
  return found;
}

const askJson = (path, values) => ask(path, JSON.stringify(values), "application/json");

function list(name, parts) {
  const made = make(name);
  for (const [title, text] of parts) made.append(make("dt", title), make("dd", text));
  return made;
}

// Shows an error with what was found, what was expected, and what to do; nothing takes it away.
function tell(id, error) {
  const box = at(id);
  box.hidden = !error;
  if (!error) return box.replaceChildren();
  const rows = ["where", "received", "expected"].filter((name) => error[name]).map((name) => [name, error[name]]);
  const problem = error.problem.charAt(0).toUpperCase() + error.problem.slice(1);
  const parts = [make("p", problem + (/[.!?]$/.test(problem) ? "" : "."))];
  if (rows.length) parts.push(list("dl", rows));
  if (error.next_step) parts.push(make("p", "What to do: " + error.next_step, "next"));
  if (box.dataset.shown === JSON.stringify(error)) return undefined; // told once, not at each look
  box.dataset.shown = JSON.stringify(error);
  return box.replaceChildren(...parts);
}

function untell(id) {
  delete at(id).dataset.shown;
  tell(id, null);
}

// Has a button do what takes a while, once at a time.
function during(button, words, work, errors) {
  return async (event) => {
    event?.preventDefault();
    if (button.getAttribute("aria-disabled")) return;
    const before = button.textContent;
    button.setAttribute("aria-disabled", "true");
    button.textContent = words;
    untell(errors);
    say(words);
    try {
      await work();
    } catch (error) {
      if (error instanceof Told) {
        tell(errors, error.error);
        at(errors).scrollIntoView({ block: "nearest" });
      }
      if (!(error instanceof Told) && !lost) throw error;
    } finally {
      button.removeAttribute("aria-disabled");
      button.textContent = before;
    }
  };
}

function table(titles, rows, numbers = []) {
  const made = make("table");
  const head = make("tr");
  titles.forEach((title, column) => {
    const cell = make("th", title, numbers.includes(column) ? "number" : "");
    cell.scope = "col";
    head.append(cell);
  });
  made.append(make("thead"), make("tbody"));
  made.firstChild.append(head);
  for (const row of rows) {
    const line = make("tr", undefined, row.best ? "best" : "");
    row.forEach((text, column) => {
      const long = String(text).length > 60 ? "long" : "";
      line.append(make("td", text, numbers.includes(column) ? "number" : long));
    });
    made.lastChild.append(line);
  }
  return made;
}

function duration(seconds) {
  if (seconds === null) return "";
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (hours) return hours + " h " + (minutes % 60) + " min";
  return minutes ? minutes + " min " + (seconds % 60) + " s" : seconds + " s";
}

const WORDS = {
  running: "At work", done: "Done", refused: "Refused", failed: "Failed", stopped: "Stopped", killed: "Killed", gone: "Gone",
};

// Shows a command that is at work or has ended; what is open stays open while figures change.
function showJob(box, job) {
  box.hidden = false;
  if (box.dataset.job !== job.id) {
    const bar = make("progress");
    bar.setAttribute("aria-label", "progress");
    const details = make("details");
    const log = make("pre");
    log.tabIndex = 0;
    log.setAttribute("aria-label", "what the command says");
    details.append(make("summary", "What it says"), log);
    box.replaceChildren(make("p"), bar, make("p", "", "muted"), details);
    box.dataset.job = job.id;
  }
  const [status, bar, doing, details] = box.children;
  const progress = job.progress;
  const when = job.ended === null ? "" : ", " + new Date(1000 * job.ended).toLocaleString();
  status.textContent = WORDS[job.state] + (job.seconds === null ? "" : ", " + duration(job.seconds)) + when;
  bar.hidden = job.state !== "running";
  if (progress && progress.total) {
    bar.max = progress.total;
    bar.value = progress.done;
  } else bar.removeAttribute("value");
  const count = progress ? progress.label + ": " + progress.done.toLocaleString() + " of " + progress.total.toLocaleString() : "";
  const loss = progress && progress.loss !== null ? ", loss " + progress.loss.toFixed(3) : "";
  doing.textContent = job.state === "running" ? (count ? count + loss : job.note || "starting") : "";
  doing.hidden = !doing.textContent;
  if (details.lastChild.textContent !== job.log) details.lastChild.textContent = job.log;
  // For who listens: what is being done, and each quarter of it; not each second.
  const quarter = progress && progress.total ? Math.floor(4 * progress.done / progress.total) * 25 + " percent" : "";
  say(job.state === "running" ? [progress ? progress.label : job.note, quarter].filter(Boolean).join(", ") : WORDS[job.state]);
}
