//! A body that goes out piece by piece, in the chunks of HTTP/1.1.
//!
//! The HTTP crate gathers a body until it has 8 KiB; a token must go out when it is there. So its head is written by the
//! crate's writer and the pieces here. A piece that cannot be written says that the client has left.

use std::io::{Result, Write};

/// Where the pieces go.
pub struct Outlet {
    to: Box<dyn Write + Send>,
}

impl Outlet {
    /// Begins an answer with status 200.
    ///
    /// # Errors
    ///
    /// When the client has left.
    pub fn begin(mut to: Box<dyn Write + Send>, content_type: &str) -> Result<Self> {
        write!(
            to,
            "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
        )?;
        to.flush()?;
        Ok(Outlet { to })
    }

    /// Sends a piece.
    ///
    /// # Errors
    ///
    /// When the client has left.
    pub fn send(&mut self, piece: &str) -> Result<()> {
        // An empty chunk would end the body.
        if piece.is_empty() {
            return Ok(());
        }
        write!(self.to, "{:x}\r\n{piece}\r\n", piece.len())?;
        self.to.flush()
    }

    /// Sends an event of a stream.
    ///
    /// # Errors
    ///
    /// When the client has left.
    pub fn event(&mut self, data: &str) -> Result<()> {
        self.send(&format!("data: {data}\n\n"))
    }

    /// Ends the body.
    ///
    /// # Errors
    ///
    /// When the client has left.
    pub fn end(mut self) -> Result<()> {
        write!(self.to, "0\r\n\r\n")?;
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            self.0.lock().expect("one thread").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn pieces_go_out_as_chunks_and_an_empty_one_ends_nothing() {
        let sink = Sink::default();
        let mut outlet = Outlet::begin(Box::new(sink.clone()), "text/event-stream").expect("begins");
        outlet.event("é").expect("writes");
        outlet.send("").expect("writes");
        outlet.end().expect("ends");
        let text = String::from_utf8(sink.0.lock().expect("one thread").clone()).expect("text");
        let body = text.split_once("\r\n\r\n").expect("a head").1;
        assert_eq!(body, "a\r\ndata: é\n\n\r\n0\r\n\r\n");
    }
}
