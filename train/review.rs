//! A person looks at what the model could not repair: `train review`.
//!
//! In: a queue of tasks with a model's patch. Out: a local page with the original, the model's patch and the person's fix
//! beside each other; the fix runs against the tests before it can be stored; verdicts become training data.
//! Example: `train review --queue work/queue --run work/repair` prints the address of the page, and
//! `train review export --queue work/queue --out work/corrections` writes what `train distill` and `train sft` take.
//!
//! What a model wrote is hostile: it reaches the page as text and nothing else, under a policy that runs no inline script.

use std::fs::File;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use rollout::http::{HttpServer, Limits};

use crate::run::interrupt::Interrupt;
use crate::tasks::TestEnv;

mod agreement;
mod diff;
pub mod export;
mod guard;
pub mod items;
mod judge;
mod server;
pub mod store;
mod view;

use guard::Guard;
use judge::Judge;
use server::Server;
use store::Store;

/// How long requests may take that are being answered when the server is told to stop.
const PATIENCE: Duration = Duration::from_secs(2);

/// A review that listens.
pub struct Review {
    http: HttpServer,
    token: String,
}

impl Review {
    /// Listens on `address`, with the queue behind it.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on, or the system gives no random bytes.
    pub fn start(
        store: Store,
        test_env: TestEnv,
        reviewer: String,
        address: SocketAddr,
    ) -> Result<Self> {
        let token = random_token()?;
        let store = Arc::new(store);
        let judge = Arc::new(Judge::new(test_env, store.clone()));
        let server = Arc::new(Server {
            store,
            judge,
            reviewer,
        });
        let refused = |error: std::io::Error| {
            anyhow!(
                "cannot listen on `{address}`: {error}{}",
                data::Hint(
                    "another program, maybe another review, is there; choose another port with `--port`, or 0 for any that is free"
                )
            )
        };
        // The names under which it is asked hold the port, which is known once somebody listens.
        let listener = TcpListener::bind(address).map_err(refused)?;
        let guard = Guard::new(token.clone(), listener.local_addr()?);
        let router = server::router(server, guard);
        let http = HttpServer::from_listener(listener, router, Limits::default())
            .context("while starting the server")?;
        Ok(Review { http, token })
    }

    /// What a person opens: the address with its token.
    pub fn url(&self) -> String {
        format!("http://{}/?token={}", self.http.address(), self.token)
    }

    /// Answers until a signal comes.
    pub fn run(self, interrupt: &Interrupt) {
        while !interrupt.asked() {
            interrupt.wait(Duration::from_secs(3600));
        }
        self.http.shut_down(PATIENCE);
    }
}

/// 128 bits of the system's randomness.
fn random_token() -> Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("while drawing a token")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
