//! How far a student's next-token distribution is from its teacher's, row by row, in nats: forward KL, reverse KL, and the
//! generalized Jensen-Shannon divergence of on-policy distillation (GKD, arXiv 2306.13649).

use burn::tensor::{Tensor, activation::log_softmax};
use serde::{Deserialize, Serialize};

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Divergence {
    /// `KL(teacher ‖ student)`: covers all that the teacher does.
    Forward,
    /// `KL(student ‖ teacher)`: seeks what the teacher does most.
    Reverse,
    /// `β KL(teacher ‖ m) + (1 − β) KL(student ‖ m)` with `m = β teacher + (1 − β) student`.
    JensenShannon {
        /// Above 0 and below 1; one half is symmetric, and at most `ln 2`.
        beta: f64,
    },
}

/// Log-probabilities below this count as this: 0 · −inf is no number, and e^−80 is 0 for every sum in f32.
const LOWEST: f32 = -80.0;

/// The divergence of each row; the teacher has no gradient.
///
/// # Shapes
///
/// - student, teacher: logits, `[rows, vocab]`
/// - output: `[rows]`
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use train::loss::divergence::{Divergence, divergence};
///
/// let logits = Tensor::<2>::from_floats([[1.0, 2.0, 3.0]], &Device::flex());
/// let same = divergence(Divergence::Forward, logits.clone(), logits);
/// assert_eq!(same.into_scalar::<f32>(), 0.0);
/// ```
pub fn divergence(which: Divergence, student: Tensor<2>, teacher: Tensor<2>) -> Tensor<1> {
    let student = log_softmax(student, 1).clamp_min(LOWEST);
    let teacher = log_softmax(teacher.detach(), 1).clamp_min(LOWEST);
    match which {
        Divergence::Forward => kl(teacher, student),
        Divergence::Reverse => kl(student, teacher),
        Divergence::JensenShannon { beta } => {
            let mixed = teacher.clone().exp() * beta + student.clone().exp() * (1.0 - beta);
            let mixed = mixed.log().clamp_min(LOWEST);
            kl(teacher, mixed.clone()) * beta + kl(student, mixed) * (1.0 - beta)
        }
    }
}

/// `Σ p (log p − log q)` of each row of log-probabilities.
fn kl(p: Tensor<2>, q: Tensor<2>) -> Tensor<1> {
    let [rows, _] = p.dims();
    (p.clone().exp() * (p - q)).sum_dim(1).reshape([rows])
}
