//! The names and the layout that Mistral gives its own files, `params.json` beside `consolidated.safetensors`.
//!
//! Its queries and keys rotate neighbouring rows of a head against each other; Hugging Face rotates the two halves.
//! So the rows of both change places: row `2 i + j` of a head becomes row `i + j · head_dim / 2`.

/// The Hugging Face name of a tensor, when Mistral has one by this name.
pub fn hugging_face_name(name: &str) -> Option<String> {
    match name {
        "tok_embeddings.weight" => return Some("model.embed_tokens.weight".into()),
        "norm.weight" => return Some("model.norm.weight".into()),
        "output.weight" => return Some("lm_head.weight".into()),
        _ => {}
    }
    let (layer, part) = name.strip_prefix("layers.")?.split_once('.')?;
    layer.parse::<u32>().ok()?;
    let part = match part {
        "attention.wq.weight" => "self_attn.q_proj.weight",
        "attention.wk.weight" => "self_attn.k_proj.weight",
        "attention.wv.weight" => "self_attn.v_proj.weight",
        "attention.wo.weight" => "self_attn.o_proj.weight",
        "feed_forward.w1.weight" => "mlp.gate_proj.weight",
        "feed_forward.w2.weight" => "mlp.down_proj.weight",
        "feed_forward.w3.weight" => "mlp.up_proj.weight",
        "attention_norm.weight" => "input_layernorm.weight",
        "ffn_norm.weight" => "post_attention_layernorm.weight",
        _ => return None,
    };
    Some(format!("model.layers.{layer}.{part}"))
}

/// Whether the rows of this tensor of Mistral's change places.
pub fn is_rotated(name: &str) -> bool {
    name.ends_with(".attention.wq.weight") || name.ends_with(".attention.wk.weight")
}

/// Rows of Mistral's layout in the order of Hugging Face. `row` is how many elements a row has.
pub fn half_rotation<T: Copy>(elements: &[T], row: usize, head_dim: usize) -> Vec<T> {
    let half = head_dim / 2;
    let mut ordered = Vec::with_capacity(elements.len());
    for head in elements.chunks_exact(row * head_dim) {
        for at in 0..head_dim {
            let from = 2 * (at % half) + at / half;
            ordered.extend_from_slice(&head[from * row..(from + 1) * row]);
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_rows_become_halves_of_their_head() {
        // Two heads of width 4, rows of one element.
        assert_eq!(
            half_rotation(&[0, 1, 2, 3, 10, 11, 12, 13], 1, 4),
            [0, 2, 1, 3, 10, 12, 11, 13]
        );
    }
}
