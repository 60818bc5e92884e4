//! How a Llama decoder lies in a GGUF file: names, order, rotary layout, and which tensor gets how many bits.
//!
//! In: a [`ModelShape`] and a [`Format`]. Out: one [`Slot`] for every tensor, in the order of the file.
//! Example: `model.layers.3.self_attn.q_proj.weight` is `blk.3.attn_q.weight`, and its rows change places, because
//! Hugging Face rotates the two halves of a head against each other and llama.cpp neighbouring rows.

use super::{ExportError, Format, ModelShape};
use gguf::Encoding;

/// What a tensor is for, as far as it decides how it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Token to vector.
    Embedding,
    /// Vector to logits.
    Output,
    /// A scale of RMSNorm: never quantized.
    Norm,
    /// Query rows, rotated.
    Query,
    /// Key rows, rotated.
    Key,
    /// Value rows: errors here reach every later position, so they get more bits.
    Value,
    /// The way out of the feed-forward part: more bits as well.
    Down,
    /// Any other projection.
    Plain,
}

/// The place of one tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// Its Hugging Face name.
    pub name: String,
    /// Its name in the file.
    pub file_name: String,
    /// Rows first.
    pub shape: Vec<usize>,
    /// What it is for.
    pub role: Role,
    /// Its layer, 0 outside of layers.
    pub layer: usize,
}

/// Every tensor of a decoder in file order: those outside of layers, then layer by layer, by name.
pub fn slots(shape: &ModelShape) -> Vec<Slot> {
    let (width, query, key) = (
        shape.d_model,
        shape.heads * shape.head_dim,
        shape.kv_heads * shape.head_dim,
    );
    let slot = |name: &str, file_name: &str, shape: &[usize], role, layer| Slot {
        name: format!("{name}.weight"),
        file_name: format!("{file_name}.weight"),
        shape: shape.to_vec(),
        role,
        layer,
    };
    let mut slots = Vec::new();
    if !shape.tied {
        slots.push(slot(
            "lm_head",
            "output",
            &[shape.vocab, width],
            Role::Output,
            0,
        ));
    }
    slots.push(slot("model.norm", "output_norm", &[width], Role::Norm, 0));
    slots.push(slot(
        "model.embed_tokens",
        "token_embd",
        &[shape.vocab, width],
        Role::Embedding,
        0,
    ));
    let in_layer: [(&str, &str, &[usize], Role); 9] = [
        ("self_attn.k_proj", "attn_k", &[key, width], Role::Key),
        ("input_layernorm", "attn_norm", &[width], Role::Norm),
        (
            "self_attn.o_proj",
            "attn_output",
            &[width, query],
            Role::Plain,
        ),
        ("self_attn.q_proj", "attn_q", &[query, width], Role::Query),
        ("self_attn.v_proj", "attn_v", &[key, width], Role::Value),
        (
            "mlp.down_proj",
            "ffn_down",
            &[width, shape.d_ff],
            Role::Down,
        ),
        (
            "mlp.gate_proj",
            "ffn_gate",
            &[shape.d_ff, width],
            Role::Plain,
        ),
        ("post_attention_layernorm", "ffn_norm", &[width], Role::Norm),
        ("mlp.up_proj", "ffn_up", &[shape.d_ff, width], Role::Plain),
    ];
    for layer in 0..shape.layers {
        slots.extend(in_layer.iter().map(|(name, file_name, axes, role)| {
            slot(
                &format!("model.layers.{layer}.{name}"),
                &format!("blk.{layer}.{file_name}"),
                axes,
                *role,
                layer,
            )
        }));
    }
    slots
}

/// Sizes that fit together, and into the 32 bits that the file has for them.
///
/// # Errors
///
/// Names the size that does not fit.
pub fn check(shape: &ModelShape) -> Result<(), ExportError> {
    let sizes = [
        ("vocab", shape.vocab),
        ("d_model", shape.d_model),
        ("layers", shape.layers),
        ("heads", shape.heads),
        ("kv_heads", shape.kv_heads),
        ("head_dim", shape.head_dim),
        ("d_ff", shape.d_ff),
        ("context", shape.context),
    ];
    let wrong = |what: String| Err(ExportError::Shape(what));
    for (name, size) in sizes {
        if size == 0 || size > 1 << 28 {
            return wrong(format!("`{name}` is {size}"));
        }
    }
    if shape.layers > 1 << 16 || shape.heads.saturating_mul(shape.head_dim) > 1 << 28 {
        return wrong(format!(
            "{} layers, {} heads of {} are too many",
            shape.layers, shape.heads, shape.head_dim
        ));
    }
    if !shape.heads.is_multiple_of(shape.kv_heads) {
        return wrong(format!(
            "{} heads cannot share {} key and value heads",
            shape.heads, shape.kv_heads
        ));
    }
    if !shape.head_dim.is_multiple_of(2) {
        return wrong(format!(
            "heads of width {} have no two halves to rotate",
            shape.head_dim
        ));
    }
    let positive = |number: f32| number.is_finite() && number > 0.0;
    if !positive(shape.rope_theta) || !positive(shape.norm_eps) {
        return wrong(format!(
            "`rope_theta` is {}, `norm_eps` is {}",
            shape.rope_theta, shape.norm_eps
        ));
    }
    Ok(())
}

/// How the tensor in `slot` is stored in a file of `format`.
pub fn encoding(slot: &Slot, format: Format, shape: &ModelShape) -> Encoding {
    let usual = match format {
        _ if slot.role == Role::Norm => Encoding::F32,
        Format::F32 => return Encoding::F32,
        Format::F16 => return Encoding::F16,
        Format::Q4_0 => Encoding::Q4_0,
        Format::Q8_0 => Encoding::Q8_0,
        Format::Q4_K_M => Encoding::Q4_K,
        Format::Q6_K => Encoding::Q6_K,
    };
    let row = slot.shape[slot.shape.len() - 1];
    let last = slot.role == Role::Output || (slot.role == Role::Embedding && shape.tied);
    let wanted = match usual {
        Encoding::F32 => Encoding::F32,
        Encoding::Q8_0 => Encoding::Q8_0,
        // The logits come out of this tensor: 6 bits whatever the rest has.
        usual if last && !row.is_multiple_of(usual.block_weights()) => Encoding::Q8_0,
        _ if last => Encoding::Q6_K,
        Encoding::Q4_K => match slot.role {
            Role::Value | Role::Down if gets_more_bits(slot.layer, shape.layers) => Encoding::Q6_K,
            // Eighty layers with shared value heads are the 70B models, whose value projection is small.
            Role::Value if shape.layers == 80 && shape.heads != shape.kv_heads => Encoding::Q5_K,
            _ => Encoding::Q4_K,
        },
        usual => usual,
    };
    that_fits(wanted, row)
}

/// The first and last eighth of the layers, and every third between.
fn gets_more_bits(layer: usize, layers: usize) -> bool {
    layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2
}

/// What stands in where a row is no multiple of the block.
fn that_fits(wanted: Encoding, row: usize) -> Encoding {
    let fits = |encoding: Encoding| row.is_multiple_of(encoding.block_weights());
    let smaller = match wanted {
        Encoding::Q4_K => Encoding::Q5_0,
        Encoding::Q5_K => Encoding::Q5_1,
        Encoding::Q6_K => Encoding::Q8_0,
        other => other,
    };
    match () {
        _ if fits(wanted) => wanted,
        _ if fits(smaller) => smaller,
        _ => Encoding::F16,
    }
}

/// Rows in Hugging Face order (first half of a head, second half) to rows in file order (pairs that rotate together).
pub fn pair_halves(rows: &[f32], heads: usize, head_dim: usize) -> Vec<f32> {
    reorder(rows, heads, head_dim, |at| at % 2 * (head_dim / 2) + at / 2)
}

/// The way back.
pub fn split_pairs(rows: &[f32], heads: usize, head_dim: usize) -> Vec<f32> {
    reorder(rows, heads, head_dim, |at| {
        at % (head_dim / 2) * 2 + at / (head_dim / 2)
    })
}

/// Fills row `at` of every head with its row `from(at)`.
fn reorder(rows: &[f32], heads: usize, head_dim: usize, from: impl Fn(usize) -> usize) -> Vec<f32> {
    let width = rows.len() / (heads * head_dim);
    let mut moved = Vec::with_capacity(rows.len());
    for head in 0..heads {
        for at in 0..head_dim {
            let row = head * head_dim + from(at);
            moved.extend_from_slice(&rows[row * width..(row + 1) * width]);
        }
    }
    moved
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn shape(d_model: usize, layers: usize, tied: bool) -> ModelShape {
        ModelShape {
            vocab: 12,
            d_model,
            layers,
            heads: 4,
            kv_heads: 2,
            head_dim: 8,
            d_ff: 2 * d_model,
            context: 128,
            rope_theta: 1e4,
            norm_eps: 1e-5,
            tied,
            name: "tiny".into(),
        }
    }

    /// The encodings of all tensors whose file name ends so.
    fn chosen(shape: &ModelShape, format: Format, ending: &str) -> Vec<Encoding> {
        let slots = slots(shape);
        let slots = slots
            .iter()
            .filter(|slot| slot.file_name.ends_with(&format!("{ending}.weight")));
        slots.map(|slot| encoding(slot, format, shape)).collect()
    }

    #[test]
    fn a_file_begins_with_what_belongs_to_no_layer() {
        let names: Vec<String> = slots(&shape(256, 1, false))
            .into_iter()
            .map(|slot| slot.file_name)
            .collect();
        assert_eq!(
            names[..5],
            [
                "output.weight",
                "output_norm.weight",
                "token_embd.weight",
                "blk.0.attn_k.weight",
                "blk.0.attn_norm.weight"
            ]
        );
        assert_eq!(names.len(), 12);
        let tied = slots(&shape(256, 1, true));
        assert!(tied.iter().all(|slot| slot.file_name != "output.weight"));
    }

    #[test]
    fn half_of_forty_layers_get_more_bits() {
        let layers: Vec<usize> = (0..40).filter(|&layer| gets_more_bits(layer, 40)).collect();
        assert_eq!(
            layers,
            [
                0, 1, 2, 3, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, 34, 35, 36, 37, 38, 39
            ]
        );
    }

    #[test]
    fn q4_k_m_mixes_by_role_and_layer() {
        let shape = shape(256, 8, false);
        let (four, six) = (Encoding::Q4_K, Encoding::Q6_K);
        assert_eq!(
            chosen(&shape, Format::Q4_K_M, "attn_v"),
            [six, four, four, six, four, four, six, six]
        );
        assert_eq!(
            chosen(&shape, Format::Q4_K_M, "ffn_down"),
            [six, four, four, six, four, four, six, six]
        );
        assert_eq!(chosen(&shape, Format::Q4_K_M, "attn_q"), [four; 8]);
        assert_eq!(chosen(&shape, Format::Q4_K_M, "output")[0], six);
        // Four heads of 8: rows of 32 do not fill a super block.
        assert_eq!(
            chosen(&shape, Format::Q4_K_M, "attn_output"),
            [Encoding::Q5_0; 8]
        );
        assert_eq!(chosen(&shape, Format::Q4_K_M, "token_embd"), [four]);
        assert_eq!(chosen(&shape, Format::Q4_K_M, "norm"), [Encoding::F32; 17]);
    }

    #[test]
    fn the_small_value_projections_of_an_80_layer_model_get_5_bits_at_least() {
        let values = chosen(&shape(256, 80, false), Format::Q4_K_M, "attn_v");
        let count = |encoding| values.iter().filter(|&&chosen| chosen == encoding).count();
        assert_eq!((count(Encoding::Q5_K), count(Encoding::Q6_K)), (40, 40));
    }

    #[test]
    fn a_tied_embedding_is_stored_like_an_output() {
        assert_eq!(
            chosen(&shape(256, 1, true), Format::Q4_K_M, "token_embd"),
            [Encoding::Q6_K]
        );
        assert_eq!(
            chosen(&shape(256, 1, true), Format::Q4_0, "token_embd"),
            [Encoding::Q6_K]
        );
        assert_eq!(
            chosen(&shape(96, 1, true), Format::Q4_K_M, "token_embd"),
            [Encoding::Q8_0]
        );
    }

    #[test]
    fn rows_that_do_not_fill_a_block_get_a_wider_one() {
        assert_eq!(that_fits(Encoding::Q4_K, 576), Encoding::Q5_0);
        assert_eq!(that_fits(Encoding::Q5_K, 576), Encoding::Q5_1);
        assert_eq!(that_fits(Encoding::Q6_K, 576), Encoding::Q8_0);
        assert_eq!(that_fits(Encoding::Q6_K, 1536), Encoding::Q6_K);
        assert_eq!(that_fits(Encoding::Q4_0, 48), Encoding::F16);
    }

    #[test]
    fn rotated_pairs_become_neighbours_and_come_back() {
        // Two heads of four rows, one number a row.
        let rows = [0.0, 1.0, 2.0, 3.0, 10.0, 11.0, 12.0, 13.0];
        let paired = pair_halves(&rows, 2, 4);
        assert_eq!(paired, [0.0, 2.0, 1.0, 3.0, 10.0, 12.0, 11.0, 13.0]);
        assert_eq!(split_pairs(&paired, 2, 4), rows);
        let wide: Vec<f32> = (0..48).map(|value| value as f32).collect();
        assert_eq!(split_pairs(&pair_halves(&wide, 2, 8), 2, 8), wide);
    }

    #[test]
    fn sizes_that_do_not_fit_are_named() {
        let wrong = ModelShape {
            kv_heads: 3,
            ..shape(256, 1, true)
        };
        assert_eq!(
            check(&wrong).unwrap_err().to_string(),
            "model shape: 4 heads cannot share 3 key and value heads"
        );
    }
}
