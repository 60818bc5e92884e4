//! What code under test printed, bounded.
//!
//! In: bytes, as many as it likes. Out: the last of them as text, and how many went before.

/// The last bytes of a stream, and how many went before.
pub(super) struct Tail {
    keep: usize,
    bytes: Vec<u8>,
    dropped: usize,
    head_keep: usize,
    head: Vec<u8>,
}

impl Tail {
    pub fn new(keep: usize) -> Tail {
        Tail {
            keep,
            bytes: Vec::new(),
            dropped: 0,
            head_keep: 0,
            head: Vec::new(),
        }
    }

    /// Keeps the first bytes as well.
    pub fn with_head(head_keep: usize, keep: usize) -> Tail {
        Tail {
            head_keep,
            ..Tail::new(keep)
        }
    }

    pub fn take(&mut self, bytes: &[u8]) {
        let (head, bytes) = bytes.split_at(bytes.len().min(self.head_keep - self.head.len()));
        self.head.extend_from_slice(head);
        self.bytes.extend_from_slice(bytes);
        // Cutting at twice the size keeps the work per byte constant.
        if self.bytes.len() > 2 * self.keep {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let extra = self.bytes.len().saturating_sub(self.keep);
        self.bytes.drain(..extra);
        self.dropped += extra;
    }

    /// The first bytes, how many were dropped behind them, and the last ones.
    pub fn parts(mut self) -> (Vec<u8>, usize, Vec<u8>) {
        self.cut();
        (self.head, self.dropped, self.bytes)
    }

    pub fn text(&mut self) -> String {
        self.cut();
        let text = String::from_utf8_lossy(&self.bytes);
        if self.dropped == 0 {
            text.into_owned()
        } else {
            format!("[{} bytes before]\n{text}", self.dropped)
        }
    }
}
