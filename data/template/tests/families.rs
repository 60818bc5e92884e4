//! Chat templates of public families, and expressions one by one, beside Jinja2: see `families.py`.

use std::collections::BTreeMap;

use super::*;
use crate::template::engine::{Engine, Fault};

#[derive(Deserialize)]
struct Reference {
    names: Vec<(String, String)>,
    conversations: Vec<Dialog>,
    /// For each template and each conversation: without and with the beginning of an answer.
    templates: BTreeMap<String, Vec<[Made; 2]>>,
    values: Fields,
    /// What each is; none where it is an error.
    expressions: Vec<(String, Option<String>)>,
}

/// What Jinja2 made of a conversation.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Made {
    Text(String),
    Refused(String),
    /// The kind of error.
    Fails(String),
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("../families.json")).expect("is JSON")
}

#[test]
fn templates_of_public_families_give_what_jinja2_gives() {
    let Reference {
        names,
        conversations,
        templates,
        ..
    } = reference();
    let mut compared = 0;
    for (name, rows) in &templates {
        let text = fs::read_to_string(format!("template/families/{name}.jinja")).expect("reads");
        let engine = Engine::new(&Source {
            text,
            names: names.clone(),
            now: USUAL_DAY,
        })
        .expect(name);
        assert_eq!(rows.len(), conversations.len());
        for (number, (row, dialog)) in rows.iter().zip(&conversations).enumerate() {
            for (made, prompt) in row.iter().zip([false, true]) {
                let place = format!("{name}, conversation {number}, prompt {prompt}");
                match (made, engine.render(dialog.whole(), prompt)) {
                    (Made::Text(expected), Ok(text)) => assert_eq!(&text, expected, "{place}"),
                    (Made::Refused(expected), Err(Fault::Refused(said))) => {
                        assert_eq!(&said, expected, "{place}")
                    }
                    (Made::Fails(kind), Err(Fault::Broken(_))) => {
                        assert!(kind.ends_with("Error"), "{place}: {kind}")
                    }
                    (made, ours) => panic!("{place}: {ours:?}, but Jinja2 says {made:?}"),
                }
                compared += 1;
            }
        }
    }
    assert_eq!((templates.len(), compared), (39, 624));
}

#[test]
fn expressions_are_what_they_are_in_jinja2() {
    let Reference {
        values,
        expressions,
        ..
    } = reference();
    let dialog = Dialog {
        messages: Vec::new(),
        given: values,
    };
    let mut wrong = Vec::new();
    for (text, expected) in &expressions {
        let source = Source {
            text: text.clone(),
            ..Source::default()
        };
        let ours = Engine::new(&source).and_then(|engine| engine.render(dialog.whole(), false));
        if ours.as_ref().ok() != expected.as_ref() {
            wrong.push(format!(
                "{text}\n  ours:   {ours:?}\n  Jinja2: {expected:?}"
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        expressions.len(),
        wrong.join("\n")
    );
}

#[test]
fn an_error_names_the_line_on_which_it_was_written() {
    let text = "{%- if true %}\n\nplain {\n{%- endif %}\n\n  {{ 1 + \n 'a' }}";
    let engine = Engine::new(&Source {
        text: text.into(),
        ..Source::default()
    })
    .expect("compiles");
    let Err(Fault::Broken(said)) = engine.render(Dialog::default().whole(), false) else {
        panic!("is refused")
    };
    assert!(said.starts_with("line 6: "), "{said}");
}
