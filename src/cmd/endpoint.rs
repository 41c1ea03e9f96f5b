//! What a command talks to: the profile's target, or the embedded mock started for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;
use rustls::ClientConfig;
use tokio_rustls::TlsConnector;

use crate::client::preflight::preflight;
use crate::client::stop::Stopper;
use crate::client::{Base, Client, Dialer, Key, Template, tls};
use crate::clock::Clock;
use crate::mock::{Mock, Options};
use crate::profile::{Http, Place, Profile, Target};

/// A target that is ready to be asked.
#[derive(Debug)]
pub struct Endpoint {
    base: Base,
    key: Option<Key>,
    tls: Option<ClientConfig>,
    mock: Option<Mock>,
}

impl Endpoint {
    /// Finds the key and sets up TLS; starts the mock where that is the target.
    ///
    /// # Errors
    /// The key or TLS can't be had, or the mock can't listen.
    pub fn open(profile: &Profile) -> anyhow::Result<Self> {
        let Place::Url(url) = &profile.target.place else {
            let mock =
                Mock::start(&profile.mock, profile.seed, &Options::default()).context("failed to start the mock")?;
            let base = Base::parse(&format!("http://{}", mock.address())).context("failed to use the mock")?;
            return Ok(Self { base, key: None, tls: None, mock: Some(mock) });
        };
        let base = Base::parse(url).context("failed to use the target")?;
        let key = Key::load(&profile.target.key, &base, |name| std::env::var(name).ok()).context("failed to go on")?;
        let tls = base.tls.then(|| tls::config(profile.target.cacert.as_deref(), alpn(profile.target.http)));
        let tls = tls.transpose().context("failed to set up the connection")?;
        Ok(Self { base, key, tls, mock: None })
    }

    /// Asks the target once for each agent and version whether the load may start.
    ///
    /// # Errors
    /// It can't be reached or refuses.
    pub async fn preflight(&self, profile: &Profile) -> anyhow::Result<()> {
        let mut asked = BTreeSet::new();
        for variant in &profile.variants {
            let target = Target {
                agent_id: variant.agent_id.clone(),
                version: variant.version.clone(),
                ..profile.target.clone()
            };
            if asked.insert((&variant.agent_id, &variant.version)) {
                let answer =
                    preflight(&self.base, &target, self.key.as_ref(), self.tls.clone(), unmeasured_ns(profile)).await;
                answer.context("failed to start")?;
            }
        }
        Ok(())
    }

    /// Who stops the tasks that a run leaves behind; nobody, when the profile says so.
    ///
    /// # Errors
    /// The client can't be set up.
    pub fn stopper(&self, profile: &Profile) -> anyhow::Result<Option<Stopper>> {
        if !profile.target.stop_tasks {
            return Ok(None);
        }
        let (key, tls) = (self.key.clone(), self.tls.clone());
        let stopper = Stopper::new(&self.base, &profile.target, key, tls, unmeasured_ns(profile));
        Ok(Some(stopper.context("failed to start")?))
    }

    /// The measured client of a run.
    #[must_use]
    pub fn client(&self, profile: &Profile, run_id: &str, clock: Clock) -> Client {
        let body = profile.request.to_json();
        let template =
            Template::new(self.base.clone(), &profile.target, self.key.as_ref(), body, run_id, self.mock.is_some())
                .for_variants(&profile.variants);
        let tls = self.tls.clone().map(|settings| TlsConnector::from(Arc::new(settings)));
        Client::new(profile, Dialer::Tcp { base: self.base.clone(), tls }, template, clock)
    }

    /// How reports name it: the base URL, or `mock`.
    #[must_use]
    pub fn name(&self) -> String {
        if self.mock.is_some() { "mock".to_owned() } else { self.base.to_string() }
    }

    /// Whether the mock shares this process, and with it its descriptors and cores.
    #[must_use]
    pub fn is_mock(&self) -> bool {
        self.mock.is_some()
    }

    /// Ends the mock, where there is one.
    pub fn close(self) {
        if let Some(mock) = self.mock {
            let _ = mock.stop();
        }
    }
}

/// How long a call that is not measured may take, in nanoseconds.
fn unmeasured_ns(profile: &Profile) -> u64 {
    profile.limits.connect_ns.max(profile.limits.headers_ns)
}

/// What TLS offers for a choice of HTTP.
fn alpn(http: Http) -> &'static [&'static [u8]] {
    match http {
        Http::Auto => &[b"h2", b"http/1.1"],
        Http::Http1 => &[b"http/1.1"],
        Http::Http2 => &[b"h2"],
    }
}
