"use strict";
// How an answer looks: on the page of `kft serve`, and on that of `kft ui`.
const make = (name, text, className) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
};
const percent = (value) => (100 * value).toFixed(1) + " %";
const SHOWN = 8;
const EXCERPT = 240;

function headline(answer) {
  if ("label" in answer) return answer.label;
  if ("labels" in answer) return answer.labels.length ? answer.labels.join(", ") : "none of the labels";
  if ("text" in answer) return answer.text;
  if ("vector" in answer) return "a vector of " + answer.vector.length + " numbers";
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

// The elements that show one answer to a text.
function answerParts(answer, text) {
  const parts = [];
  if (answer.abstain) {
    parts.push(make("p", "Withheld: " + (answer.why || "not sure enough") + ". The model declines to answer.", "why"));
  }
  if (answer.cut) parts.push(make("p", "The text is longer than what the model reads: a part of it was not read.", "why"));
  parts.push(make("h2", (answer.abstain ? "It would have said: " : "") + headline(answer)));
  if (typeof answer.confidence === "number") parts.push(make("p", "confidence " + percent(answer.confidence), "muted"));
  if (answer.interval) {
    const [low, high] = answer.interval.map((end) => Number(end.toPrecision(6)));
    parts.push(make("p", "the right number lies from " + low + " to " + high + ", as often as was promised", "muted"));
  }
  if (answer.probabilities) parts.push(bars(answer.probabilities));
  if (answer.spans) parts.push(marked(text, answer.spans));
  if (answer.evidence) parts.push(windows(text, answer.evidence));
  const version = answer.version === undefined ? "" : ", version " + answer.version;
  parts.push(make("p", answer.model + version, "muted"));
  return parts;
}
