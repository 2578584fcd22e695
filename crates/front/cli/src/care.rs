//! What the commands that take care of data ask of a running cloud.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body_util::BodyExt;
use lambent_base::text::hex;
use lambent_base::{Clock, Random};

use crate::CliError;
use crate::client::{Client, Request};
use crate::cloud::Cloud;

/// Gives a dump of all rows.
pub const EXPORT_PATH: &str = "/_lambent/export";
/// Sets, renews and removes pins.
pub const PIN_PATH: &str = "/_lambent/pin";
/// How long a running cloud may be silent in the middle of a dump.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// A cloud that runs in a data directory, asked as its root.
pub struct Running {
    client: Client,
}

/// A pin on the blobs of a running cloud; it falls by itself unless it is set again and again.
#[derive(Clone)]
pub struct RunningPin {
    cloud: Cloud,
    path: String,
}

impl Running {
    /// Errors: `NoCloud`.
    pub fn find(data: &Path) -> Result<Self, CliError> {
        Ok(Self { client: Client::new(Cloud::find(data)?, Clock::system()) })
    }

    /// Writes a dump of all rows to a file; `progress` is told of its bytes so far.
    pub async fn export(
        &self,
        to: &mut File,
        path: &Path,
        mut progress: impl FnMut(u64),
    ) -> Result<(), CliError> {
        let request = Request::new("export", "lambent", Method::GET, EXPORT_PATH);
        let endpoint = &self.client.cloud().endpoint;
        let mut body = self.client.open(&request).await?;
        let mut written = 0;
        loop {
            let next = tokio::time::timeout(SILENCE_MAX, body.frame()).await;
            let silent = |_| CliError::Silent { endpoint: endpoint.clone(), seconds: SILENCE_MAX.as_secs() };
            let Some(frame) = next.map_err(silent)? else { return Ok(()) };
            let frame = frame.map_err(|source| CliError::Http { endpoint: endpoint.clone(), source })?;
            let piece: Bytes = frame.into_data().unwrap_or_default();
            to.write_all(&piece).map_err(CliError::disk("write", path))?;
            written += piece.len() as u64;
            progress(written);
        }
    }

    /// A pin that is not set yet.
    pub fn pin(&self) -> RunningPin {
        let path = format!("{PIN_PATH}?id={}", hex(&Random::system().bytes::<16>()));
        RunningPin { cloud: self.client.cloud().clone(), path }
    }
}

impl RunningPin {
    /// Keeps every blob where it is, for a while from now.
    pub async fn set(&self) -> Result<(), CliError> {
        ask(&self.cloud, &self.path).await
    }

    /// Lets go now, rather than when it falls by itself.
    pub async fn let_go(self) -> Result<(), CliError> {
        ask(&self.cloud, &format!("{}&remove", self.path)).await
    }
}

async fn ask(cloud: &Cloud, path: &str) -> Result<(), CliError> {
    let client = Client::new(cloud.clone(), Clock::system());
    client.expect(&Request::new("pin", "lambent", Method::GET, path)).await.map(drop)
}
