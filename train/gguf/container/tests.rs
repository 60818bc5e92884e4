use super::*;

fn sample() -> (Vec<(String, Value)>, Vec<TensorInfo>) {
    let values = vec![
        (
            "general.architecture".to_string(),
            Value::Text("llama".into()),
        ),
        ("llama.block_count".into(), Value::Whole(2)),
        ("llama.rope.freq_base".into(), Value::Real(1e4)),
        ("tokenizer.ggml.add_bos_token".into(), Value::Truth(false)),
        (
            "tokenizer.ggml.tokens".into(),
            Value::Texts(vec!["a".into(), "Ġb".into()]),
        ),
        (
            "tokenizer.ggml.token_type".into(),
            Value::Wholes(vec![1, 3]),
        ),
    ];
    let entry = |name: &str, shape: &[usize], encoding, offset| TensorInfo {
        name: name.into(),
        shape: shape.to_vec(),
        encoding,
        offset,
    };
    let tensors = vec![
        entry("a", &[3, 32], Encoding::Q4_0, 0),
        entry("b", &[5], Encoding::F32, 64),
    ];
    (values, tensors)
}

fn decode(bytes: &[u8]) -> Result<Front, String> {
    decode_front(bytes, bytes.len() as u64)
}

#[test]
fn what_is_written_is_read() {
    let (values, tensors) = sample();
    let mut bytes = encode_front(&values, &tensors);
    let data_start = bytes.len() as u64;
    assert_eq!(data_start % 32, 0);
    bytes.extend([0; 84]);
    assert_eq!(
        decode(&bytes).unwrap(),
        Front {
            values,
            tensors,
            data_start
        }
    );
}

#[test]
fn the_front_has_the_documented_bytes() {
    let bytes = encode_front(&[("k".into(), Value::Whole(7))], &[]);
    let mut expected = b"GGUF\x03\0\0\0".to_vec();
    expected.extend([0; 8]);
    expected.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend([1, 0, 0, 0, 0, 0, 0, 0, b'k', 4, 0, 0, 0, 7, 0, 0, 0]);
    expected.resize(64, 0);
    assert_eq!(bytes, expected);
}

#[test]
fn a_file_cut_anywhere_is_refused_and_never_panics() {
    let (values, tensors) = sample();
    let mut bytes = encode_front(&values, &tensors);
    bytes.extend([0; 84]);
    for length in 0..bytes.len() {
        assert!(
            decode(&bytes[..length]).is_err(),
            "{length} bytes are not enough"
        );
    }
}

#[test]
fn a_broken_byte_never_panics_or_allocates_without_bound() {
    let (values, tensors) = sample();
    let mut bytes = encode_front(&values, &tensors);
    bytes.extend([0; 84]);
    for at in 0..bytes.len() {
        for value in [0, 1, 9, 0x7f, 0x80, 0xff] {
            let mut broken = bytes.clone();
            broken[at] = value;
            let _ = decode(&broken);
        }
    }
}

#[test]
fn a_promise_beyond_the_file_is_refused_with_its_place() {
    let mut bytes = encode_front(&[], &[]);
    bytes[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(
        decode(&bytes).unwrap_err(),
        format!(
            "it promises {} items where 0 have room (at byte 16)",
            u64::MAX
        )
    );
}

#[test]
fn a_gap_between_tensors_is_refused() {
    let (values, mut tensors) = sample();
    tensors[1].offset = 96;
    let mut bytes = encode_front(&values, &tensors);
    bytes.extend([0; 200]);
    assert!(
        decode(&bytes)
            .unwrap_err()
            .starts_with("tensor `b` begins at 96, not at 64")
    );
}
