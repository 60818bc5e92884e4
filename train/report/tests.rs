use data::{Message, Role};
use rollout::outcome::Classes;
use rollout::report::Method;
use sandbox::Isolation;
use serde_json::json;

use super::*;
use crate::run::provenance::Provenance;

fn eval(pass_at_1: f64, ci95: [f64; 2]) -> EvalReport {
    let classes = Classes {
        resolved: 3,
        truncated: 9,
        ..Classes::default()
    };
    EvalReport {
        pass_at_1,
        ci95,
        ci95_method: Method::Bootstrap,
        n: 12,
        attempts_per_task: 4,
        classes,
    }
}

fn gain(delta: f64, ci95: [f64; 2]) -> GainReport {
    let claim = rollout::report::Claim::from_interval(ci95[0], ci95[1]).to_string();
    GainReport {
        delta,
        ci95,
        ci95_method: Method::Bootstrap,
        n: 12,
        claim,
    }
}

fn report() -> RunReport {
    RunReport {
        format: FORMAT,
        seed: 7,
        seconds: 311.0,
        cores: 2,
        device: "cpu".into(),
        python: "Python 3.11".into(),
        isolation: Isolation {
            sandbox: "embedded".into(),
            barriers: vec!["user-ns".into()],
        },
        packages: Packages {
            train: vec!["planegeo".into()],
            held_out: vec!["numerals".into()],
        },
        eval: Evals {
            base: eval(0.0, [0.0, 0.265]),
            sft: eval(0.2, [0.1, 0.3]),
            grpo: eval(0.25, [0.1, 0.4]),
        },
        gain: Gains {
            sft_vs_base: gain(0.2, [0.1, 0.3]),
            grpo_vs_sft: gain(0.05, [-0.05, 0.15]),
        },
        repaired: Some(RepairedBug {
            task: "numerals.compare__0".into(),
            model: "grpo".into(),
            prompt: vec![Message::new(
                Role::User,
                "add(1, 2) is -1, not 3\n2|    return a - b",
            )],
            answer: "2|    return a + b".into(),
            patch: "--- a/m.py\n+++ b/m.py\n@@ -2 +2 @@\n-    return a - b\n+    return a + b\n"
                .into(),
            fail_to_pass: vec!["tests/test_m.py::test_add".into()],
            pass_to_pass: 11,
        }),
        stages: vec![
            json!({"stage": "plant train", "tasks": 12, "seconds": 3.25, "command": "train data plant --out x"}),
            json!({"stage": "export", "bytes": 1_400_000, "logit_kl": 0.04, "seconds": 1.0}),
        ],
        export: json!({"path": "model.gguf"}),
        provenance: Provenance {
            commit: "da4ecbb-dirty".into(),
            command: "train quickstart".into(),
            date: "2026-01-02T03:04:05Z".into(),
            inputs: [("checkpoints/base/MANIFEST.json".into(), "af13".into())].into(),
        },
    }
}

fn curve(title: &str) -> Curve {
    let series = vec![Series {
        points: vec![(0.0, 1.0), (1.0, 0.5)],
        ..Default::default()
    }];
    Curve {
        title: title.into(),
        series,
        ..Default::default()
    }
}

#[test]
fn a_page_needs_nothing_from_elsewhere_and_runs_nothing() {
    let page = render(&report(), &[curve("Loss")]);
    for foreign in ["http", "src=", "href=", "url(", "<script", "@import"] {
        assert!(!page.contains(foreign), "the page holds `{foreign}`");
    }
}

#[test]
fn the_result_stands_first_and_the_provenance_last() {
    let page = render(&report(), &[curve("Loss")]);
    let parts = [
        "<h1>25.0\u{a0}%",
        "0.100 to 0.400",
        "One repaired bug",
        "How attempts ended",
        "plant train",
        "export",
    ];
    let places: Vec<usize> = parts
        .iter()
        .chain(&[
            "Curves",
            "Where this comes from",
            "da4ecbb-dirty",
            "2026-01-02T03:04:05Z",
        ])
        .map(|part| {
            page.find(part)
                .unwrap_or_else(|| panic!("no `{part}` on the page"))
        })
        .collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn a_gain_is_claimed_only_when_its_interval_excludes_zero() {
    let page = render(&report(), &[]);
    let row = |name: &str| {
        let row = page
            .split("<tr>")
            .find(|row| row.contains(&format!(">{name}</th>")))
            .expect("a row");
        row.to_string()
    };
    assert!(
        row("SFT").contains("class=\"claim gain\">more than chance<"),
        "{}",
        row("SFT")
    );
    assert!(
        row("GRPO").contains("+0.050 (−0.050 to +0.150)"),
        "{}",
        row("GRPO")
    );
    assert!(
        row("GRPO").contains("class=\"claim chance\">may be chance<"),
        "{}",
        row("GRPO")
    );
    assert!(!row("base").contains("class=\"claim"), "{}", row("base"));
}

#[test]
fn the_method_of_each_interval_is_named() {
    let mut report = report();
    assert!(render(&report, &[]).contains("Intervals: bootstrap over tasks."));
    report.eval.base.ci95_method = Method::ClopperPearson;
    let page = render(&report, &[]);
    assert!(page.contains("Clopper-Pearson over tasks (base)"), "{page}");
}

#[test]
fn a_repaired_bug_shows_prompt_patch_and_tests() {
    let page = render(&report(), &[]);
    for part in [
        "add(1, 2) is -1, not 3",
        "<span class=\"minus\">-    return a - b</span>",
        "<span class=\"plus\">+    return a + b</span>",
        "tests/test_m.py::test_add",
        "11 others passed before",
    ] {
        assert!(page.contains(part), "no `{part}`:\n{page}");
    }
    let none = render(
        &RunReport {
            repaired: None,
            ..report()
        },
        &[],
    );
    assert!(none.contains("No attempt of this run repaired"));
}

#[test]
fn what_never_happened_takes_no_row() {
    let page = render(&report(), &[]);
    assert!(page.contains("answer cut off") && !page.contains("out of memory"));
}

#[test]
fn text_from_a_run_cannot_become_markup() {
    let evil = "<script>alert(\"1\")</script>";
    let mut report = report();
    let bug = report.repaired.as_mut().expect("a bug");
    bug.task = evil.into();
    bug.model = evil.into();
    bug.answer = evil.into();
    bug.patch = format!("+{evil}");
    bug.prompt = vec![Message::new(Role::User, evil)];
    bug.fail_to_pass = vec![evil.into()];
    report.stages = vec![json!({"stage": evil, "command": evil})];
    report.packages.train = vec![evil.into()];
    report.provenance.command = evil.into();
    report.provenance.inputs = [(evil.into(), evil.into())].into();
    report.python = evil.into();
    let named = Series {
        name: evil.into(),
        points: vec![(0.0, 1.0)],
        ..Default::default()
    };
    let curve = Curve {
        title: evil.into(),
        x_label: evil.into(),
        y_label: evil.into(),
        series: vec![named],
        x_names: vec![evil.into()],
    };
    let page = render(&report, &[curve]);
    assert!(!page.to_lowercase().contains("<script"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;"));
}

#[test]
fn numbers_have_four_digits_that_count() {
    let told = [
        0.123456,
        12.0,
        1234567.0,
        1234.5678,
        -0.5,
        0.00001234,
        f64::NAN,
        99999.6,
    ]
    .map(number);
    assert_eq!(
        told,
        [
            "0.1235",
            "12",
            "1\u{202f}234\u{202f}567",
            "1235",
            "−0.5",
            "1.234e−5",
            "–",
            "100000"
        ]
    );
}
