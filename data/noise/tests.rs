use super::*;

const BASE: &str = "\"\"\"Money.\"\"\"\n\nfrom __future__ import annotations\n\nimport os\n\n\ndef add(a, b, note='x'):\n    total = a - b\n    if total:\n        total = total + 0\n    return total\n\n\ndef sub(a, b):\n    return f(total=a) - b\n";

fn repair_text() -> String {
    BASE.replace("a - b\n    if", "a + b\n    if")
}

fn read(path: &str) -> Option<String> {
    match path {
        "m/money.py" => Some(BASE.to_string()),
        "m/other.py" => Some("def other(x):\n    y = x\n    return y\n".to_string()),
        _ => None,
    }
}

fn with(kinds: &[NoiseKind], key: u64, entangled: bool) -> Option<(Patch, Vec<Mark>)> {
    let patch = Patch::between("m/money.py", BASE, &repair_text());
    let others = ["m/other.py".to_string()];
    let repair = Repair {
        patch: &patch,
        base: &read,
        focus: ("m/money.py", 8),
        others: &others,
    };
    let options = NoiseOptions {
        least: 1,
        most: 4,
        entangled,
        kinds: kinds.to_vec(),
        ..NoiseOptions::default()
    };
    noisy(&repair, key, &options)
}

/// The file with the repair after noise of one kind, by the first key that gives any.
fn text(kind: NoiseKind) -> String {
    let patch = Patch::between("m/money.py", BASE, &repair_text());
    let repair = Repair {
        patch: &patch,
        base: &read,
        focus: ("m/money.py", 8),
        others: &[],
    };
    let options = NoiseOptions {
        least: 1,
        most: 1,
        elsewhere: 0,
        entangled: true,
        kinds: vec![kind],
    };
    let (patch, marks) = (0..50)
        .find_map(|key| noisy(&repair, key, &options))
        .expect("some key gives noise");
    assert_eq!(marks.len(), 1);
    let changes = patch.apply(&read).expect("applies");
    changes
        .into_iter()
        .find(|change| change.path == marks[0].path)
        .and_then(|change| change.content)
        .expect("a text")
}

#[test]
fn the_same_key_gives_the_same_noise_and_another_key_another() {
    let all = NoiseKind::ALL;
    assert_eq!(with(&all, 7, false), with(&all, 7, false));
    let different: std::collections::BTreeSet<String> = (0..20)
        .filter_map(|key| Some(with(&all, key, false)?.0.text().to_string()))
        .collect();
    assert!(different.len() > 15, "{} of 20", different.len());
}

#[test]
fn the_repair_stays_a_part_of_the_whole_unless_noise_may_touch_it() {
    let repair = Patch::between("m/money.py", BASE, &repair_text());
    let mut entangled = 0;
    for key in 0..300 {
        let (patch, _) = with(&NoiseKind::ALL, key, false).expect("noise");
        assert!(
            repair_within(&patch, &repair, &read).is_some(),
            "key {key}:\n{patch}"
        );
        let (patch, _) = with(&NoiseKind::ALL, key, true).expect("noise");
        entangled += usize::from(repair_within(&patch, &repair, &read).is_none());
    }
    assert!(entangled > 10, "{entangled} of 300");
}

#[test]
fn each_kind_makes_what_it_says() {
    assert!(
        text(NoiseKind::Comment)
            .lines()
            .any(|line| line.trim_start().starts_with("# "))
    );
    assert!(text(NoiseKind::Docstring).contains("    \"\"\""));
    assert_eq!(
        text(NoiseKind::BlankLine).lines().count(),
        BASE.lines().count() + 1
    );
    let logged = text(NoiseKind::Logging);
    assert!(
        logged.contains("annotations\n\nimport logging\nimport os\n"),
        "{logged}"
    );
    assert!(logged.contains("logging.getLogger(__name__)."));
    assert!(text(NoiseKind::Guard).contains(" None"));
    assert!(text(NoiseKind::DeadHelper).contains("(value):\n"));
    assert!(text(NoiseKind::Quotes).contains("note=\"x\""));
    assert!(text(NoiseKind::ReturnLocal).contains("    return "));
    assert!(text(NoiseKind::Parentheses).contains("if (total):"));
    assert!(!text(NoiseKind::ExtraFile).is_empty());
}

#[test]
fn a_renamed_local_is_renamed_everywhere_and_nothing_else_is() {
    let renamed = text(NoiseKind::Rename);
    assert!(
        renamed.contains("f(total=a)"),
        "another function: {renamed}"
    );
    let add = renamed.split("def sub").next().expect("the first function");
    assert!(
        !add.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
            .any(|word| word == "total"),
        "{add}"
    );
}

#[test]
fn names_that_others_see_are_not_local() {
    let locals = |text: &str| {
        let tree = parse(text);
        let function = &functions(text)[0];
        names::local_names(
            edits::definition(tree.root_node(), function).expect("a function"),
            text,
        )
    };
    assert_eq!(
        locals("def f(a):\n    a = 1\n    b = 2\n    return b\n"),
        ["b"]
    );
    assert!(locals("def f():\n    global b\n    b = 2\n").is_empty());
    assert!(locals("def f():\n    b = 2\n    return lambda: b\n").is_empty());
    assert!(locals("def f():\n    b = 2\n    return locals()\n").is_empty());
}
