//! The talk with a container engine: every call has a deadline, and every failure says what to do.
//!
//! In: `DOCKER_HOST`, or the usual socket; Podman's socket answers as well. Out: an [`Engine`].
//! A call that hangs or is refused is an error of ours, never an outcome.

use std::collections::HashMap;
use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::{
    EventsOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, StatsOptionsBuilder,
};
use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::SandboxError;

/// For calls that only ask.
pub(super) const ASK: Duration = Duration::from_secs(10);
/// For calls that start or end something, on a machine that is busy.
pub(super) const ACT: Duration = Duration::from_secs(60);
/// Between the end of a container and the engine's word about it.
const LAG: Duration = Duration::from_millis(100);
/// Between two questions whether the engine is there again.
const KNOCK: Duration = Duration::from_millis(500);

/// What an engine says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineAbout {
    /// Its name and version.
    pub engine: String,
    /// The version of runc, where that is what starts its containers.
    pub runc: Option<String>,
}

/// A connection to a container engine.
#[derive(Clone)]
pub(super) struct Engine {
    pub api: Docker,
}

impl Engine {
    /// Connects, and agrees on a version.
    pub async fn connect() -> Result<Engine, SandboxError> {
        let place = place();
        let told = |error: Error| SandboxError::Engine {
            doing: format!("connecting to `{place}`"),
            reason: format!(
                "{error}{}",
                data::Aside(
                    "start Docker or Podman's service, or name another engine with `DOCKER_HOST`; the \
                 sandbox `embedded` needs none"
                )
            ),
        };
        let api = Docker::connect_with_host(&place).map_err(told)?;
        let answer = tokio::time::timeout(ASK, api.negotiate_version()).await;
        Ok(Engine {
            api: answer
                .unwrap_or(Err(Error::RequestTimeoutError))
                .map_err(told)?,
        })
    }

    /// Waits for the answer to a call, and no longer than `limit`.
    pub async fn call<T>(
        &self,
        doing: &str,
        limit: Duration,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, SandboxError> {
        let answer = tokio::time::timeout(limit, call).await;
        answer
            .unwrap_or(Err(Error::RequestTimeoutError))
            .map_err(|error| failed(doing, error))
    }

    /// What it is, and what starts its containers: `Docker Engine 28.2.2`, and runc with its version where that is told.
    pub async fn about(&self) -> Result<EngineAbout, SandboxError> {
        let version = self
            .call("asking for the engine's version", ASK, self.api.version())
            .await?;
        let parts = version.components.unwrap_or_default();
        let named = |name: &str| {
            parts
                .iter()
                .find(|part| part.name.to_lowercase().contains(name))
        };
        let podman = parts.iter().any(|part| part.name.starts_with("Podman"));
        let name = if podman { "Podman" } else { "Docker Engine" };
        Ok(EngineAbout {
            engine: format!("{name} {}", version.version.unwrap_or_default()),
            runc: named("runc").map(|part| part.version.clone()),
        })
    }

    /// Whether it is Podman, which takes some options in another way than Docker.
    pub async fn is_podman(&self) -> Result<bool, SandboxError> {
        let version = self
            .call("asking for the engine's version", ASK, self.api.version())
            .await?;
        let parts = version.components.unwrap_or_default();
        Ok(parts.iter().any(|part| part.name.starts_with("Podman")))
    }

    /// Gives an engine that is being restarted some time.
    pub async fn await_answer(&self, limit: Duration) {
        let knock = async {
            while self.call("knocking", ASK, self.api.ping()).await.is_err() {
                tokio::time::sleep(KNOCK).await;
            }
        };
        tokio::time::timeout(limit, knock).await.ok();
    }

    /// Kills and removes a container and its volumes. One that is gone already is no fault.
    pub async fn remove(&self, id: &str) -> Result<(), SandboxError> {
        let options = RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(true)
            .build();
        let answer = tokio::time::timeout(ACT, self.api.remove_container(id, Some(options))).await;
        match answer.unwrap_or(Err(Error::RequestTimeoutError)) {
            Ok(()) => Ok(()),
            // It went by itself, or is going.
            Err(Error::DockerResponseServerError {
                status_code: 404 | 409,
                ..
            }) => Ok(()),
            Err(error) => Err(failed("removing a container", error)),
        }
    }

    /// Whether it still knows a container.
    pub async fn holds(&self, id: &str) -> Result<bool, SandboxError> {
        let look = self
            .api
            .inspect_container(id, None::<InspectContainerOptions>);
        match tokio::time::timeout(ASK, look)
            .await
            .unwrap_or(Err(Error::RequestTimeoutError))
        {
            Ok(_) => Ok(true),
            Err(Error::DockerResponseServerError {
                status_code: 404, ..
            }) => Ok(false),
            Err(error) => Err(failed("looking for a container", error)),
        }
    }

    /// What the engine wrote down about a container, e.g. `oom`, `kill` and `die`.
    pub async fn actions(&self, id: &str) -> Result<Vec<String>, SandboxError> {
        let filters = HashMap::from([("container", vec![id]), ("type", vec!["container"])]);
        // Its log lags a little behind what it tells whoever is attached. Podman tells nothing up to a moment that is over.
        let until = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            + LAG;
        let until = format!("{}.{:09}", until.as_secs(), until.subsec_nanos());
        let options = EventsOptionsBuilder::default()
            .since("1")
            .until(&until)
            .filters(&filters)
            .build();
        let told = self.api.events(Some(options)).try_collect::<Vec<_>>();
        let told = self.call("reading the engine's log", ASK, told).await?;
        Ok(told.into_iter().filter_map(|event| event.action).collect())
    }

    /// CPU time that a container has used; none where the engine does not tell.
    pub async fn cpu_of(&self, id: &str) -> Option<Duration> {
        let options = StatsOptionsBuilder::default()
            .stream(false)
            .one_shot(true)
            .build();
        let mut all = std::pin::pin!(self.api.stats(id, Some(options)));
        let told = tokio::time::timeout(ASK, all.next()).await.ok()??.ok()?;
        told.cpu_stats?
            .cpu_usage?
            .total_usage
            .map(Duration::from_nanos)
    }

    /// All containers of ours, running or not, with their labels.
    pub async fn ours(
        &self,
        label: &str,
    ) -> Result<Vec<(String, HashMap<String, String>)>, SandboxError> {
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let found = self
            .call(
                "listing containers",
                ASK,
                self.api.list_containers(Some(options)),
            )
            .await?;
        Ok(found
            .into_iter()
            .filter_map(|one| Some((one.id?, one.labels.unwrap_or_default())))
            .collect())
    }
}

/// Where the engine listens.
pub(crate) fn place() -> String {
    if let Some(host) = std::env::var("DOCKER_HOST")
        .ok()
        .filter(|host| !host.is_empty())
    {
        return host;
    }
    let usual = "/var/run/docker.sock".to_string();
    let user = std::env::var("XDG_RUNTIME_DIR")
        .map(|folder| format!("{folder}/podman/podman.sock"))
        .ok();
    let sockets = [
        Some(usual.clone()),
        user,
        Some("/run/podman/podman.sock".to_string()),
    ];
    let found = sockets
        .into_iter()
        .flatten()
        .find(|socket| std::path::Path::new(socket).exists());
    format!("unix://{}", found.unwrap_or(usual))
}

pub(super) fn failed(doing: &str, error: Error) -> SandboxError {
    let reason = match error {
        Error::RequestTimeoutError => "it did not answer in time".to_string(),
        Error::DockerResponseServerError { message, .. } => message,
        other => other.to_string(),
    };
    SandboxError::Engine {
        doing: doing.to_string(),
        reason,
    }
}
