// Source text to what jest can run: plain CommonJS as it is, Babel for modules, types, JSX and hoisted calls.
//
// The tree's own Babel settings are not read. Babel takes long to load, so it is left out where nothing asks for it.
'use strict';

const ASKS = /^\s*(import\b|export\b)|\bimport\(|\bjest\b|@jest\/globals/m;
let babel;

exports.process = (source, path) => {
  const typed = /\.(m|c)?tsx?$/.test(path);
  const markup = /x$/.test(path);
  if (!typed && !markup && !ASKS.test(source)) return { code: source };
  babel = babel || require('@babel/core');
  const presets = [require('babel-preset-jest')];
  if (typed) presets.push(require('@babel/preset-typescript'));
  if (markup) presets.push(require('@babel/preset-react'));
  const plugins = [require('@babel/plugin-transform-modules-commonjs')];
  const { code, map } = babel.transformSync(source, {
    filename: path, babelrc: false, configFile: false, browserslistConfigFile: false, sourceType: 'unambiguous',
    presets, plugins, sourceMaps: true, compact: false,
  });
  return { code, map };
};
