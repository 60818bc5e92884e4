// Jest's module system, less the modules of Node.js through which a test would find whoever runs it.
'use strict';

const Runtime = require('jest-runtime').default;
const { createRequire, isBuiltin } = require('module');
const workers = require('worker_threads');

const REFUSED = new Set(['inspector', 'inspector/promises', 'repl', 'trace_events', 'wasi']);
const MODULE = ['builtinModules', 'isBuiltin', 'createRequire', 'createRequireFromPath', 'syncBuiltinESMExports',
  'SourceMap', 'findSourceMap', 'wrap', 'wrapper'];

/** A thread would start with everything that is closed here. */
class Worker {
  constructor() {
    throw new Error('threads cannot be started while tests run');
  }
}

// Where jest itself lies: its own modules find each other there, those of the tree do not.
const FOLDERS = (process.env.NODE_PATH || '').split(':').filter(Boolean).map(folder => folder + '/');
const isOfJest = file => FOLDERS.some(folder => file.startsWith(folder));

module.exports = class GuardedRuntime extends Runtime {
  requireInternalModule(from, to) {
    // Jest shares these with its own realm.
    const shared = to && (to === 'chalk' || to.startsWith('jest-main:') || isBuiltin(to));
    if (!to || shared || !isOfJest(from)) return super.requireInternalModule(from, to);
    return super.requireInternalModule(createRequire(from).resolve(to));
  }

  _requireResolve(from, name, options) {
    return isOfJest(from) ? createRequire(from).resolve(name) : super._requireResolve(from, name, options);
  }

  _requireCoreModule(name, prefix) {
    const plain = name.startsWith('node:') ? name.slice('node:'.length) : name;
    if (REFUSED.has(plain)) throw new Error(`\`${plain}\` cannot be loaded while tests run`);
    if (plain === 'worker_threads') return { ...workers, Worker };
    return super._requireCoreModule(name, prefix);
  }

  /** Where runs are compared, no module but the test sees by this word that tests run. */
  _createJestObjectFor(from) {
    if (this._environment.compared && from !== this._testPath) return undefined;
    return super._createJestObjectFor(from);
  }

  _getMockedNativeModule() {
    const whole = super._getMockedNativeModule();
    const part = function Module() {};
    for (const key of MODULE) if (key in whole) part[key] = whole[key];
    part.Module = part;
    return part;
  }
};
