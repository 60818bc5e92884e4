//! What is known of one request when it ends: counts and times for Prometheus, and a line for the log.
//!
//! It is told when it is dropped, so that a client that leaves is told, too.

use std::sync::Arc;
use std::time::Instant;

use super::Server;

/// The status of a request whose client left before the end, as nginx writes it.
pub const CLIENT_LEFT: u16 = 499;

/// A request that is being answered.
pub struct Record {
    server: Arc<Server>,
    path: &'static str,
    begun: Instant,
    /// When each choice told its last token.
    last: Vec<Option<Instant>>,
    first: Option<Instant>,
    prompt_tokens: usize,
    tokens: usize,
    status: u16,
}

impl Record {
    /// Begins with the request.
    pub fn new(server: &Arc<Server>, path: &'static str) -> Self {
        Record {
            server: server.clone(),
            path,
            begun: Instant::now(),
            last: Vec::new(),
            first: None,
            prompt_tokens: 0,
            tokens: 0,
            status: CLIENT_LEFT,
        }
    }

    /// Counts the tokens of a prompt.
    pub fn prompt(&mut self, tokens: usize) {
        self.prompt_tokens += tokens;
        self.server.numbers.prompt(tokens);
    }

    /// So many answers are written.
    pub fn choices(&mut self, choices: usize) {
        self.last = vec![None; choices];
    }

    /// A token of an answer came.
    pub fn token(&mut self, choice: usize) {
        let now = Instant::now();
        self.tokens += 1;
        self.first.get_or_insert(now);
        match self.last[choice].replace(now) {
            None => self.server.numbers.first_token(now - self.begun),
            Some(before) => self.server.numbers.next_token(now - before),
        }
    }

    /// Tokens that came.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// It ends with this status.
    pub fn end(&mut self, status: u16) {
        self.status = status;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let took = self.begun.elapsed();
        self.server.numbers.request(self.status);
        if self.status == 200 {
            self.server.numbers.whole(took);
        }
        if self.server.log_requests {
            let first = self
                .first
                .map(|first| format!(", first after {:.3} s", (first - self.begun).as_secs_f64()));
            eprintln!(
                "POST {} {}: {} tokens asked, {} answered, {:.3} s{}",
                self.path,
                self.status,
                self.prompt_tokens,
                self.tokens,
                took.as_secs_f64(),
                first.unwrap_or_default()
            );
        }
    }
}
