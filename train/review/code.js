// A column of code: only the lines in sight are in the page, with syntax colors and the tokens that differ.
// What is shown is text and nothing else: every piece is a text node.
"use strict";

const LINE = 20;
const MARGIN = 30;
const KEYWORDS = {
  python: "and as assert async await break class continue def del elif else except finally for from global if import in is lambda match case None nonlocal not or pass raise return True False try while with yield self",
  javascript: "async await break case catch class const continue default delete do else export extends false finally for from function if import in instanceof let new null of return static super switch this throw true try typeof undefined var void while yield",
};
const WORDS = Object.fromEntries(Object.entries(KEYWORDS).map(([name, text]) => [name, new Set(text.split(" "))]));
const PIECES = {
  python: /(?<c>#.*)|(?<s>[rbfuRBFU]{0,2}(?:"""|'''|"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?))|(?<n>\b\d[\w.]*)|(?<w>[A-Za-z_]\w*)/g,
  javascript: /(?<c>\/\/.*|\/\*.*?(?:\*\/|$))|(?<s>"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?|`(?:\\.|[^`\\])*`?)|(?<n>\b\d[\w.]*)|(?<w>[A-Za-z_$][\w$]*)/g,
};

// [start, end, class] of the colored pieces of a line; `open` is what a line before left open.
function pieces(line, language, open) {
  const found = [];
  if (line.length > 2000 || !PIECES[language]) return { found, open };
  let from = 0;
  if (open) {
    const close = line.indexOf(open);
    const end = close < 0 ? line.length : close + open.length;
    found.push([0, end, open === "*/" ? "c" : "s"]);
    if (close < 0) return { found, open };
    [from, open] = [end, null];
  }
  const pattern = new RegExp(PIECES[language].source, "g");
  pattern.lastIndex = from;
  for (let match; (match = pattern.exec(line));) {
    if (!match[0]) { pattern.lastIndex++; continue; }
    const { c, s, n, w } = match.groups;
    let end = match.index + match[0].length;
    if (s && /("""|''')$/.test(s)) {
      const mark = s.slice(-3);
      const close = line.indexOf(mark, end);
      if (close < 0) { found.push([match.index, line.length, "s"]); return { found, open: mark }; }
      end = close + 3;
      pattern.lastIndex = end;
      found.push([match.index, end, "s"]);
    } else if (c) {
      found.push([match.index, end, "c"]);
      if (c.startsWith("/*") && !c.endsWith("*/")) return { found, open: "*/" };
    } else if (s) found.push([match.index, end, "s"]);
    else if (n) found.push([match.index, end, "n"]);
    else if (WORDS[language].has(w)) found.push([match.index, end, "k"]);
    else if (line[end] === "(") found.push([match.index, end, "f"]);
  }
  return { found, open };
}

class Column {
  constructor(root, mark, editable) {
    this.root = root;
    this.mark = mark;
    this.canvas = document.createElement("div");
    this.canvas.className = "canvas";
    this.layer = document.createElement("div");
    this.layer.setAttribute("aria-hidden", editable ? "true" : "false");
    this.canvas.append(this.layer);
    if (editable) {
      this.area = document.createElement("textarea");
      Object.assign(this.area, { spellcheck: false, autocapitalize: "off", autocomplete: "off", wrap: "off" });
      this.area.setAttribute("aria-label", "Your fix of this file");
      this.canvas.append(this.area);
    }
    root.addEventListener("scroll", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(root);
    this.show("", {}, "python");
  }

  show(text, marks, language) {
    this.canvas.remove();
    this.root.replaceChildren(this.canvas);
    this.language = language;
    if (this.area && this.area.value !== text) this.area.value = text;
    this.marks = marks || {};
    this.setText(text);
  }

  // A column without a file: a reason instead.
  note(text) {
    const note = document.createElement("div");
    note.className = "note";
    note.textContent = text;
    this.root.replaceChildren(note);
  }

  setText(text) {
    this.text = text;
    this.lines = text.split("\n");
    let longest = 0;
    for (const line of this.lines) longest = Math.max(longest, line.length + 3 * (line.split("\t").length - 1));
    this.canvas.style.height = `${this.lines.length * LINE + 8}px`;
    this.canvas.style.width = `calc(${Math.min(longest, 20000) + 3}ch + 3.4rem)`;
    this.opens = [null];
    this.draw();
  }

  setMarks(marks) { this.marks = marks || {}; this.draw(); }

  // What is open at the beginning of a line, remembered from line to line.
  openAt(line) {
    for (let at = this.opens.length; at <= line; at++)
      this.opens.push(pieces(this.lines[at - 1], this.language, this.opens[at - 1]).open);
    return this.opens[line];
  }

  draw() {
    const first = Math.max(0, Math.floor(this.root.scrollTop / LINE) - MARGIN);
    const last = Math.min(this.lines.length, Math.ceil((this.root.scrollTop + this.root.clientHeight) / LINE) + MARGIN);
    const drawn = [];
    for (let at = first; at < last; at++) drawn.push(this.drawLine(at));
    this.layer.replaceChildren(...drawn);
  }

  drawLine(at) {
    const row = document.createElement("div");
    row.className = "line";
    row.style.top = `${at * LINE}px`;
    const number = document.createElement("span");
    number.className = "no";
    number.textContent = String(at + 1);
    row.append(number);
    const line = this.lines[at].slice(0, 20000);
    const { found } = this.lines.length > 50000 ? { found: [] } : pieces(line, this.language, this.openAt(at));
    const marked = this.marks[at] || [];
    const edges = new Set([0, line.length]);
    for (const [start, end] of [...found, ...marked]) edges.add(Math.min(start, line.length)).add(Math.min(end, line.length));
    const sorted = [...edges].sort((one, other) => one - other);
    let piece = 0;
    for (let edge = 0; edge + 1 < sorted.length; edge++) {
      const [start, end] = [sorted[edge], sorted[edge + 1]];
      while (piece < found.length && found[piece][1] <= start) piece++;
      const color = piece < found.length && found[piece][0] <= start ? found[piece][2] : "";
      const differs = marked.some(([from, to]) => from <= start && end <= to);
      const span = document.createElement("span");
      span.className = `${color}${differs ? ` ${this.mark}` : ""}`.trim();
      span.textContent = line.slice(start, end);
      row.append(span);
    }
    return row;
  }
}

// The line of the other side that stands for `line`, between the nearest anchors.
function mapped(anchors, line, from, to) {
  let [before, after] = [[0, 0], null];
  for (const anchor of anchors) {
    if (anchor[from] <= line) before = anchor;
    else { after = anchor; break; }
  }
  if (!after) return before[to] + (line - before[from]);
  const span = after[from] - before[from];
  return before[to] + ((line - before[from]) / span) * (after[to] - before[to]);
}
