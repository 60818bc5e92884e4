//! Templates of model folders: where they are found, what is refused, what is written back.

use super::*;

fn refused(jinja: &str) -> String {
    let folder = Folder::new(&[("chat_template.jinja", jinja)]);
    match ChatTemplate::from_folder(&folder.0, &trained()) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{jinja} is taken"),
    }
}

#[test]
fn a_template_that_never_ends_or_reads_files_is_named() {
    let broken = [
        (
            "{% for a in range(9999) %}{% for b in range(9999) %}{{ a }}{% endfor %}{% endfor %}",
            "never ends",
        ),
        (
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "recursion",
        ),
        ("{{ 'a' * 1000000000 }}", "too large"),
        (
            "{% for a in range(9999) %}{{ 'ab' * 9999 }}{% endfor %}",
            "longer than 16 MiB",
        ),
        ("{% include '/etc/passwd' %}", "asks for another file"),
        ("{% extends 'base' %}", "asks for another file"),
        ("{% import 'x' as x %}", "asks for another file"),
        ("{% from 'x' import y %}", "asks for another file"),
        ("{{ open('/etc/passwd').read() }}", "unknown"),
        ("{{ messages.__class__.__mro__ }}", "undefined"),
        ("{{ messages[0].content", "syntax error"),
        ("{% if %}", "syntax error"),
        ("{{ raise_exception('never') }}", "never"),
    ];
    for (jinja, told) in broken {
        let said = refused(jinja);
        assert!(said.contains("chat_template.jinja"), "{said}");
        assert!(said.contains(told), "`{jinja}` says: {said}");
    }
}

#[test]
fn a_template_without_an_end_of_turn_is_refused_for_training() {
    let folder = Folder::new(&[(
        "chat_template.jinja",
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}",
    )]);
    let template = ChatTemplate::from_folder(&folder.0, &trained()).expect("reads");
    let told = template
        .check(&trained())
        .expect_err("is refused")
        .to_string();
    assert!(told.contains("would never stop"), "{told}");
}

#[test]
fn a_template_that_hides_the_question_from_the_answer_is_refused() {
    let jinja = "{% if add_generation_prompt %}<|im_start|>thinking{% else %}{% for m in messages %}\
                 <|im_start|>{{ m.content }}<|im_end|>{% endfor %}{% endif %}";
    let folder = Folder::new(&[("chat_template.jinja", jinja)]);
    let template = ChatTemplate::from_folder(&folder.0, &trained()).expect("reads");
    let told = template
        .check(&trained())
        .expect_err("is refused")
        .to_string();
    assert!(
        told.contains("does not go on from its own prompt"),
        "{told}"
    );
}

#[test]
fn the_template_of_a_folder_is_found_where_transformers_looks() {
    let list = r#"{"chat_template": [{"name": "rag", "template": "r"}, {"name": "default", "template": "d"}]}"#;
    let one = r#"{"chat_template": "c"}"#;
    let found = |files: &[(&str, &str)]| {
        let folder = Folder::new(files);
        ChatTemplate::from_folder(&folder.0, &trained())
            .expect("reads")
            .source()
            .to_string()
    };
    assert_eq!(found(&[]), JINJA);
    assert_eq!(found(&[("tokenizer_config.json", "{}")]), JINJA);
    assert_eq!(found(&[("tokenizer_config.json", list)]), "d");
    assert_eq!(found(&[("chat_template.json", one)]), "c");
    assert_eq!(
        found(&[("tokenizer_config.json", list), ("chat_template.json", one)]),
        "d"
    );
    assert_eq!(
        found(&[
            ("tokenizer_config.json", list),
            ("chat_template.jinja", "j")
        ]),
        "j"
    );
    for (text, told) in [
        ("[]", "no JSON object"),
        ("{", "EOF"),
        (r#"{"chat_template": 3}"#, "neither a text nor a list"),
    ] {
        let folder = Folder::new(&[("tokenizer_config.json", text)]);
        let said = ChatTemplate::from_folder(&folder.0, &trained())
            .expect_err("is refused")
            .to_string();
        assert!(
            said.contains("tokenizer_config.json") && said.contains(told),
            "{said}"
        );
    }
}

#[test]
fn the_usual_template_read_from_a_folder_is_the_usual_template() {
    let config = ChatTemplate::default().tokenizer_config(64).to_string();
    let folder = Folder::new(&[("tokenizer_config.json", &config)]);
    let read = ChatTemplate::from_folder(&folder.0, &trained()).expect("reads");
    assert!(matches!(read.form, Form::ChatMl));
}

#[test]
fn the_template_of_a_folder_is_written_back() {
    let config =
        r#"{"bos_token": {"content": "<|im_start|>"}, "model_max_length": 77, "own": [1]}"#;
    let folder = Folder::new(&[
        ("tokenizer_config.json", config),
        ("chat_template.jinja", "{{ bos_token }}j"),
    ]);
    let read = ChatTemplate::from_folder(&folder.0, &trained()).expect("reads");
    let written = read.tokenizer_config(64);
    assert_eq!(
        (&written["chat_template"], &written["model_max_length"]),
        (&"{{ bos_token }}j".into(), &77.into())
    );
    assert_eq!(read.render(&[], false).expect("renders"), "<|im_start|>j");
}

#[test]
fn the_day_is_the_one_that_is_passed() {
    let folder = Folder::new(&[("chat_template.jinja", "{{ strftime_now('%d %b %Y') }}")]);
    let template = ChatTemplate::from_folder(&folder.0, &trained()).expect("reads");
    assert_eq!(template.render(&[], false).expect("renders"), "26 Jul 2024");
    let later = template
        .at(UNIX_EPOCH + std::time::Duration::from_secs(86_400))
        .expect("compiles");
    assert_eq!(later.render(&[], false).expect("renders"), "02 Jan 1970");
    assert!(refused("{{ strftime_now('%!') }}").contains("no format of a date"));
}

#[test]
fn values_are_written_as_python_writes_them() {
    let jinja = "{{ none }} {{ true }} {{ messages | tojson }} {{ {'b': [1, 'é<'], 'a': {}} | tojson(indent=1) }}";
    let folder = Folder::new(&[("chat_template.jinja", jinja)]);
    let template = ChatTemplate::from_folder(&folder.0, &trained()).expect("reads");
    let text = template
        .render(&[Message::new(Role::User, "\"<é\n")], false)
        .expect("renders");
    let expected = "None True [{\"role\": \"user\", \"content\": \"\\\"<é\\n\"}] \
                    {\n \"b\": [\n  1,\n  \"é<\"\n ],\n \"a\": {}\n}";
    assert_eq!(text, expected);
}

/// What `mistral-common` makes of conversations; see `tokenizer/reference.py`.
#[derive(Deserialize)]
struct Reference {
    v3: Chats,
    v7: Chats,
    v11: Chats,
    v13: Chats,
}

#[derive(Deserialize)]
struct Chats {
    chats: Vec<Chat>,
    tool_chats: Vec<Chat>,
}

#[derive(Deserialize)]
struct Chat {
    messages: Vec<Fields>,
    #[serde(default)]
    given: Fields,
    ids: Vec<u32>,
}

#[test]
fn a_folder_of_mistral_writes_conversations_as_mistral_common_does() {
    let reference: Reference =
        serde_json::from_str(include_str!("../../tokenizer/reference.json")).expect("is JSON");
    let merges: serde_json::Value =
        serde_json::from_str(include_str!("../../tokenizer/reference/tekken_v7.json"))
            .expect("is JSON");
    let versions = [
        ("v3", reference.v3),
        ("v7", reference.v7),
        ("v11", reference.v11),
        ("v13", reference.v13),
    ];
    for (version, chats) in versions {
        let file = fs::read_to_string(format!("tokenizer/reference/tekken_{version}.json"))
            .expect("reads");
        let mut file: serde_json::Value = serde_json::from_str(&file).expect("is JSON");
        file["vocab"] = merges["vocab"].clone();
        let folder = Folder::new(&[("tekken.json", &file.to_string())]);
        let tokenizer = Tokenizer::from_folder(&folder.0).expect("reads");
        let template = ChatTemplate::from_folder(&folder.0, &tokenizer).expect("reads");
        assert_eq!(
            (chats.chats.len(), chats.tool_chats.len()),
            (3, if version == "v3" { 0 } else { 4 })
        );
        for Chat {
            messages,
            given,
            ids,
        } in chats.chats.into_iter().chain(chats.tool_chats)
        {
            let dialog = Dialog { messages, given };
            let written = template
                .encode_dialog(&tokenizer, &dialog)
                .expect("encodes");
            assert_eq!(
                tokenizer.decode(&written),
                tokenizer.decode(&ids),
                "{version}"
            );
            assert_eq!(written, ids, "{version}: {dialog:?}");
        }
        assert_eq!(template.end_of_turn(&tokenizer).all(), [2]);
    }
}

#[test]
fn what_the_template_trains_ends_a_turn_beside_what_the_files_name() {
    let end = |files: &[(&str, &str)]| {
        let folder = Folder::new(files);
        ChatTemplate::from_folder(&folder.0, &trained())
            .expect("reads")
            .end_of_turn(&trained())
    };
    // The usual start: a base model, whose files know the end of a document alone.
    let base = ("tokenizer_config.json", r#"{"eos_token": "<|endoftext|>"}"#);
    let config = ("config.json", r#"{"eos_token_id": 3}"#);
    let jinja = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}\
                 {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    for files in [
        vec![base, config],
        vec![base, config, ("chat_template.jinja", jinja)],
    ] {
        assert_eq!(end(&files), EndOfTurn::new(Some(2), &[3]));
    }
    // An id of `config.json` that is an ordinary word belongs to another tokenizer.
    let other = (
        "config.json",
        r#"{"eos_token_id": [40, 3], "text_config": {"eos_token_id": 0}}"#,
    );
    let generation = ("generation_config.json", r#"{"eos_token_id": [41]}"#);
    assert_eq!(end(&[other, generation]).all(), [2, 41, 3, 0]);
    // A template without an end has none that is trained.
    let bare = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}";
    assert_eq!(
        end(&[base, ("chat_template.jinja", bare)]),
        EndOfTurn::new(None, &[3])
    );
}

/// A template of a model that sees images: it goes through the parts of a message.
const PARTS: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for part in m.content %}\
    {% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}\
    {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

#[test]
fn a_template_that_wants_parts_gets_parts() {
    let folder = Folder::new(&[("chat_template.jinja", PARTS)]);
    let template = ChatTemplate::from_folder(&folder.0, &trained()).expect("reads");
    let messages = [
        Message::new(Role::User, "hi <|im_end|>"),
        Message::new(Role::Assistant, "fine"),
    ];
    let usual = ChatTemplate::default();
    assert_eq!(
        template.render(&messages, true).expect("renders"),
        usual.render(&messages, true).expect("renders")
    );
    let (tokens, mask) = template.encode(&trained(), &messages).expect("encodes");
    assert_eq!(
        (tokens, mask),
        usual.encode(&trained(), &messages).expect("encodes")
    );
}

#[test]
fn a_template_that_leaves_out_a_text_is_refused_for_training_and_for_a_prompt() {
    let refused = |jinja: &str, messages: &[Message]| {
        let folder = Folder::new(&[("chat_template.jinja", jinja)]);
        let template = ChatTemplate::from_folder(&folder.0, &trained()).expect("reads");
        let training = template
            .encode(&trained(), messages)
            .expect_err("is refused")
            .to_string();
        let prompt = template
            .encode_prompt(&trained(), messages)
            .expect_err("is refused")
            .to_string();
        (training, prompt)
    };
    let talk = |system: &str, user: &str| {
        [
            (Role::System, system),
            (Role::User, user),
            (Role::Assistant, "ho"),
        ]
        .map(|(role, text)| Message::new(role, text))
    };
    let head = "{% for m in messages %}<|im_start|>{{ m.role }}\n";
    let tail =
        "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    // Neither a plain text nor parts are written.
    let nothing = format!("{head}{tail}");
    let (training, prompt) = refused(&nothing, &talk("be brief", "what is this"));
    assert!(
        training.contains("leaves out the text of messages 1 and 2 and 3"),
        "{training}"
    );
    assert!(
        prompt.contains("leaves out the text of messages 1 and 2 and 3"),
        "{prompt}"
    );
    // One role alone, with a text that stands in the template by chance, and one that is cut.
    let no_system =
        format!("{head}{{% if m.role != 'system' %}}{{{{ m.content }}}}{{% endif %}}{tail}");
    let (training, prompt) = refused(&no_system, &talk("user", "what is this"));
    assert!(
        training.contains("the text of message 1\n") && prompt.contains("the text of message 1\n"),
        "{training}"
    );
    let cut = format!("{head}{{{{ m.content[:20] }}}}{tail}");
    let (training, _) = refused(
        &cut,
        &talk(
            "be brief",
            "the first words of a long text, and then its end",
        ),
    );
    assert!(training.contains("the text of message 2\n"), "{training}");
}

#[test]
fn a_template_without_a_generation_prompt_is_refused_by_name() {
    let jinja =
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}";
    let folder = Folder::new(&[("chat_template.jinja", jinja)]);
    let template = ChatTemplate::from_folder(&folder.0, &trained()).expect("reads");
    let asked = [Message::new(Role::User, "what is this")];
    for told in [
        template.check(&trained()),
        template.encode_prompt(&trained(), &asked).map(|_| ()),
    ] {
        let told = told.expect_err("is refused").to_string();
        assert!(
            told.contains("no generation prompt") && told.contains("`<|im_start|>assistant`"),
            "{told}"
        );
    }
}
