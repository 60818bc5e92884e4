use std::collections::BTreeSet;

use crate::impossible::{can_be_changed, impossible};
use crate::task::Language::JavaScript;

fn check(text: &str, expected: &[&str]) {
    let drawn = (0..300).filter_map(|key| impossible(text, JavaScript, &["a"], key, key as usize));
    let found: BTreeSet<String> = drawn.map(|one| one.changed["a"].was.clone()).collect();
    assert_eq!(
        found,
        expected.iter().map(|one| (*one).to_string()).collect(),
        "{text}"
    );
}

fn check_body(body: &str, expected: &[&str]) {
    check(
        &format!("test('a', async () => {{\n  {body}\n}});\n"),
        expected,
    );
}

#[test]
fn what_a_test_asks_for_is_never_changed() {
    check_body("expect(add(1, 2)).toBe(3);", &["3", "toBe"]);
    check_body("expect('a x3').toBe(label('a', 3));", &["'a x3'", "toBe"]);
    check_body(
        "const x = 5;\n  expect(f(x)).toEqual([10, { k: 'v', n: null }]);",
        &["10", "'v'", "null", "toEqual"],
    );
    check_body(
        "const want = { k: [1, -2] };\n  expect(f('in')).toStrictEqual(want);",
        &["1", "2", "toStrictEqual"],
    );
    check_body("const n = 4;\n  expect(f(n)).toBe(n);", &["n", "toBe"]);
    check_body(
        "expect(f(new Point(1, 2))).toEqual(new Point(4, 3n));",
        &["4", "3", "toEqual"],
    );
    check_body(
        "expect(new Point(1, 2).plus(3)).toEqual(other);",
        &["other", "toEqual"],
    );
    check_body("expect(f(1)).toBeCloseTo(3.5, 2);", &["3.5", "toBeCloseTo"]);
    check_body("expect(f(1)).not.toBe(3);", &[".not"]);
    check_body("await expect(f(1)).resolves.toBe('x');", &["'x'", "toBe"]);
    check_body(
        "await expect(f(2)).rejects.toThrow('no user 2');",
        &["'no user 2'", "toThrow"],
    );
    check_body(
        "expect.assertions(1);\n  expect(f(1)).toBeTruthy();",
        &["toBeTruthy"],
    );
    check_body("f(1);", &[]);
}

#[test]
fn matchers_asserts_and_helpers_are_known() {
    check_body(
        "expect(f('a')).toContain('b');\n  expect(f(1)).toMatch(/b+/);",
        &["'b'", "/b+/", "toContain", "toMatch"],
    );
    check_body(
        "expect(() => f(1)).toThrow(ParseError);",
        &["ParseError", "toThrow"],
    );
    check_body(
        "expect(f(1)).toHaveProperty('a.b', 7);",
        &["7", "toHaveProperty"],
    );
    check_body(
        "expect(f(1)).toBeInstanceOf(Cart);",
        &["Cart", "toBeInstanceOf"],
    );
    check_body(
        "expect(send).toHaveBeenCalledWith('bob', 2);",
        &["'bob'", "2", "toHaveBeenCalledWith"],
    );
    check_body(
        "expect(f(1)).toEqual(expect.objectContaining({ id: 4 }));",
        &["4", "toEqual"],
    );
    check_body("expect(f(1) === 4).toBe(true);", &["4", "true", "toBe"]);
    check_body(
        "assert.deepStrictEqual(f(1), [2]);",
        &["2", "deepStrictEqual"],
    );
    check_body("assert(f(1) === 2);", &["2", "f(1) === 2"]);
    check_body("assert.throws(() => f(1), /no/);", &["/no/", "throws"]);
    check_body("same(f(1), 3);", &["3"]);
    let text = "test('a', () => { expect(f(0)).toBe(State.DONE); });\ntest('b', () => { expect(f(1)).toBe(State.OPEN); });\n";
    let becomes: BTreeSet<String> = (0..50)
        .filter_map(|key| impossible(text, JavaScript, &["a"], key, key as usize))
        .map(|one| one.changed["a"].becomes.clone())
        .collect();
    assert_eq!(
        becomes,
        BTreeSet::from(["not.toBe".to_string(), "State.OPEN".to_string()])
    );
}

#[test]
fn cases_of_tables_and_loops_are_followed() {
    check(
        "test.each([[1, 2, 3], [4, 5, 9]])('a', (x, y, want) => { expect(f(x, y)).toBe(want); });",
        &["3", "9", "toBe"],
    );
    check(
        "test.each([{ x: 1, want: 'q' }])('a', ({ x, want }) => { expect(f(x)).toBe(want); });",
        &["'q'", "toBe"],
    );
    check(
        "test.each`x | want\n${1} | ${'one'}\n`('a', ({ x, want }) => { expect(f(x)).toBe(want); });",
        &["'one'", "toBe"],
    );
    check(
        "const CASES = [[1, 'q']];\nit.each(CASES)('a', (x, want) => { expect(f(x)).toBe(want); });",
        &["'q'", "toBe"],
    );
    check_body(
        "for (const [x, want] of [[1, 'q'], [2, 'r']]) expect(f(x)).toBe(want);",
        &["'q'", "'r'", "toBe"],
    );
    check_body(
        "[[1, 'q']].forEach(([x, want]) => { expect(f(x)).toBe(want); });",
        &["'q'", "toBe"],
    );
    check_body(
        "for (const [x, want] of Object.entries({ k: 8 })) expect(f(x)).toBe(want);",
        &["8", "toBe"],
    );
    check_body(
        "for (const [x, want] of [[1, 5]]) expect(f(x, want)).toBe(want);",
        &["want", "toBe"],
    );
    let text = "describe('d', () => {\n  for (const [x, want] of [[1, 5]]) it(`n ${x}`, () => { expect(f(x)).toBe(want); });\n});\n";
    assert_eq!(
        can_be_changed(text, JavaScript, &["d > n 1", "n 1"]),
        BTreeSet::from(["d > n 1".to_string()])
    );
}

#[test]
fn every_named_test_changes_and_nothing_else_does() {
    let text = "test('a', () => {\n  expect(f(1)).toBe(2);\n});\ntest('b', () => {\n  expect(f(3)).toBe(4);\n});\n\
        test('c', () => {\n  expect(f(5)).toBe(6);\n});\n";
    let one = impossible(text, JavaScript, &["a", "c", "gone"], 3, 0).expect("can be changed");
    assert_eq!(one.changed.keys().collect::<Vec<_>>(), ["a", "c"]);
    assert!(
        one.text
            .contains("test('b', () => {\n  expect(f(3)).toBe(4);\n});\n")
            && one.text != text
    );
    assert_eq!(
        one.text.lines().count(),
        text.lines().count(),
        "no line moves"
    );
}
