// A thrown value as it is told: kind, message, frames of the tree, what was printed.
//
// Whatever was thrown belongs to the code under test: it may lie about itself, and it may throw again when it is asked.
// Node.js has no cheap way to the local variables of a frame that is gone, so frames come without them.
'use strict';

const fs = require('fs');
const { inspect } = require('util');

const { readFileSync } = fs;
const ROOT = '/repo/';
const FRAMES = 6, MESSAGE = 500, TRACE = 8192, OUTPUT = 2000, SOURCE = 120, WHY = 200, COMPARED = 4000;
// Places in a message: frames of a stack, and lines of source.
const PLACE = /^\s*(at |>?\s*\d* \|)/;
const FRAME = /^\s*at (?:(?:async )?(.*?) \()?(?:file:\/\/)?(\/repo\/[^()]*?):(\d+):\d+\)?$/;
const LATE = /^Exceeded timeout of /;
// eslint-disable-next-line no-control-regex
const COLOR = /\u001b\[[0-9;]*m/g;

const guarded = (ask, otherwise) => {
  try {
    return ask();
  } catch {
    return otherwise;
  }
};

const text = value => (typeof value === 'string' ? value : String(value)).replace(COLOR, '');

function kindOf(error, message) {
  if (LATE.test(message)) return 'Timeout';
  if (typeof error !== 'object' || error === null) return typeof error;
  const name = guarded(() => text(error.name || error.constructor.name), 'Error');
  if (guarded(() => 'matcherResult' in error, false)) return 'AssertionError';
  // An error of the compiler reaches us as its text.
  const said = /^(\w*Error): /.exec(message);
  return name === 'Error' && said ? said[1] : name;
}

function frame(line) {
  const found = FRAME.exec(line);
  if (!found || found[2].includes('/node_modules/')) return null;
  const [, name, file, number] = found;
  const source = guarded(() => readFileSync(file, 'utf8').split('\n')[number - 1].trim().slice(0, SOURCE), '');
  const shown = name && name !== 'Object.<anonymous>' ? name.replace(/^Object\./, '') : '<anonymous>';
  return { file: file.slice(ROOT.length), line: Number(number), function: shown, source, locals: {} };
}

/** Both ends of a long text. */
function bounded(whole) {
  if (whole.length <= TRACE) return whole;
  return `${whole.slice(0, TRACE / 4)}\n[...]\n${whole.slice(-TRACE * 3 / 4)}`;
}

/** What was thrown, its kind, message and stack. */
function read(thrown) {
  // Circus hands over the value together with an error made where the test was defined.
  const error = Array.isArray(thrown) ? thrown[0] ?? thrown[1] : thrown;
  const object = typeof error === 'object' && error !== null;
  const stack = object ? guarded(() => text(error.stack || ''), '') : '';
  let message = object ? guarded(() => text(error.message || ''), '') : `thrown: ${guarded(() => inspect(error), '?')}`;
  // Circus says in a plain text that a test took too long.
  if (typeof error === 'string' && LATE.test(error)) message = error;
  if (!message) message = stack.split('\n    at ')[0];
  return { kind: kindOf(error, message), message, stack };
}

/** Kind and message in short, or in full where runs are compared: then without places, which every patch moves. */
exports.whyOf = (thrown, compared) => {
  const { kind, message } = read(thrown);
  const lines = message.split('\n').map(line => line.trimEnd()).filter(line => line && !PLACE.test(line));
  return compared ? `${kind}: ${lines.join('\n')}`.slice(0, COMPARED) : `${kind}: ${lines[0] ?? ''}`.slice(0, WHY);
};

exports.failureOf = (thrown, stdout, stderr) => {
  const { kind, message, stack } = read(thrown);
  const lines = stack.split('\n').filter(line => /^\s*at /.test(line));
  const frames = lines.map(frame).filter(Boolean).slice(0, FRAMES).reverse();
  const own = lines.filter(line => FRAME.test(line) && !line.includes('/node_modules/'));
  const trace = bounded([message.startsWith(kind) ? message : `${kind}: ${message}`, ...own].join('\n'));
  const line = message.split('\n').map(part => part.trim()).filter(Boolean).join('; ').slice(0, MESSAGE);
  const printed = { stdout: stdout.slice(-OUTPUT), stderr: stderr.slice(-OUTPUT) };
  return { exception: kind, message: line, trace, frames, ...printed };
};
