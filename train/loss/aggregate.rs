//! How the losses of tokens become one number: what counts the same, a token, an answer, or a prompt.
//!
//! A loss is a sum over tokens, and every aggregation is a weight for each token that depends on counts of the *global*
//! batch alone. So no choice of micro-batches, packing or workers changes it.
//! Example: two answers of 1 and 3 tokens. The token mean gives each token 1/4; the sequence mean gives the first 1/2 and
//! the others 1/6.

use serde::{Deserialize, Serialize};

/// What counts the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Aggregation {
    /// Every token of the global batch (DAPO).
    #[default]
    TokenMean,
    /// Every answer, and every token within it (GRPO).
    SequenceMean,
    /// Every token, as a share of a constant: length has no influence (Dr. GRPO).
    SumOver {
        /// The constant for each answer: `max_new_tokens`, as a rule.
        constant: f64,
    },
    /// Every prompt, and every token of its answers within it.
    PromptMean,
}

/// Where a token stands: its answer and its prompt, counted from 0 over the global batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The answer.
    pub sequence: usize,
    /// The prompt.
    pub prompt: usize,
}

/// The weight of each token's loss; their weighted sum is the loss of the batch.
///
/// ```
/// use train::loss::aggregate::{Aggregation, Origin, token_weights};
///
/// let tokens = [0, 1, 1, 1].map(|sequence| Origin { sequence, prompt: 0 });
/// let weights = token_weights(Aggregation::SequenceMean, &tokens);
/// assert_eq!(weights, [0.5, 0.5 / 3.0, 0.5 / 3.0, 0.5 / 3.0]);
/// ```
pub fn token_weights(aggregation: Aggregation, tokens: &[Origin]) -> Vec<f64> {
    let sequence = |token: &Origin| token.sequence;
    let prompt = |token: &Origin| token.prompt;
    match aggregation {
        Aggregation::TokenMean => vec![1.0 / tokens.len() as f64; tokens.len()],
        Aggregation::SequenceMean => mean_of_means(tokens, sequence),
        Aggregation::PromptMean => mean_of_means(tokens, prompt),
        Aggregation::SumOver { constant } => {
            let sequences = counts(tokens, sequence)
                .iter()
                .filter(|&&count| count > 0)
                .count();
            vec![1.0 / (constant * sequences as f64); tokens.len()]
        }
    }
}

fn mean_of_means(tokens: &[Origin], unit: impl Fn(&Origin) -> usize) -> Vec<f64> {
    let counts = counts(tokens, &unit);
    let units = counts.iter().filter(|&&count| count > 0).count() as f64;
    let weight = |token| 1.0 / (units * counts[unit(token)] as f64);
    tokens.iter().map(weight).collect()
}

fn counts(tokens: &[Origin], unit: impl Fn(&Origin) -> usize) -> Vec<usize> {
    let mut counts = vec![
        0;
        tokens
            .iter()
            .map(|token| unit(token) + 1)
            .max()
            .unwrap_or(0)
    ];
    tokens.iter().for_each(|token| counts[unit(token)] += 1);
    counts
}
