//! Which sequences share a row: best fit, longest first.
//!
//! In: lengths and the capacity of a row. Out: rows of indices. Nothing is cut and nothing is left out; the same
//! lengths always give the same rows.
//! Example: lengths `[5, 3, 4, 2]` and a capacity of 8 give `[0, 1]` (8 of 8) and `[2, 3]` (6 of 8).

use std::collections::BTreeSet;

/// Rows of indices into `lengths`, at most `capacity` in all each. What is longer than that has a row of its own.
///
/// Each length, from the longest, goes into the fullest row that still has room (best-fit decreasing, which needs at
/// most 11/9 of the fewest rows possible, plus one). Rows and the indices in them are in the order in which they were
/// opened and filled.
///
/// ```
/// assert_eq!(data::pack::pack(&[3, 7, 5, 2], 10), [vec![1, 0], vec![2, 3]]);
/// ```
pub fn pack(lengths: &[usize], capacity: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    // A stable sort: equal lengths stay in their order.
    order.sort_by_key(|&at| std::cmp::Reverse(lengths[at]));
    let mut rows: Vec<Vec<usize>> = Vec::new();
    // Room that is left, and the row that has it.
    let mut room: BTreeSet<(usize, usize)> = BTreeSet::new();
    for at in order {
        let length = lengths[at];
        let found = room.range((length, 0)..).next().copied();
        let (left, row) = match found {
            Some(entry) => {
                room.remove(&entry);
                entry
            }
            None => {
                rows.push(Vec::new());
                (capacity.max(length), rows.len() - 1)
            }
        };
        rows[row].push(at);
        room.insert((left - length, row));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw;

    #[test]
    fn the_longest_come_first_and_the_fullest_row_that_has_room_takes_them() {
        assert_eq!(pack(&[5, 3, 4, 2], 8), [vec![0, 1], vec![2, 3]]);
        assert_eq!(pack(&[6, 5, 2, 3], 8), [vec![0, 2], vec![1, 3]]);
    }

    #[test]
    fn every_index_has_one_place_and_no_row_is_too_full() {
        let lengths: Vec<usize> = (0..1000).map(|at| 1 + draw::below(7, at, 600)).collect();
        let rows = pack(&lengths, 512);
        let mut seen: Vec<usize> = rows.concat();
        seen.sort_unstable();
        assert_eq!(seen, (0..1000).collect::<Vec<_>>());
        for row in &rows {
            let filled: usize = row.iter().map(|&at| lengths[at]).sum();
            assert!(filled <= 512 || row.len() == 1, "{filled} in {row:?}");
        }
    }

    #[test]
    fn short_sequences_fill_rows_to_the_brim() {
        let lengths: Vec<usize> = (0..1000).map(|at| 20 + draw::below(3, at, 200)).collect();
        let filled: usize = lengths.iter().sum();
        let rows = pack(&lengths, 512).len();
        assert!(
            filled as f64 / (rows * 512) as f64 > 0.97,
            "{rows} rows for {filled} tokens"
        );
    }
}
