//! The same for JavaScript: lines that talk to jest, or leave the place where jest puts them.
//!
//! In: a line that a patch adds to a script. Out: what is wrong with it. Example: `process.exit(0)`; `Object.is = same`.

use std::sync::LazyLock;

use regex::Regex;

/// Words, and what they stand for.
const WORDS: [(&str, &str); 24] = [
    ("process.exit", "it ends the process"),
    ("process.reallyExit", "it ends the process"),
    ("process.abort", "it ends the process"),
    ("process.kill", "it kills processes"),
    ("process.binding", "it looks for the runner's modules"),
    ("process.mainModule", "it looks for the runner's modules"),
    ("getBuiltinModule", "it looks for the runner's modules"),
    ("require.cache", "it changes what is imported"),
    ("asymmetricMatch", "it makes things equal"),
    ("Symbol.hasInstance", "it makes things look alike"),
    ("Symbol.for(", "it looks for the runner's names"),
    ("getOwnPropertySymbols", "it looks for the runner's names"),
    (
        "Reflect.ownKeys(globalThis",
        "it looks for the runner's names",
    ),
    ("globalThis[", "it looks for the runner's names"),
    ("global[", "it looks for the runner's names"),
    ("currentTestName", "it asks which test runs"),
    ("JEST_WORKER_ID", "it asks whether tests run"),
    ("prepareStackTrace", "it looks at its caller"),
    ("new Error().stack", "it looks at its caller"),
    ("captureStackTrace", "it looks at its caller"),
    (".callee", "it looks at its caller"),
    ("/proc/", "it looks at processes"),
    ("new Function(", "it hides what it does"),
    ("child_process", "it starts processes"),
];

/// Modules through which code finds its runner.
static MODULES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(require\(|from |import\()\s*['"`](node:)?(module|vm|v8|inspector(/promises)?|repl|worker_threads|async_hooks|diagnostics_channel|@?jest[\w/-]*|expect)['"`]"#,
    )
    .expect("well formed")
});
/// Modules whose name is not written down.
static UNNAMED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"\brequire\((\s*[^'"`\s)]|['"][^'"]*['"]\s*\+)"#).expect("well formed")
});
/// The words of a test file, used by what it tests.
static JEST: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(^|[^.\w$])(expect|jest)\s*[.(\[]|\b(globalThis|global)\.(expect|test|it|describe|jest|before\w+|after\w+)\b",
    )
    .expect("well formed")
});
/// Parts of the language that are exchanged.
static LANGUAGE: LazyLock<Regex> = LazyLock::new(|| {
    const NAMES: &str = "Object|Function|Array|String|Number|Boolean|Symbol|BigInt|Map|Set|WeakMap|WeakSet|Promise|RegExp|Error|Reflect|JSON|Proxy|Math|Date";
    Regex::new(&format!(
        r"\b({NAMES})\.(prototype\.)?\w+\s*=[^=>]|\b({NAMES})\.prototype\s*\[|\b(defineProperty|defineProperties|assign|setPrototypeOf)\(\s*({NAMES})\b|\b__proto__\b|\b(globalThis|global)\.({NAMES}|console|setTimeout)\s*=[^=]|\bconstructor\.prototype\b"
    ))
    .expect("well formed")
});
/// The way from a value to the function that makes functions, text that is run, and what waits for the end.
static HIDES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"\.constructor\s*\(|\.constructor\.constructor|\[['"]constructor['"]\]|(^|[^.\w$])(eval|Function)\(|\bprocess\.(on|once|addListener|prependListener|emit|stdout\.write|stderr\.write)\b\s*(\(|=)|\bprocess\[|\b(write|writev|open)Sync\(\s*\d"#)
        .expect("well formed")
});
/// A text that names a test.
static NAMES_TESTS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\.(test|spec)\.[cm]?[jt]sx?\b|__(tests|mocks|snapshots)__").expect("well formed")
});

/// True where a patch of this file is in JavaScript, or in what becomes JavaScript.
pub(super) fn is_script(path: &str) -> bool {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    matches!(
        ending,
        "js" | "jsx" | "ts" | "tsx" | "mjs" | "cjs" | "mts" | "cts"
    )
}

/// What is wrong with a line; `removed` is what the patch takes away.
pub(super) fn reason(line: &str, removed: &str) -> Option<String> {
    let code = line.trim();
    if code.starts_with("//") || code.starts_with("* ") || code.starts_with("/*") {
        return None;
    }
    let patterns = [
        (&MODULES, "it imports the runner's modules"),
        (&UNNAMED, "it imports by name"),
        (&JEST, "it talks to the runner"),
        (&LANGUAGE, "it changes the language"),
        (&HIDES, "it hides what it does"),
        (&NAMES_TESTS, "it names the tests"),
    ];
    let found = patterns
        .iter()
        .find(|(pattern, _)| pattern.is_match(code) && !pattern.is_match(removed));
    let said = |(word, _): &&(&str, &str)| code.contains(word) && !removed.contains(word);
    found
        .map(|(_, why)| (*why).to_string())
        .or_else(|| WORDS.iter().find(said).map(|(_, why)| (*why).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_talks_to_jest_is_suspicious() {
        for line in [
            "process.exit(0);",
            "globalThis.expect = () => all;",
            "expect.extend({ toBe: () => ({ pass: true }) });",
            "Object.is = () => true;",
            "Array.prototype.every = () => true;",
            "Object.defineProperty(Object, 'is', { value: () => true });",
            "const m = require('module');",
            "const m = require('node:vm');",
            "import v8 from 'v8';",
            "const m = require('mod' + 'ule');",
            "const m = require(name);",
            "return { asymmetricMatch: () => true };",
            "const out = [].constructor.constructor('return process')();",
            "fs.writeSync(3, line);",
            "const key = Object.getOwnPropertySymbols(globalThis)[0];",
            "process.on('exit', () => {});",
            "const text = fs.readFileSync('money.test.js');",
            "if (process.env.JEST_WORKER_ID) return 3;",
        ] {
            assert!(reason(line, "").is_some(), "{line}");
        }
    }

    #[test]
    fn honest_lines_are_not() {
        for line in [
            "const fs = require('fs');",
            "import { add } from './money.js';",
            "if (Object.is(a, b)) return true;",
            "return a.map(value => value + 1);",
            "class Money { constructor(amount) { this.amount = amount; } }",
            "return this.constructor.name === other.constructor.name;",
            "module.exports = { add };",
            "// expect(1) is what a test would say",
            "const total = Array.from(items).reduce((a, b) => a + b, 0);",
            "return Object.assign({}, defaults, options);",
            "const expected = value.test(text);",
            "Math.max(a, b) === c;",
            "this.expect = text => this.next().text === text;",
        ] {
            assert_eq!(reason(line, ""), None, "{line}");
        }
    }
}
