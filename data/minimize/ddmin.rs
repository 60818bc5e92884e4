//! ddmin over a list of units.
//!
//! In: units and a test that passes for all of them. Out: units for which it passes still, while it fails for these
//! without any one of them. Example: `[1, 2, 3, 4, 5]` where 4 is needed gives `[4]` after four tests.

use super::search::Stop;

/// Some parts that stay or go together.
pub(super) type Unit = Vec<usize>;

/// Whether these units pass together.
pub(super) type Test<'a> = dyn FnMut(&[Unit]) -> Result<bool, Stop> + 'a;

/// Makes a list of units smaller; the last test of every unit alone left out says that none more can go.
pub(super) fn ddmin(mut units: Vec<Unit>, test: &mut Test) -> Result<Vec<Unit>, Stop> {
    let mut pieces = 2;
    while units.len() > 1 {
        let count = pieces.min(units.len());
        let cuts = cuts(&units, count);
        let piece = |at: usize| cuts[at]..cuts[at + 1];
        let mut smaller = None;
        for at in 0..count {
            let subset = units[piece(at)].to_vec();
            if test(&subset)? {
                smaller = Some((subset, 2));
                break;
            }
        }
        // Of two pieces, the one is what the other leaves.
        for at in (0..count).take_while(|_| count > 2) {
            if smaller.is_some() {
                break;
            }
            let rest = [&units[..cuts[at]], &units[cuts[at + 1]..]].concat();
            if test(&rest)? {
                smaller = Some((rest, (count - 1).max(2)));
            }
        }
        match smaller {
            Some((found, next)) => (units, pieces) = (found, next),
            None if count < units.len() => pieces = 2 * count,
            None => break,
        }
    }
    Ok(units)
}

/// Where a list is cut into `count` pieces that weigh about the same; none of them is empty.
fn cuts(units: &[Unit], count: usize) -> Vec<usize> {
    let total: usize = units.iter().map(Vec::len).sum();
    let (mut cuts, mut weight, mut at) = (vec![0], 0, 0);
    for piece in 1..count {
        let least = at + 1;
        let most = units.len() - (count - piece);
        while at < most && (at < least || weight * count < total * piece) {
            weight += units[at].len();
            at += 1;
        }
        cuts.push(at);
    }
    cuts.push(units.len());
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_weigh_about_the_same_and_none_is_empty() {
        let units = |weights: &[usize]| {
            weights
                .iter()
                .map(|weight| vec![0; *weight])
                .collect::<Vec<_>>()
        };
        assert_eq!(cuts(&units(&[1, 1, 1, 1]), 2), [0, 2, 4]);
        assert_eq!(cuts(&units(&[9, 1, 1, 1]), 2), [0, 1, 4]);
        assert_eq!(cuts(&units(&[1, 1, 1, 9]), 2), [0, 3, 4]);
        assert_eq!(cuts(&units(&[9, 1, 1]), 3), [0, 1, 2, 3]);
        assert_eq!(cuts(&units(&[1, 1, 9]), 3), [0, 1, 2, 3]);
    }

    #[test]
    fn what_is_left_is_needed_unit_by_unit() {
        for needed in [vec![3], vec![0, 7], vec![1, 4, 6], (0..8).collect()] {
            let units: Vec<Unit> = (0..8).map(|at| vec![at]).collect();
            let mut test =
                |units: &[Unit]| Ok(needed.iter().all(|one| units.contains(&vec![*one])));
            let left: Vec<usize> = ddmin(units, &mut test).expect("no budget").concat();
            assert_eq!(left, needed);
        }
    }
}
