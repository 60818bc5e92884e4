// What a test prints: passed on at once, and kept until the next test begins.
'use strict';

const { Console } = require('console');
const { Writable } = require('stream');

const KEPT = 4000;

/** A console of its own for each file, so that nothing is printed between its lines. */
module.exports = class Output {
  constructor() {
    this.clear();
    const keep = name => new Writable({
      decodeStrings: false,
      write: (chunk, _, done) => {
        this[name] = (this[name] + chunk).slice(-KEPT);
        process[name].write(chunk);
        done();
      },
    });
    this.console = new Console({ stdout: keep('stdout'), stderr: keep('stderr'), colorMode: false });
  }

  clear() {
    this.stdout = this.stderr = '';
  }
};
