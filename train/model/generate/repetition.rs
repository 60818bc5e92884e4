//! An answer that says the same again and again.

/// The longest piece that is looked for, in tokens.
const LONGEST: usize = 64;

/// Counts how often the end of an answer repetition itself.
#[derive(Clone, Debug)]
pub struct Repetition {
    most: usize,
    /// For every length of a piece, how many of the last tokens equal the one that long before.
    runs: [usize; LONGEST + 1],
}

impl Repetition {
    /// Notices a piece that stands there `most` times in a row; 0 notices nothing.
    pub fn new(most: usize) -> Self {
        Repetition {
            most,
            runs: [0; LONGEST + 1],
        }
    }

    /// Looks at the last of `tokens`, which grew by one since the last call; true when it repetition too often.
    pub fn too_many(&mut self, tokens: &[u32]) -> bool {
        let Some(last) = tokens.len().checked_sub(1).filter(|_| self.most > 0) else {
            return false;
        };
        let mut found = false;
        for length in 1..=LONGEST.min(last) {
            let again = tokens[last] == tokens[last - length];
            self.runs[length] = if again { self.runs[length] + 1 } else { 0 };
            found |= self.runs[length] >= length * (self.most - 1);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noticed_at(tokens: &[u32], most: usize) -> Option<usize> {
        let mut repetition = Repetition::new(most);
        (1..=tokens.len()).find(|&length| repetition.too_many(&tokens[..length]))
    }

    #[test]
    fn a_piece_is_noticed_when_it_stands_there_so_many_times() {
        assert_eq!(noticed_at(&[9, 1, 2, 1, 2, 1, 2], 3), Some(7));
        assert_eq!(noticed_at(&[5, 5, 5, 5], 4), Some(4));
        assert_eq!(noticed_at(&[1, 2, 1, 2, 3, 1, 2], 3), None);
    }

    #[test]
    fn nothing_is_noticed_when_nobody_asked() {
        assert_eq!(noticed_at(&[5; 100], 0), None);
    }
}
