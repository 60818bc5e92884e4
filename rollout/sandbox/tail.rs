//! What code under test printed, bounded.
//!
//! In: bytes, as many as it likes. Out: the last of them as text, and how many went before.

/// The last bytes of a stream, and how many went before.
pub(super) struct Tail {
    keep: usize,
    bytes: Vec<u8>,
    dropped: usize,
}

impl Tail {
    pub fn new(keep: usize) -> Tail {
        Tail {
            keep,
            bytes: Vec::new(),
            dropped: 0,
        }
    }

    pub fn take(&mut self, bytes: &[u8]) {
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
