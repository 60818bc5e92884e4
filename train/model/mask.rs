//! Block mask: the keys that each query may see, as at most two spans of slots.
//!
//! Causal attention, padding on either side, packed documents, sliding windows, cache rows of different fill and
//! attempts behind one shared prompt are all of this form, so no mask of `queries · keys` numbers is ever made.

use std::sync::Arc;

/// Slots `from..to`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first slot.
    pub from: u32,
    /// One past the last.
    pub to: u32,
}

impl Span {
    /// Slots `from..to`; empty when `from` is not below `to`.
    pub fn new(from: usize, to: usize) -> Self {
        let slot = |at| u32::try_from(at).expect("a sequence has fewer than 2^32 tokens");
        Span {
            from: slot(from.min(to)),
            to: slot(to),
        }
    }

    /// Number of slots.
    pub fn len(self) -> usize {
        (self.to - self.from) as usize
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.from == self.to
    }

    /// The smallest span that holds both; an empty one adds nothing.
    pub fn hull(self, other: Span) -> Span {
        match (self.is_empty(), other.is_empty()) {
            (true, _) => other,
            (_, true) => self,
            _ => Span {
                from: self.from.min(other.from),
                to: self.to.max(other.to),
            },
        }
    }

    /// The same as a range of indices.
    pub fn range(self) -> std::ops::Range<usize> {
        self.from as usize..self.to as usize
    }
}

/// What one query sees. Positions rise by one from slot to slot, through `shared` and on through `own`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// A prompt that other attempts of the row see too; empty in an ordinary row.
    pub shared: Span,
    /// The rest, up to the query itself. Slots lie behind those of `shared`.
    pub own: Span,
}

impl View {
    /// One span alone.
    pub fn from_range(from: usize, to: usize) -> Self {
        View {
            shared: Span::default(),
            own: Span::new(from, to),
        }
    }

    /// The last `window` keys of the view.
    fn last(self, window: usize) -> Self {
        let spare = (self.shared.len() + self.own.len()).saturating_sub(window) as u32;
        let from_shared = spare.min(self.shared.to - self.shared.from);
        let shared = Span {
            from: self.shared.from + from_shared,
            ..self.shared
        };
        View {
            shared,
            own: Span {
                from: self.own.from + spare - from_shared,
                ..self.own
            },
        }
    }
}

/// The views of all queries of a batch; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockMask {
    views: Arc<[View]>,
    queries: usize,
}

impl BlockMask {
    /// `views` row by row, `queries` in each.
    ///
    /// # Panics
    ///
    /// When the views do not fill whole rows.
    pub fn new(views: Vec<View>, queries: usize) -> Self {
        assert!(
            queries > 0 && views.len().is_multiple_of(queries),
            "every row has {queries} queries"
        );
        BlockMask {
            views: views.into(),
            queries,
        }
    }

    /// Every token sees itself and those before it.
    pub fn causal(rows: usize, queries: usize) -> Self {
        let row = (0..queries).map(|query| View::from_range(0, query + 1));
        BlockMask::new((0..rows).flat_map(|_| row.clone()).collect(), queries)
    }

    /// The same with at most `window` keys each (Beltagy et al., arXiv 2004.05150); none is no bound.
    pub fn within(&self, window: Option<usize>) -> Self {
        match window {
            Some(window) => BlockMask {
                views: self.views.iter().map(|view| view.last(window)).collect(),
                queries: self.queries,
            },
            None => self.clone(),
        }
    }

    /// Whether every token of every row sees itself and all before it, and nothing else.
    pub fn is_causal(&self) -> bool {
        let plain =
            |(at, view): (usize, &View)| *view == View::from_range(0, at % self.queries + 1);
        self.views.iter().enumerate().all(plain)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.views.len() / self.queries
    }

    /// Number of queries in a row.
    pub fn queries(&self) -> usize {
        self.queries
    }

    /// The views of one row's queries.
    pub fn row(&self, row: usize) -> &[View] {
        &self.views[row * self.queries..][..self.queries]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_causal_query_sees_itself_and_what_came_before() {
        let block_mask = BlockMask::causal(2, 3);
        assert_eq!((block_mask.rows(), block_mask.queries()), (2, 3));
        assert_eq!(
            block_mask.row(1),
            [
                View::from_range(0, 1),
                View::from_range(0, 2),
                View::from_range(0, 3)
            ]
        );
        assert!(block_mask.is_causal() && !block_mask.within(Some(2)).is_causal());
    }

    #[test]
    fn a_window_forgets_the_shared_prompt_first() {
        let view = View {
            shared: Span::new(2, 6),
            own: Span::new(9, 12),
        };
        assert_eq!(view.last(9), view);
        assert_eq!(
            view.last(5),
            View {
                shared: Span::new(4, 6),
                own: Span::new(9, 12)
            }
        );
        assert_eq!(
            view.last(2),
            View {
                shared: Span::new(6, 6),
                own: Span::new(10, 12)
            }
        );
    }
}
