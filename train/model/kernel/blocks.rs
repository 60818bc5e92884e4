//! Queries in blocks, and the keys that a block looks at.

use std::ops::Range;

use crate::mask::{Span, View};

/// Queries that are computed together, and the keys that any of them sees; the two spans of keys do not touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) queries: Range<usize>,
    pub(super) shared: Span,
    pub(super) own: Span,
}

/// Scores of one block: 1 MB of them stay in the cache of a core.
const SCORES: usize = 1 << 18;

impl Block {
    /// Number of keys.
    pub(super) fn columns(&self) -> usize {
        self.shared.len() + self.own.len()
    }

    /// The columns of the block's scores that a query sees.
    pub(super) fn seen(&self, view: &View) -> [Range<usize>; 2] {
        let base = if self.shared.is_empty() {
            self.own.from
        } else {
            self.shared.from
        };
        let of = |span: Span, base: u32, first: usize, empty: usize| match span.is_empty() {
            true => empty..empty,
            false => first + (span.from - base) as usize..first + (span.to - base) as usize,
        };
        let shared = of(view.shared, base, 0, 0);
        [
            shared,
            of(view.own, self.own.from, self.shared.len(), self.columns()),
        ]
    }
}

/// The queries of one row in blocks. Fewer stand in a block where there are many keys.
pub(super) fn blocks(views: &[View], keys: usize) -> Vec<Block> {
    let size = (SCORES / keys.max(1)).clamp(8, 64);
    let all = |span: fn(&View) -> Span, of: &[View]| {
        of.iter().map(span).fold(Span::default(), Span::hull)
    };
    views
        .chunks(size)
        .enumerate()
        .map(|(index, part)| {
            let (shared, own) = (all(|view| view.shared, part), all(|view| view.own, part));
            let queries = index * size..index * size + part.len();
            match !shared.is_empty() && shared.to < own.from {
                true => Block {
                    queries,
                    shared,
                    own,
                },
                false => Block {
                    queries,
                    shared: Span::default(),
                    own: shared.hull(own),
                },
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_behind_a_prompt_do_not_look_at_each_other() {
        let view = |from, to| View {
            shared: Span::new(0, 100),
            own: Span::new(from, to),
        };
        let views: Vec<View> = (400..464).map(|query| view(400, query + 1)).collect();
        let found = blocks(&views, 1000);
        assert_eq!(
            found,
            [Block {
                queries: 0..64,
                shared: Span::new(0, 100),
                own: Span::new(400, 464)
            }]
        );
        assert_eq!(found[0].columns(), 164);
        assert_eq!(found[0].seen(&views[2]), [0..100, 100..103]);
    }

    #[test]
    fn spans_that_touch_are_one() {
        let views = [View {
            shared: Span::new(3, 7),
            own: Span::new(7, 9),
        }];
        let found = blocks(&views, 9);
        assert_eq!(
            found,
            [Block {
                queries: 0..1,
                shared: Span::default(),
                own: Span::new(3, 9)
            }]
        );
        assert_eq!(found[0].seen(&views[0]), [0..4, 4..6]);
    }

    #[test]
    fn a_query_that_sees_nothing_has_no_columns() {
        let found = blocks(&[View::from_range(5, 5)], 9);
        assert_eq!(found[0].columns(), 0);
        assert_eq!(found[0].seen(&View::from_range(5, 5)), [0..0, 0..0]);
    }
}
