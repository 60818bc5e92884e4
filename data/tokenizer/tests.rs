//! What tokenizers promise, and the ids that the libraries of their makers give.

use super::*;

pub(crate) fn trained() -> Tokenizer {
    let texts = [
        "def add(a, b):\n    return a + b\n",
        "1|def sub(a, b):\n2|    return a - b",
        "user\nassistant\n",
    ];
    Tokenizer::train(texts.iter().cycle().take(30), 320, &SPECIALS).expect("trains")
}

fn pieces(text: &str) -> Vec<String> {
    let tokenizer = trained();
    tokenizer
        .encode(text)
        .iter()
        .map(|id| tokenizer.decode(&[*id]))
        .collect()
}

#[test]
fn every_text_comes_back() {
    let tokenizer = trained();
    for text in [
        "",
        "def f():\n\tpass\r\n",
        "naïve 東京 \u{1F600}",
        "  \n\n   x",
        "<|im_end|>\0",
    ] {
        assert_eq!(tokenizer.decode(&tokenizer.encode(text)), text);
    }
}

#[test]
fn a_marker_in_a_text_stays_text() {
    let tokenizer = trained();
    let reloaded = Tokenizer::from_bytes(&tokenizer.save_bytes().expect("writes")).expect("reads");
    for tokenizer in [tokenizer, reloaded] {
        for (id, name) in SPECIALS.iter().enumerate() {
            assert_eq!(tokenizer.special(name), Some(id as u32));
            let ids = tokenizer.encode(&format!("a{name}b"));
            assert!(
                ids.iter().all(|id| *id as usize >= SPECIALS.len()),
                "{name}"
            );
        }
        assert_eq!(tokenizer.special("a"), None);
    }
}

#[test]
fn a_marker_in_a_text_that_was_rendered_is_a_special_token() {
    let tokenizer = trained();
    let [start, end] = [START, END].map(|name| tokenizer.special(name).expect("a marker"));
    let rendered = tokenizer.encode_rendered("<|im_start|>user\na<|im_end|>\n", true);
    let expected = [
        vec![start],
        tokenizer.encode("user\na"),
        vec![end],
        tokenizer.encode("\n"),
    ]
    .concat();
    assert_eq!(rendered, expected);
    assert_eq!(
        tokenizer.encode_rendered("a b", true),
        tokenizer.encode("a b")
    );
    let tekken = tekken("v7");
    let [begin, inst, end] =
        ["<s>", "[INST]", "[/INST]"].map(|name| tekken.special(name).expect("a marker"));
    let text = [vec![inst], tekken.encode(" [é "), vec![end]].concat();
    assert_eq!(tekken.encode_rendered("[INST] [é [/INST]", false), text);
    assert_eq!(
        tekken.encode_rendered("[INST] [é [/INST]", true),
        [vec![begin], text].concat()
    );
}

#[test]
fn digits_stand_alone_and_indentation_is_one_piece() {
    assert_eq!(
        pieces("12|    return a"),
        ["1", "2", "|", "   ", " return", " a"]
    );
}

#[test]
fn the_same_texts_give_the_same_tokenizer() {
    let (one, two) = (trained(), trained());
    assert_eq!(
        one.save_bytes().expect("writes"),
        two.save_bytes().expect("writes")
    );
    assert!(one.vocab_size() <= 320);
    assert!(
        one.encode("naïve")
            .iter()
            .all(|id| (*id as usize) < one.vocab_size())
    );
}

#[test]
fn a_file_that_is_no_tokenizer_is_named() {
    let path = std::env::temp_dir().join(format!("tokenizer-test-{}.json", std::process::id()));
    fs::write(&path, "{\"version\": 7}").expect("writes");
    let refused = Tokenizer::from_file(&path)
        .expect_err("is refused")
        .to_string();
    assert!(refused.contains(&path.display().to_string()), "{refused}");
    let file = fs::File::create(&path).expect("creates");
    file.set_len(MAX_BYTES + 1).expect("grows");
    assert!(matches!(
        Tokenizer::from_file(&path),
        Err(TokenizerError::TooLarge { .. })
    ));
    fs::remove_file(&path).expect("cleans up");
    assert!(matches!(
        Tokenizer::from_file(&path),
        Err(TokenizerError::File(_))
    ));
}

#[test]
fn a_vocabulary_without_room_for_all_bytes_is_refused() {
    let refused = Tokenizer::train(["a"].iter(), 259, &SPECIALS);
    assert!(matches!(
        refused,
        Err(TokenizerError::TooSmall { least: 260, .. })
    ));
}

fn reference() -> serde_json::Value {
    serde_json::from_str(include_str!("reference.json")).expect("is JSON")
}

/// The reduced file of a version; its merges stand in one of them.
fn tekken(version: &str) -> Tokenizer {
    let merges: serde_json::Value =
        serde_json::from_str(include_str!("reference/tekken_v7.json")).expect("is JSON");
    let mut file: serde_json::Value = match version {
        "v3" => serde_json::from_str(include_str!("reference/tekken_v3.json")).expect("is JSON"),
        "v11" => serde_json::from_str(include_str!("reference/tekken_v11.json")).expect("is JSON"),
        _ => merges.clone(),
    };
    file["vocab"] = merges["vocab"].clone();
    Tokenizer::tekken(file.to_string().as_bytes(), TEKKEN_FILE).expect("reads")
}

fn ids(value: &serde_json::Value) -> Vec<u32> {
    value
        .as_array()
        .expect("a list")
        .iter()
        .map(|id| id.as_u64().expect("an id") as u32)
        .collect()
}

#[test]
fn tekken_gives_the_ids_of_mistral_common() {
    let reference = reference();
    for version in ["v3", "v7", "v11"] {
        let tokenizer = tekken(version);
        let snippets = reference["snippets"].as_array().expect("a list");
        for (snippet, expected) in snippets
            .iter()
            .zip(reference[version]["ids"].as_array().expect("a list"))
        {
            let snippet = snippet.as_str().expect("a text");
            assert_eq!(
                tokenizer.encode(snippet),
                ids(expected),
                "{version}: {snippet:?}"
            );
            assert_eq!(tokenizer.decode(&ids(expected)), snippet, "{version}");
        }
    }
}

#[test]
fn a_tekken_file_says_its_special_tokens_or_has_the_usual_ones() {
    for version in ["v3", "v7", "v11"] {
        let tokenizer = tekken(version);
        assert_eq!(tokenizer.special("[INST]"), Some(3), "{version}");
        assert_eq!(
            tokenizer.special("[CALL_ID]"),
            (version == "v11").then_some(21)
        );
        assert_eq!(
            tokenizer.special("<SPECIAL_23>"),
            (version != "v3").then_some(23)
        );
        assert_eq!(tokenizer.tekken_version(), version[1..].parse().ok());
        let again = Tokenizer::tekken(&tokenizer.save_bytes().expect("writes"), TEKKEN_FILE)
            .expect("reads");
        assert_eq!(
            again.encode("def f(): pass"),
            tokenizer.encode("def f(): pass")
        );
    }
}

#[test]
fn a_broken_tekken_file_is_told() {
    let mut whole: serde_json::Value =
        serde_json::from_str(include_str!("reference/tekken_v7.json")).expect("is JSON");
    whole["vocab"].as_array_mut().expect("a list").truncate(300);
    whole["config"]["default_vocab_size"] = 324.into();
    let broken = [
        (
            "/vocab/5/rank",
            serde_json::json!(6),
            "token 5 of `vocab` has the rank 6",
        ),
        (
            "/vocab/5/token_bytes",
            serde_json::json!("Bg=="),
            "token 5 of `vocab` has the wrong bytes",
        ),
        (
            "/vocab/299/token_bytes",
            serde_json::json!("?"),
            "token 299 of `vocab` is no base64",
        ),
        (
            "/vocab/299/token_bytes",
            serde_json::json!("QQ=="),
            "two tokens of `vocab` are the same bytes",
        ),
        (
            "/config/default_vocab_size",
            serde_json::json!(1u64 << 40),
            "but `vocab` has 300",
        ),
        (
            "/config/default_vocab_size",
            serde_json::json!(5),
            "no room for 24 special tokens and 256 bytes",
        ),
        (
            "/config/default_num_special_tokens",
            serde_json::json!(1u64 << 40),
            "special tokens do not fit into",
        ),
        (
            "/config/pattern",
            serde_json::json!("(a"),
            "`config.pattern` is no expression",
        ),
        (
            "/config/version",
            serde_json::json!("new"),
            "its version is `new`",
        ),
        (
            "/special_tokens/3/token_str",
            serde_json::json!("<s>"),
            "two special tokens have the same name",
        ),
    ];
    for (place, value, told) in broken {
        let mut file = whole.clone();
        *file.pointer_mut(place).expect("is there") = value;
        let refused = Tokenizer::tekken(file.to_string().as_bytes(), "x/tekken.json")
            .expect_err("is refused")
            .to_string();
        assert!(
            refused.contains("`x/tekken.json`") && refused.contains(told),
            "{refused}"
        );
    }
}

#[test]
fn a_run_of_a_million_blanks_is_cut_and_comes_back() {
    let (tokenizer, blanks) = (tekken("v7"), " ".repeat(1 << 20));
    assert_eq!(tokenizer.decode(&tokenizer.encode(&blanks)), blanks);
}

#[test]
fn a_tokenizer_beyond_the_vocabulary_of_a_model_is_refused_by_file_and_id() {
    let tokenizer = tekken("v7");
    assert_eq!(tokenizer.vocab_size(), 1424);
    tokenizer.require_within(1424).expect("fits");
    let told = tokenizer
        .require_within(1423)
        .expect_err("is refused")
        .to_string();
    assert!(
        told.contains("`tekken.json` has the id 1423") && told.contains("knows 1423 ids"),
        "{told}"
    );
}

#[test]
fn the_pieces_of_a_text_are_its_bytes() {
    let text = "def f():\n\treturn '東京' # naïve \u{1F600}";
    for tokenizer in [trained(), tekken("v3")] {
        let pieces = tokenizer
            .encode(text)
            .into_iter()
            .flat_map(|id| tokenizer.piece(id).expect("is known"));
        assert_eq!(pieces.collect::<Vec<u8>>(), text.as_bytes());
        assert_eq!(tokenizer.piece(1 << 30), None);
    }
}

#[test]
fn parts_are_encoded_apart_and_markers_stand_between_them() {
    let text = |text: &str| Part::Text(text.to_string());
    for tokenizer in [trained(), tekken("v7")] {
        for strange in ["\u{fdd0}", ""] {
            let last = format!("return{strange}");
            let parts = [
                text("  def"),
                text(" <|im_end|>[INST]"),
                Part::Special(2),
                text(""),
                Part::Special(1),
                text(&last),
            ];
            let ids = tokenizer.encode_parts(&parts);
            let apart = ["  def", " <|im_end|>[INST]"].map(|text| tokenizer.encode(text));
            assert_eq!(
                ids,
                [
                    apart[0].clone(),
                    apart[1].clone(),
                    vec![2],
                    vec![],
                    vec![1],
                    tokenizer.encode(&last)
                ]
            );
        }
    }
}

#[test]
fn a_tokenizer_that_would_break_its_library_is_refused() {
    let trained: serde_json::Value =
        serde_json::from_slice(&trained().save_bytes().expect("writes")).expect("is JSON");
    let mut prefixed = trained.clone();
    prefixed["model"]["continuing_subword_prefix"] = "longer than any piece of it".into();
    let mut merged = trained.clone();
    merged["model"]["merges"][0] = serde_json::json!(["nothing", "known"]);
    let mut padded = trained;
    padded["padding"] = serde_json::json!({
        "strategy": { "Fixed": 2_000_000_000 }, "direction": "Right", "pad_to_multiple_of": null,
        "pad_id": 0, "pad_type_id": 0, "pad_token": PAD
    });
    for broken in [prefixed, merged, serde_json::json!({ "model": 3 })] {
        let refused = Tokenizer::from_bytes(broken.to_string().as_bytes());
        assert!(matches!(refused, Err(TokenizerError::Unreadable { .. })));
    }
    let padded = Tokenizer::from_bytes(padded.to_string().as_bytes()).expect("reads");
    assert!(padded.encode("x").len() < 3);
}

/// `TOKENIZER` is a whole file, `IDS` what `reference.py --whole` prints of the sources of this repository.
#[test]
fn a_whole_file_gives_the_ids_of_its_makers() {
    let [Some(tokenizer), Some(ids)] = ["TOKENIZER", "IDS"].map(std::env::var_os) else {
        eprintln!(
            "SKIPPED, not tested: the ids of a whole tokenizer: no `TOKENIZER` and `IDS` name the files"
        );
        return;
    };
    let tokenizer = Tokenizer::from_file(Path::new(&tokenizer)).expect("reads");
    let lines = fs::read_to_string(ids).expect("reads");
    let mut compared = 0;
    for line in lines.lines() {
        let (source, expected): (String, Vec<u32>) = serde_json::from_str(line).expect("is JSON");
        let text = fs::read_to_string(Path::new("..").join(&source)).expect("reads");
        assert!(tokenizer.encode(&text) == expected, "{source}");
        assert!(tokenizer.decode(&expected) == text, "{source}");
        compared += expected.len();
    }
    println!(
        "{compared} ids of {} files are the same",
        lines.lines().count()
    );
}

#[test]
fn steps_of_a_kind_that_is_not_known_are_refused() {
    let json: serde_json::Value =
        serde_json::from_slice(&trained().save_bytes().expect("writes")).expect("is JSON");
    for key in [
        "normalizer",
        "pre_tokenizer",
        "post_processor",
        "decoder",
        "model",
    ] {
        let mut other = json.clone();
        other[key]["type"] = "OfNextYear".into();
        let refused = Tokenizer::from_bytes(other.to_string().as_bytes());
        assert!(
            matches!(refused, Err(TokenizerError::Unreadable { .. })),
            "{key}"
        );
    }
}
