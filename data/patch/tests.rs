use super::*;

const GIT: &str = "diff --git a/src/a.py b/src/a.py\nindex 111..222 100644\n--- a/src/a.py\n+++ b/src/a.py\n\
                   @@ -1,3 +1,3 @@ def f():\n one\n-two\n+2\n three\n";

fn apply(patch: &Patch, base: &str) -> Result<String, ApplyError> {
    let mut changes = patch.apply(&|_| Some(base.to_string()))?;
    Ok(changes.remove(0).content.expect("not deleted"))
}

fn refused(text: &str) -> String {
    Patch::parse(text).expect_err("is refused").to_string()
}

fn with_path(path: &str) -> String {
    format!("--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-1\n+2\n")
}

#[test]
fn a_patch_prints_back_byte_for_byte() {
    let odd_but_valid = "--- a/x.py\t2020-01-01\n+++ b/x.py\n@@ -1,2 +1,2 @@\n\n-a\r\n\\ No newline at end of file\n+b";
    for text in ["", GIT, odd_but_valid] {
        assert_eq!(Patch::parse(text).expect("parses").to_string(), text);
    }
    let json = serde_json::to_string(&Patch::parse(GIT).expect("parses")).expect("prints");
    assert!(json.starts_with('"'), "a plain string");
    assert_eq!(
        serde_json::from_str::<Patch>(&json)
            .expect("reads")
            .to_string(),
        GIT
    );
}

#[test]
fn between_two_texts_applies_forward_and_reversed() {
    let long: String = (0..40).map(|n| format!("line {n}\n")).collect();
    let edited = long
        .replace("line 3\n", "")
        .replace("line 20\n", "20\n20b\n")
        .replace("line 39\n", "line 39");
    let cases = [
        ("", "a\n"),
        ("a", "a\n"),
        ("a\nb", "a\nc"),
        ("a\n", ""),
        ("a\r\nb\n", "a\nb\n"),
        (&long, &edited),
    ];
    for (old, new) in cases {
        let patch = Patch::between("d/a.py", old, new);
        assert_eq!(Patch::parse(patch.text()).expect("parses"), patch);
        assert_eq!(apply(&patch, old).as_deref(), Ok(new));
        assert_eq!(apply(&patch.reversed(), new).as_deref(), Ok(old));
        assert_eq!(patch.reversed(), Patch::between("d/a.py", new, old));
        assert_eq!(patch.reversed().reversed(), patch);
    }
    assert!(Patch::between("a.py", "same", "same").is_empty());
}

#[test]
fn a_moved_hunk_applies_at_the_nearest_place() {
    let patch = Patch::parse(GIT).expect("parses");
    assert_eq!(
        apply(&patch, "zero\none\ntwo\nthree\n").as_deref(),
        Ok("zero\none\n2\nthree\n")
    );
    let twice = "zero\none\ntwo\nthree\none\ntwo\nthree\n";
    assert_eq!(
        apply(&patch, twice).as_deref(),
        Ok("zero\none\n2\nthree\none\ntwo\nthree\n"),
        "the nearest"
    );
    assert!(matches!(
        apply(&patch, "one\nTWO\nthree\n"),
        Err(ApplyError::Mismatch { .. })
    ));
}

#[test]
fn created_deleted_and_renamed_files_are_told() {
    let text = "diff --git a/n.py b/n.py\nnew file mode 100644\n--- /dev/null\n+++ b/n.py\n@@ -0,0 +1 @@\n+n\n\
                diff --git a/d.py b/d.py\ndeleted file mode 100644\n--- a/d.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-d\n\
                diff --git a/from.py b/to.py\nsimilarity index 100%\nrename from from.py\nrename to to.py\n\
                diff --git a/e.py b/e.py\nnew file mode 100644\n";
    let patch = Patch::parse(text).expect("parses");
    assert_eq!(patch.paths(), ["n.py", "d.py", "from.py", "to.py", "e.py"]);
    let read = |path: &str| matches!(path, "d.py" | "from.py").then(|| format!("{}\n", &path[..1]));
    let told: Vec<(String, Option<String>)> = patch
        .apply(&read)
        .expect("applies")
        .into_iter()
        .map(|change| (change.path, change.content))
        .collect();
    let expected = [
        ("n.py", Some("n\n")),
        ("d.py", None),
        ("from.py", None),
        ("to.py", Some("f\n")),
        ("e.py", Some("")),
    ];
    assert_eq!(
        told,
        expected.map(|(path, content)| (path.to_string(), content.map(str::to_string)))
    );

    let back = patch.reversed();
    assert_eq!(
        Patch::parse(back.text()).expect("parses").text(),
        back.text()
    );
    let read = |path: &str| match path {
        "n.py" => Some("n\n".to_string()),
        "to.py" => Some("f\n".to_string()),
        "e.py" => Some(String::new()),
        _ => None,
    };
    let undone: Vec<String> = back
        .apply(&read)
        .expect("applies")
        .into_iter()
        .map(|change| change.path)
        .collect();
    assert_eq!(undone, ["n.py", "d.py", "to.py", "from.py", "e.py"]);
}

#[test]
fn a_path_never_leaves_the_repository() {
    for path in [
        "../x.py",
        "a/../../x.py",
        "/etc/passwd",
        ".git/config",
        "a/.GIT/hooks/x",
        ".git./x",
        "C:/x",
        "a\\b",
    ] {
        assert!(
            refused(&with_path(path)).starts_with("the patch names `"),
            "{path}"
        );
    }
    assert!(refused(&with_path("x").replace("+++ b/x", "+++ b/../x")).contains("leaves"));
    assert!(
        refused("diff --git a/x b/y\nrename from x\nrename to ../y\n")
            .contains("leaves the repository")
    );
    assert!(Patch::parse(&with_path(".gitignore")).is_ok());
}

#[test]
fn links_submodules_and_binaries_are_refused() {
    for mode in ["120000", "160000", "040000"] {
        assert!(refused(&format!("diff --git a/x b/x\nnew file mode {mode}\n")).contains(mode));
        assert!(refused(&format!("diff --git a/x b/x\nindex 1..2 {mode}\n")).contains(mode));
    }
    for data in [
        "GIT binary patch\nliteral 1\n",
        "Binary files a/x.png and b/x.png differ\n",
    ] {
        let wanted = "line 3 of the patch: it changes the binary file `x.png`";
        assert_eq!(
            refused(&format!(
                "diff --git a/x.png b/x.png\nindex 1..2 100644\n{data}"
            )),
            wanted
        );
    }
}

#[test]
fn what_is_too_large_is_refused() {
    assert!(refused(&"x".repeat(MAX_BYTES + 1)).contains("limit is 1048576"));
    assert!(
        refused(&format!(
            "{}{}",
            with_path("a"),
            "x".repeat(MAX_LINE_BYTES + 1)
        ))
        .contains("in one line")
    );
    let many: String = (0..=MAX_FILES)
        .map(|n| with_path(&format!("f{n}")))
        .collect();
    assert!(refused(&many).contains("201 files"));
}

#[test]
fn a_huge_patch_is_refused_before_it_is_read() {
    // 50 MB of hunks; none of them is ever looked at.
    let huge = "@@ -1 +1 @@\n-1\n+2\n".repeat(2_600_000);
    assert!(huge.len() > 50 << 20 >> 1);
    assert!(refused(&format!("--- a/x\n+++ b/x\n{huge}")).contains("the limit is 1048576"));
}

#[test]
fn a_mode_may_change_between_plain_files_only() {
    let mode =
        |old: &str, new: &str| format!("diff --git a/x b/x\nold mode {old}\nnew mode {new}\n");
    let executable = Patch::parse(&mode("100644", "100755")).expect("parses");
    assert_eq!(apply(&executable, "one\n").as_deref(), Ok("one\n"));
    for (old, new) in [
        ("100644", "120000"),
        ("120000", "100644"),
        ("100644", "160000"),
        ("100644", "104755"),
    ] {
        assert!(
            refused(&mode(old, new)).contains("file mode"),
            "{old} to {new}"
        );
    }
}

#[test]
fn a_file_that_becomes_a_link_is_refused_however_it_is_said() {
    let body = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-1\n+/etc/passwd\n\\ No newline at end of file\n";
    assert!(refused(&format!("diff --git a/x b/x\nindex 1..2 120000\n{body}")).contains("120000"));
    let remade = "diff --git a/x b/x\ndeleted file mode 100644\n--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-1\n\
         diff --git a/x b/x\nnew file mode 120000\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+/etc/passwd\n";
    assert!(refused(remade).contains("120000"));
    // A submodule is a file mode as well.
    let submodule = "diff --git a/x b/x\nnew file mode 160000\nindex 0..1\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+Subproject commit 1\n";
    assert!(refused(submodule).contains("160000"));
}

#[test]
fn a_copy_leaves_its_original() {
    let text = "diff --git a/from.py b/to.py\nsimilarity index 50%\ncopy from from.py\ncopy to to.py\n\
                --- a/from.py\n+++ b/to.py\n@@ -1 +1 @@\n-1\n+2\n";
    let patch = Patch::parse(text).expect("parses");
    let changes = patch
        .apply(&|path| (path == "from.py").then(|| "1\n".to_string()))
        .expect("applies");
    assert_eq!(
        changes,
        [FileChange {
            path: "to.py".into(),
            content: Some("2\n".into())
        }]
    );
    for (name, why) in [
        ("/etc/passwd", "absolute"),
        ("../x", "leaves"),
        (".git/config", "git's own"),
    ] {
        for verb in ["copy", "rename"] {
            let out = format!("diff --git a/x b/y\n{verb} from x\n{verb} to {name}\n");
            assert!(refused(&out).contains(why), "{out}");
            let from = format!("diff --git a/x b/y\n{verb} from {name}\n{verb} to y\n");
            assert!(refused(&from).contains(why), "{from}");
        }
    }
}

#[test]
fn line_ends_are_part_of_the_lines() {
    let plain =
        Patch::parse("--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n").expect("parses");
    assert!(matches!(
        apply(&plain, "one\r\ntwo\r\n"),
        Err(ApplyError::LineEnds { .. })
    ));
    let crlf =
        Patch::parse("--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n one\r\n-two\r\n+2\r\n").expect("parses");
    assert_eq!(
        apply(&crlf, "one\r\ntwo\r\n").as_deref(),
        Ok("one\r\n2\r\n")
    );
    assert!(matches!(
        apply(&crlf, "one\ntwo\n"),
        Err(ApplyError::LineEnds { .. })
    ));
    assert!(
        apply(&plain, "one\r\ntwo\r\n")
            .unwrap_err()
            .to_string()
            .contains("the line endings differ")
    );
    // Where the headers end in it as well, a mailer wrote it: the file decides, as between `git apply` and `patch`.
    let headers =
        Patch::parse("--- a/x\r\n+++ b/x\r\n@@ -1 +1 @@\r\n-1\r\n+2\r\n").expect("parses");
    assert_eq!(apply(&headers, "1\n").as_deref(), Ok("2\n"));
    assert_eq!(apply(&headers, "1\r\n").as_deref(), Ok("2\r\n"));
    assert_eq!(
        Patch::parse(headers.reversed().text()).expect("reads back"),
        headers.reversed()
    );
    let ended =
        Patch::parse("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-1\n\\ No newline at end of file\n+2\n")
            .expect("parses");
    assert_eq!(apply(&ended, "1").as_deref(), Ok("2\n"));
    assert!(matches!(
        apply(&ended, "1\n"),
        Err(ApplyError::Mismatch { .. })
    ));
}

#[test]
fn the_search_for_moved_hunks_is_bounded() {
    // Each hunk is a place away from where it says, in a file that looks the same everywhere.
    let base = "a\n".repeat(2_000_000) + "b\n";
    let old = "-a\n".repeat(10_000);
    let text = format!("--- a/x\n+++ b/x\n@@ -9000000,10001 +1 @@\n{old}-c\n+d\n");
    let patch = Patch::parse(&text).expect("parses");
    assert!(matches!(
        apply(&patch, &base),
        Err(ApplyError::TooFar { hunk: 1, .. })
    ));
}

#[test]
fn a_malformed_patch_is_named_by_its_line() {
    for (text, line) in [
        ("hello\n", "line 1"),
        ("--- a/x\n@@ -1 +1 @@\n", "line 2"),
        ("--- a/x\n+++ b/x\n", "line 3"),
        ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-1\n", "line 3"),
        ("--- a/x\n+++ b/x\n@@ def f(): @@\n-1\n+2\n", "line 3"),
        (
            "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-1\n+2\n\n@@ -9 +9 @@\n-1\n+2\n",
            "line 7",
        ),
        ("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-1\n-2\n+3\n", "line 5"),
        (
            "--- a/x\n+++ b/x\n@@ -99999999999999999999 +1 @@\n-1\n",
            "line 3",
        ),
        (
            "--- a/x\n+++ b/x\n@@ -1,2 +1 @@\n-1\n\\ No newline\n-2\n+3\n",
            "line 5",
        ),
    ] {
        assert!(refused(text).starts_with(line), "{text}: {}", refused(text));
    }
    let moved = "diff --git a/x b/y\nrename from x\nrename to y\n";
    assert!(
        refused(&format!("{moved}diff --git a/x b/x\n{}", with_path("x")))
            .contains("a file occurs twice")
    );
}

#[test]
fn what_judges_is_guarded() {
    for path in [
        "src/money.test.js",
        "lib/a.spec.tsx",
        "src/__tests__/money.js",
        "__mocks__/fs.js",
        "node_modules/chai/index.js",
        "package.json",
        "jest.config.mjs",
        "babel.config.js",
        ".babelrc",
        "a/__snapshots__/money.test.js.snap",
        "tests/test_sum.py",
        "a/test_x.py",
        "conftest.py",
        "a/b/conftest.py",
        "pyproject.toml",
        "setup.cfg",
        "x.pth",
        "a/b.SO",
        "sitecustomize.py",
        "src/tests/data.json",
        "x-1.0.dist-info/entry_points.txt",
        "pytest.py",
        "a_test.py",
    ] {
        assert!(is_guarded(path), "{path}");
    }
    for path in [
        "src/money.py",
        "contest.py",
        "latest/x.py",
        "a/testing.py",
        "README.md",
    ] {
        assert!(!is_guarded(path), "{path}");
    }
}

#[test]
fn patches_to_different_files_are_joined() {
    let (one, two) = (
        Patch::between("a.py", "1\n", "2\n"),
        Patch::between("b.py", "1\n", "2\n"),
    );
    assert_eq!(
        Patch::joined(&[one.clone(), two]).expect("joins").paths(),
        ["a.py", "b.py"]
    );
}

#[test]
fn a_file_may_be_missing_before_or_after() {
    let nothing = |_: &str| None;
    let there = |path: &str| (path == "a b.py").then(|| "x = 1\n".to_string());
    let made = Patch::change("a b.py", None, Some("x = 1\n"));
    assert_eq!(Patch::parse(made.text()).expect("reads back"), made);
    assert_eq!(
        made.apply(&nothing).expect("applies")[0].content.as_deref(),
        Some("x = 1\n")
    );
    assert!(matches!(made.apply(&there), Err(ApplyError::Exists(_))));
    let empty = Patch::change("a b.py", None, Some(""));
    assert_eq!(
        Patch::parse(empty.text())
            .expect("reads back")
            .apply(&nothing)
            .expect("applies")
            .len(),
        1
    );
    let gone = Patch::change("a b.py", Some("x = 1\n"), None);
    assert_eq!(
        Patch::parse(gone.text())
            .expect("reads back")
            .apply(&there)
            .expect("applies")[0]
            .content,
        None
    );
}

#[test]
fn what_judges_is_left_out() {
    let code = Patch::between("a.py", "1\n", "2\n");
    let test = Patch::between("tests/test_a.py", "1\n", "2\n");
    let both = Patch::joined(&[code.clone(), test.clone()]).expect("joins");
    assert_eq!(
        both.without(&is_guarded),
        (code.clone(), vec!["tests/test_a.py".to_string()])
    );
    assert_eq!(code.without(&is_guarded), (code.clone(), vec![]));
    assert!(test.without(&is_guarded).0.is_empty());
    assert_eq!(both.added_lines().collect::<Vec<_>>(), ["2", "2"]);
}

#[test]
fn what_stands_around_a_diff_is_passed_over() {
    let diff = with_path("x");
    let mail = "From 01 Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\nSubject: [PATCH] fix\n\n---\n x | 2 +-\n\n";
    for text in [
        format!("```diff\n{diff}```\n"),
        format!("{mail}{diff}-- \n2.43.0\n\n"),
        format!("Here is the repair:\n\n{diff}\nIt adds one.\n"),
        format!("\u{feff}{diff}"),
        format!("\u{feff}diff --git a/x b/x\n{diff}"),
        format!("diff -u x x\nIndex: x\n=====\n{diff}"),
    ] {
        let patch = Patch::parse(&text).expect(&text);
        assert_eq!(apply(&patch, "1\n").as_deref(), Ok("2\n"), "{text}");
        assert_eq!(patch.text(), text, "byte for byte");
    }
    assert!(refused("Here is the repair:\n").contains("line 1"));
}

#[test]
fn a_binary_file_beside_text_is_passed_over() {
    let binary =
        "diff --git a/x.png b/x.png\nindex 1..2 100644\nBinary files a/x.png and b/x.png differ\n";
    for text in [
        format!("{}{binary}", with_path("x")),
        format!("{binary}{}", with_path("x")),
    ] {
        assert_eq!(
            apply(&Patch::parse(&text).expect("parses"), "1\n").as_deref(),
            Ok("2\n")
        );
    }
    let gone = "diff --git a/x.png b/x.png\ndeleted file mode 100644\nBinary files a/x.png and /dev/null differ\n";
    assert!(refused(&format!("{}{gone}", with_path("x"))).contains("the binary file `x.png`"));
}

#[test]
fn hunks_for_one_file_may_be_spread_over_a_patch() {
    let first = "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n-1\n+one\n 2\n";
    let second = "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n one\n-2\n+two\n";
    let patch = Patch::parse(&format!("{first}{second}")).expect("parses");
    assert_eq!(apply(&patch, "1\n2\n").as_deref(), Ok("one\ntwo\n"));
    assert_eq!(
        apply(&patch.reversed(), "one\ntwo\n").as_deref(),
        Ok("1\n2\n")
    );
}

#[test]
fn context_may_have_changed_and_what_is_applied_already_is_told() {
    let base: String = (1..9).map(|n| format!("{n}\n")).collect();
    let patch = Patch::between("x", &base, &base.replace('5', "five"));
    let moved_on = base.replace("2\n", "two\n");
    assert_eq!(apply(&patch, &moved_on), Ok(moved_on.replace('5', "five")));
    assert!(matches!(
        apply(&patch, &base.replace('5', "five")),
        Err(ApplyError::Applied { hunk: 1, .. })
    ));
}
