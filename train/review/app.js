// The page of a review: the list, the item in three columns, the tests, the verdict. All text of a model's is put in as text.
"use strict";

const $ = (id) => document.getElementById(id);
const make = (tag, text = "", name = "") => {
  const made = document.createElement(tag);
  made.textContent = text;
  if (name) made.className = name;
  return made;
};
const ROW = 44, PAGE = 100, SAVE_MS = 400, MARKS_MS = 120;
const columns = { original: new Column($("original"), "del"), model: new Column($("model"), "add"), human: new Column($("human"), "add", true) };
let reviewer = "", item = null, at = 0, listed = { total: 0, pages: new Map() };
let version = 0, keys = 0, since = 0, spent = 0, passes = false, minimal = null, dirty = false, saving = null, saveTimer, marksTimer, running = null;

async function ask(path, method = "GET", body) {
  const answer = await fetch(path, { method, headers: body ? { "content-type": "application/json" } : {}, body: body && JSON.stringify(body) });
  const text = await answer.text();
  let value = {};
  try { value = JSON.parse(text); } catch { value = { error: text }; }
  if (!answer.ok) throw Object.assign(new Error(value.error || `HTTP ${answer.status}`), { status: answer.status, value });
  return value;
}
const query = (values) => new URLSearchParams({ reviewer, ...values });

function banner(text, buttons = []) {
  $("banner").hidden = !text;
  $("banner").replaceChildren(text, ...buttons.map(([label, act]) => {
    const button = make("button", label);
    button.onclick = () => { banner(""); act(); };
    return button;
  }));
}
const failed = (error) => banner(error instanceof TypeError ? "The server does not answer. What you wrote stays in this page; start `train review` again." : error.message);

// ---- the list

async function page(number) {
  if (!listed.pages.has(number)) {
    const asked = listed;
    listed.pages.set(number, null);
    const values = query({ filter: $("filter").value, search: $("search").value, offset: number * PAGE, limit: PAGE });
    const found = await ask(`/api/items?${values}`);
    if (asked !== listed) return;
    listed.total = found.total;
    listed.pages.set(number, found.rows);
    drawList();
  }
}

function drawList() {
  $("list-canvas").style.height = `${listed.total * ROW}px`;
  $("count").textContent = `${listed.total} items`;
  const first = Math.max(0, Math.floor($("list").scrollTop / ROW) - 3);
  const last = Math.min(listed.total, Math.ceil(($("list").scrollTop + $("list").clientHeight) / ROW) + 3);
  const rows = [];
  for (let row = first; row < last; row++) {
    const found = listed.pages.get(Math.floor(row / PAGE));
    if (found === undefined) page(Math.floor(row / PAGE)).catch(failed);
    const one = found && found[row % PAGE];
    if (!one) continue;
    const made = make("div", "", "row");
    made.style.top = `${row * ROW}px`;
    made.id = `row-${one.id}`;
    made.setAttribute("role", "option");
    made.setAttribute("aria-selected", String(item !== null && one.id === item.id));
    const state = one.kind || (one.draft ? "draft" : "open");
    made.append(make("b", one.task), make("span", `${state} · ${one.repo} · ${one.lines} lines`));
    made.onclick = () => open(one.id).catch(failed);
    rows.push(made);
  }
  $("list-canvas").replaceChildren(...rows);
  if (item) $("list").setAttribute("aria-activedescendant", `row-${item.id}`);
}

async function relist() {
  listed = { total: listed.total, pages: new Map() };
  await page(Math.floor($("list").scrollTop / ROW / PAGE));
}

function rowOf(id) {
  for (const [number, rows] of listed.pages) {
    const place = rows ? rows.findIndex((one) => one.id === id) : -1;
    if (place >= 0) return number * PAGE + place;
  }
  return -1;
}

// The list follows the item that is shown.
function follow() {
  const row = rowOf(item.id), list = $("list");
  if (row < 0) return;
  if (row * ROW < list.scrollTop) list.scrollTop = row * ROW;
  else if ((row + 1) * ROW > list.scrollTop + list.clientHeight) list.scrollTop = (row + 1) * ROW - list.clientHeight;
}

async function beside(step) {
  const typing = document.activeElement === columns.human.area;
  const from = item ? rowOf(item.id) : -1, row = from + step;
  if (item && from < 0) { // The filter shows it no more.
    const { next } = await ask(`/api/next?${query({ after: item.id })}`);
    if (next) await open(next, typing);
    return;
  }
  if (row < 0 || row >= listed.total) return;
  await page(Math.floor(row / PAGE));
  const one = listed.pages.get(Math.floor(row / PAGE))?.[row % PAGE];
  if (one) await open(one.id, typing);
}

function showProgress({ total, done }) {
  $("progress").max = Math.max(1, total);
  $("progress").value = done;
  $("progress-text").textContent = `${done} of ${total}`;
}

async function start() {
  const told = await ask(`/api/start?${query({})}`);
  reviewer = told.reviewer;
  $("reviewer").value = reviewer;
  showProgress(told.progress);
  $("agreement").textContent = told.agreements.map((one) =>
    `${one.reviewers.join(" and ")}: κ ${one.kappa === null ? "–" : one.kappa.toFixed(2)} over ${one.items}`).join("; ");
  await relist();
  return told.next;
}

// ---- an item

const file = () => item.files[at];
const text = (value) => (value === null || value === undefined ? "" : value);
const humanFiles = () => Object.fromEntries(item.files.filter((one) => !one.fault).map((one) => [one.path, one.human]));

// `typing` puts the keys into the editor; who goes through the list stays there.
async function open(id, typing = true) {
  const began = performance.now();
  await flush();
  const shown = await ask(`/api/item/${id}?${query({})}`);
  if (running) running.abort();
  item = shown;
  at = Math.max(0, item.files.findIndex((one) => Object.keys(one.human_marks.new).length > 0));
  [version, spent, keys, minimal, dirty, since] = [item.draft.version, item.draft.seconds, item.draft.keys, item.minimal_lines, false, Date.now()];
  banner(item.gone || (item.refused ? `The model's answer is no patch of this tree: ${item.refused}` : ""));
  $("title").textContent = item.task;
  $("reason").textContent = `${item.repo} · ${item.model} · ${item.reason}`;
  $("statement").textContent = item.statement;
  $("statement-box").open = window.innerWidth > 960 && item.statement.length < 600;
  $("model-told").replaceChildren();
  $("fix-told").replaceChildren();
  $("history").replaceChildren(...item.history.map((one) =>
    make("li", `${new Date(one.at * 1000).toLocaleString()} ${one.reviewer}: ${one.kind}${one.reason ? ` – ${one.reason}` : ""}${one.seconds ? ` (${one.seconds.toFixed(0)} s, ${one.keys} keys)` : ""}`)));
  $("saved").textContent = version ? "draft saved" : "";
  tell("model", item.model_run);
  setRun(item.run);
  showFile(typing);
  follow();
  drawList();
  location.hash = `item-${id}`;
  performance.measure("view", { start: began });
  if (!item.model_run && !item.gone && !item.refused) look(id).catch(failed);
}

// The tests of the model's patch, where nobody asked yet; then those of the next item, so that nobody waits for them.
async function look(id) {
  await stream(`/api/item/${id}/run`, {}, "model", () => item && item.id === id, (told) => { item.model_run = told; if (!changed()) setRun(told); });
  const { next } = await ask(`/api/next?${query({ after: id })}`);
  if (next && item && item.id === id) await stream(`/api/item/${next}/run`, {}, null, () => false, () => {});
}

const changed = () => item.files.some((one) => one.human !== one.model);

function showFile(typing = true) {
  $("files").replaceChildren(...item.files.map((one, index) => {
    const tab = make("button", one.path + (one.human !== one.original ? " •" : ""));
    tab.type = "button";
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-selected", String(index === at));
    tab.onclick = () => { at = index; showFile(); };
    return tab;
  }));
  const one = file();
  const raw = item.raw ? item.raw : "nothing to show";
  if (!one) { columns.original.note("no file"); columns.model.note(raw); columns.human.note("no file"); return; }
  if (one.fault) { for (const column of Object.values(columns)) column.note(`${one.path}: ${one.fault}`); return; }
  const marks = { ...one.model_marks.old };
  for (const [line, ranges] of Object.entries(one.human_marks.old)) marks[line] = [...(marks[line] || []), ...ranges];
  columns.original.show(text(one.original), marks, item.language);
  if (one.original === null) columns.original.note("the file is not there before the patch");
  if (item.raw) columns.model.note(raw);
  else columns.model.show(text(one.model), one.model_marks.new, item.language);
  if (!item.raw && one.model === null) columns.model.note("the patch deletes the file");
  columns.human.show(text(one.human), one.human_marks.new, item.language);
  toChange(typing);
}

// The cursor stands on the first token that the model changed: whoever types replaces it.
function toChange(typing) {
  const area = columns.human.area, marks = file().human_marks.new;
  const line = Math.min(...Object.keys(marks).map(Number), Infinity);
  if (typing && window.innerWidth > 960) area.focus({ preventScroll: true });
  if (line === Infinity) { area.setSelectionRange(0, 0); return; }
  const begin = columns.human.lines.slice(0, line).reduce((sum, one) => sum + one.length + 1, 0);
  const [from, to] = marks[line][0] || [0, 0];
  area.setSelectionRange(begin + from, begin + to);
  $("human").scrollTop = Math.max(0, line * LINE - $("human").clientHeight / 3);
}

function setRun(told) {
  passes = Boolean(told && told.passes);
  tell("fix", told);
  showSize();
  document.querySelector("[data-act=accept]").disabled = !passes;
  document.querySelector("[data-act=minimize]").disabled = !passes;
  document.querySelector("[data-act=run]").disabled = Boolean(item.gone);
}

function showSize() {
  const lines = item.files.reduce((sum, one) => sum + (one.human_marks.size || 0), 0);
  $("size").textContent = `${lines} changed lines${minimal === null || minimal === undefined ? "" : `, 1-minimal: ${minimal}`}`;
}

function tell(side, told) {
  const state = $(`${side}-state`);
  state.className = told ? (told.passes ? "passes" : "fails") : "";
  state.textContent = told ? `${told.passes ? "✓ passes" : `✗ ${told.outcome.replaceAll("_", " ")}`} · ${told.seconds.toFixed(1)} s` : "not run yet";
  if (!told) return;
  const parts = [make("p", told.words)];
  if (told.left_out.length) parts.push(make("p", `left as it was, because it judges: ${told.left_out.join(", ")}`));
  if (told.failure) {
    const { test, exception, message, frames, trace, stdout } = told.failure;
    parts.push(make("p", test, "fails"), make("pre", `${exception}: ${message}`));
    for (const frame of [...frames].reverse()) {
      parts.push(make("pre", `${frame.file}:${frame.line} in ${frame.function}\n    ${frame.source}`));
      const rows = Object.entries(frame.locals);
      if (rows.length) {
        const table = make("table");
        table.append(...rows.map(([name, value]) => { const row = make("tr"); row.append(make("th", name), make("td", value)); return row; }));
        parts.push(table);
      }
    }
    const whole = make("details");
    whole.append(make("summary", "Trace and output"), make("pre", trace), make("pre", stdout));
    parts.push(whole);
  } else if (told.output) parts.push(make("pre", told.output));
  $(`${side}-told`).replaceChildren(...parts);
}

// Reads a stream of events, and shows them on one side while `here` holds.
async function stream(path, body, side, here, done) {
  const stop = new AbortController();
  if (side === "fix") running = stop;
  const answer = await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal: stop.signal });
  if (!answer.ok) throw new Error((await answer.json()).error);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", log = null;
  const event = (told) => {
    if (!here()) return;
    if (told.event === "state") { $(`${side}-state`).className = ""; $(`${side}-state`).textContent = told.text; }
    else if (told.event === "output") {
      if (!log) { log = make("pre"); $(`${side}-told`).replaceChildren(log); }
      log.append(told.text);
    } else if (told.event === "failed") { $(`${side}-state`).textContent = "not run"; banner(told.text); }
    else { if (told.event === "done") tell(side, told); done(told); }
  };
  for (;;) {
    const { value, done: over } = await reader.read();
    if (over) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const data = block.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5)).join("\n");
      if (data) event(JSON.parse(data));
    }
  }
}

// ---- the draft

const seconds = () => spent + (Date.now() - since) / 1000;

function edited() {
  const one = file();
  one.human = columns.human.area.value;
  columns.human.setText(one.human);
  changedNow();
}

function changedNow() {
  dirty = true;
  minimal = null;
  $("saved").textContent = "not saved yet";
  if (running) running.abort();
  setRun(null);
  $("fix-told").replaceChildren();
  clearTimeout(saveTimer);
  saveTimer = setTimeout(() => flush().catch(failed), SAVE_MS);
  clearTimeout(marksTimer);
  marksTimer = setTimeout(() => compare(item, file()).catch(failed), MARKS_MS);
}

async function compare(of, one) {
  const human = one.human;
  const found = await ask(`/api/item/${of.id}/marks`, "POST", { old: text(one.original), new: text(human) });
  if (of !== item || one.human !== human) return;
  one.human_marks = found;
  if (one === file()) columns.human.setMarks(found.new);
  showSize();
}

async function flush() {
  clearTimeout(saveTimer);
  if (saving) await saving.catch(() => {});
  if (!dirty || !item) return;
  dirty = false;
  const of = item;
  saving = ask(`/api/item/${of.id}/draft`, "PUT", { reviewer, version, files: humanFiles(), seconds: seconds(), keys });
  try {
    version = (await saving).version;
    $("saved").textContent = "draft saved";
  } catch (error) {
    dirty = true;
    if (error.status !== 409) throw error;
    const theirs = error.value.draft;
    banner("This draft was changed in another tab. Both are kept until you choose.", [
      ["Keep mine", () => { version = theirs.version; flush().catch(failed); }],
      ["Take theirs (Ctrl Z brings mine back)", () => { version = theirs.version; dirty = false; put(theirs.files); }],
    ]);
  } finally { saving = null; }
}

// Puts files into the person's column; in the one that is shown, undo brings back what was there.
function put(files) {
  for (const one of item.files) {
    if (!(one.path in files) || one.fault) continue;
    if (one === file()) {
      columns.human.area.focus();
      columns.human.area.select();
      document.execCommand("insertText", false, text(files[one.path]));
    }
    one.human = files[one.path];
    compare(item, one).catch(failed);
  }
}

// ---- what a person does

const acts = {
  async run() {
    if (item.gone) return;
    const of = item;
    await flush();
    await stream(`/api/item/${of.id}/run`, { files: humanFiles() }, "fix", () => item === of, (told) => { item.run = told; setRun(told); });
  },
  async accept() {
    if (!passes) { banner("Only a fix that passed the tests can be stored: run them first."); return; }
    await decide({ kind: "accept", files: humanFiles() });
  },
  async minimize() {
    const of = item;
    await stream(`/api/item/${of.id}/minimize`, { files: humanFiles() }, "fix", () => item === of, async (told) => {
      put(told.files);
      await acts.run();
      minimal = told.lines[1];
      setRun(item.run);
    });
  },
  async reject() {
    const reason = await prompted("Reject this item", "Why? It is stored with the verdict.", ["the task is broken", "the tests are wrong", "not worth a fix", "the issue is unclear"]);
    if (reason) await decide({ kind: "reject", reason });
  },
  async skip() { await decide({ kind: "skip" }); },
  async undo() {
    const told = await ask("/api/undo", "POST", { reviewer });
    showProgress(told.progress);
    await relist();
    await open(told.item);
  },
  async reset() { put(Object.fromEntries(item.files.map((one) => [one.path, one.original]))); },
  async file() {
    const path = await prompted("Open a file of this tree", "Its path, such as src/money.py", []);
    if (!path) return;
    const found = await ask(`/api/item/${item.id}/file?${query({ path })}`);
    const known = item.files.findIndex((one) => one.path === path);
    at = known >= 0 ? known : item.files.push(found) - 1;
    showFile();
  },
};

async function decide(verdict) {
  await flush();
  const told = await ask(`/api/item/${item.id}/verdict`, "POST", { reviewer, seconds: seconds(), keys, ...verdict });
  showProgress(told.progress);
  await relist();
  if (told.next) await open(told.next);
  else { await open(item.id); banner("Every item has your verdict. `train review export` makes training data of them."); }
}

function prompted(title, label, ideas) {
  $("ask-title").textContent = title;
  $("ask-label").textContent = label;
  $("ask-input").value = "";
  $("ask-list").replaceChildren(...ideas.map((idea) => Object.assign(make("option"), { value: idea })));
  $("ask").returnValue = "";
  $("ask").showModal();
  $("ask-input").focus();
  return new Promise((resolve) => $("ask").addEventListener("close", () =>
    resolve($("ask").returnValue === "yes" ? $("ask-input").value.trim() : ""), { once: true }));
}

const LETTERS = { KeyR: "run", KeyA: "accept", KeyM: "minimize", KeyX: "reject", KeyS: "skip", KeyU: "undo", KeyO: "reset", KeyF: "file" };
const HELP = [["Ctrl Enter", "run the tests; once they pass, store the fix and go on"], ["Alt R, R", "run the tests"], ["Alt A, A", "store the fix"],
  ["Alt M, M", "minimize the fix"], ["Alt X, X", "reject with a reason"], ["Alt S, S", "skip"], ["Alt U, U", "undo the latest verdict"],
  ["Alt O, O", "start from the original"], ["Alt F, F", "open another file"], ["Alt 1 … 9", "a file of the patch"], ["Alt J, J", "next item"], ["Alt K, K", "previous item"], ["E", "edit"], ["/", "search"], ["Esc", "leave the editor; then Tab moves on"]];
const act = (name) => { if (item || name === "undo") acts[name]().catch((error) => { if (error.name !== "AbortError") failed(error); }); };

document.addEventListener("keydown", (event) => {
  if (!["Shift", "Control", "Alt", "Meta", "AltGraph"].includes(event.key)) keys++;
  if (document.querySelector("dialog[open]")) return;
  const typing = ["TEXTAREA", "INPUT", "SELECT"].includes(event.target.tagName);
  const alone = event.altKey && !event.ctrlKey && !event.metaKey;
  const plain = !typing && !event.altKey && !event.ctrlKey && !event.metaKey;
  const doing = (work) => { event.preventDefault(); work(); };
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) doing(() => act(passes ? "accept" : "run"));
  else if ((alone || plain) && LETTERS[event.code]) doing(() => act(LETTERS[event.code]));
  else if (alone && /^Digit[1-9]$/.test(event.code) && item && item.files[event.code[5] - 1]) doing(() => { at = event.code[5] - 1; showFile(); });
  else if (event.key === "Escape" && typing) event.target.blur();
  else if ((alone || plain) && ["KeyJ", "KeyK"].includes(event.code)) doing(() => beside(event.code === "KeyJ" ? 1 : -1).catch(failed));
  else if (plain && event.key === "e") doing(() => columns.human.area.focus());
  else if (plain && event.key === "/") doing(() => $("search").focus());
  else if (plain && event.key === "?") doing(() => $("help").showModal());
});

columns.human.area.addEventListener("input", edited);
columns.human.area.addEventListener("keydown", (event) => {
  if (event.key !== "Tab" || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  document.execCommand("insertText", false, item.language === "python" ? "    " : "  ");
});
document.querySelectorAll("[data-act]").forEach((button) => { button.onclick = () => act(button.dataset.act); });
$("open-file").onclick = () => act("file");
$("help-button").onclick = () => $("help").showModal();
$("help-keys").append(...HELP.flatMap(([key, does]) => [make("dt", key), make("dd", does)]));
$("list").addEventListener("scroll", drawList);
$("list").addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) { event.preventDefault(); beside(step).catch(failed); }
});
$("filter").onchange = () => relist().catch(failed);
$("search").oninput = () => relist().catch(failed);
$("reviewer").onchange = async () => {
  try { await flush(); reviewer = $("reviewer").value; localStorage.setItem("reviewer", reviewer); const next = await start(); await open(next || item.id); } catch (error) { failed(error); }
};
document.addEventListener("visibilitychange", () => {
  if (document.hidden) { spent = item ? seconds() : 0; flush().catch(failed); }
  since = Date.now();
});
window.addEventListener("beforeunload", (event) => { if (dirty) event.preventDefault(); });

// Columns scroll together, line by line: the one that a person moves leads.
const expected = new WeakMap();
for (const [name, column] of Object.entries(columns)) {
  column.root.addEventListener("scroll", () => {
    if (!item || !file() || Math.abs((expected.get(column) ?? -1) - column.root.scrollTop) < 2) return;
    const anchors = { model: file().model_marks.anchors, human: file().human_marks.anchors, original: [] };
    const line = column.root.scrollTop / LINE;
    const original = mapped(anchors[name], line, 1, 0);
    for (const [other, follower] of Object.entries(columns)) {
      if (other === name) continue;
      follower.root.scrollTop = mapped(anchors[other], original, 0, 1) * LINE;
      follower.root.scrollLeft = column.root.scrollLeft;
      expected.set(follower, follower.root.scrollTop);
    }
  });
}

(async () => {
  reviewer = localStorage.getItem("reviewer") || "";
  const next = await start();
  const named = /^#item-(\d+)$/.exec(location.hash);
  const id = named ? Number(named[1]) : next;
  if (id) await open(id);
  else if (listed.pages.get(0)?.[0]) await open(listed.pages.get(0)[0].id);
  if (!next) banner("Every item has your verdict. `train review export` makes training data of them.");
  document.body.dataset.ready = "yes";
})().catch(failed);
