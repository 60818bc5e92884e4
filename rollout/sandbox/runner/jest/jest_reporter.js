// What jest itself says about every file, for comparison with what was told as it happened.
'use strict';

const { send } = require('./jest_channel.js').take();
const { failureOf } = require('./jest_failure.js');

const SKIPPED = ['pending', 'skipped', 'disabled', 'todo'];

module.exports = class Reporter {
  onTestFileResult(test, result) {
    const nameOf = one => [...one.ancestorTitles, one.title].join(' > ');
    const statusOf = one => (SKIPPED.includes(one.status) ? 'skipped' : one.status);
    const tests = result.testResults.map(one => [nameOf(one), statusOf(one)]);
    // A file that could not be loaded has no tests: then its error is the failure.
    const error = result.testExecError;
    const broken = tests.length === 0;
    if (broken && error) send('failure', { file: test.path, name: null, ...failureOf(error, '', '') });
    send('file', { file: test.path, tests, broken });
  }

  getLastError() {}
};
