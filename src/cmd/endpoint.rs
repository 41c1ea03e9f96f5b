//! What a command talks to: the profile's target, or the embedded mock started for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;
use tokio_rustls::TlsConnector;

use crate::client::call::Caller;
use crate::client::gate::Pause;
use crate::client::preflight::{self, preflight};
use crate::client::stop::Stopper;
use crate::client::{Base, Client, Dialer, Key, Route, Template, route, tls};
use crate::clock::Clock;
use crate::mock::{Mock, Options};
use crate::profile::{Http, Place, Profile};
use crate::runfile::network::Network;

/// A target that is ready to be asked.
#[derive(Debug)]
pub struct Endpoint {
    base: Base,
    key: Option<Key>,
    dialer: Dialer,
    route: Arc<Route>,
    mock: Option<Mock>,
}

impl Endpoint {
    /// Finds the key, sets up TLS, and settles the way for so many connections at a time; starts the mock where that is
    /// the target.
    ///
    /// # Errors
    /// The key, TLS or the way can't be had, or the mock can't listen.
    pub async fn open(profile: &Profile, connections: u64) -> anyhow::Result<Self> {
        let (target, mut mock) = (&profile.target, None);
        let base = match &target.place {
            Place::Mock => {
                let started = Mock::start(&profile.mock, profile.seed, &Options::default());
                let started = mock.insert(started.context("failed to start the mock")?);
                Base::parse(&format!("http://{}", started.address())).context("failed to use the mock")?
            }
            Place::Url(url) => Base::parse(url).context("failed to use the target")?,
        };
        let variable = |name: &str| std::env::var_os(name);
        let key = if mock.is_some() {
            None
        } else {
            Key::load(&target.key, &base, target.is_here(), variable).context("failed to go on")?
        };
        let tls = base.tls.then(|| tls::config(target.cacert.as_deref(), alpn(target.http)));
        let tls = tls.transpose().context("failed to set up the connection")?;
        let tls = tls.map(|settings| TlsConnector::from(Arc::new(settings)));
        let route = Route::settle(&base, target, connections, Clock::start()).await;
        let route = Arc::new(route.map_err(unreachable).context("failed to start")?);
        let dialer = Dialer::Tcp { base: base.clone(), route: Arc::clone(&route), tls };
        Ok(Self { base, key, dialer, route, mock })
    }

    /// Asks the target once for each agent and version whether the load may start; gives the pauses that it asks for.
    /// HTTP/2 needs a `LocalSet`.
    ///
    /// # Errors
    /// It can't be reached or refuses.
    pub async fn preflight(&self, profile: &Profile) -> anyhow::Result<Vec<Pause>> {
        let mut line = self.caller(profile).line();
        let (mut asked, mut pauses) = (BTreeSet::new(), Vec::new());
        for variant in &profile.variants {
            if asked.insert((&variant.agent_id, &variant.version)) {
                let answer = preflight(&mut line, &self.base, &variant.agent_id, variant.version.as_deref()).await;
                pauses.extend(answer.context("failed to start")?);
            }
        }
        Ok(pauses)
    }

    /// Who stops the tasks that a run leaves behind; nobody, when the profile says so.
    #[must_use]
    pub fn stopper(&self, profile: &Profile) -> Option<Stopper> {
        profile.target.stop_tasks.then(|| Stopper::new(self.caller(profile)))
    }

    /// The measured client of a run.
    #[must_use]
    pub fn client(&self, profile: &Profile, run_id: &str, clock: Clock) -> Client {
        let template = self.template(profile, run_id).for_variants(&profile.variants);
        Client::new(profile, self.dialer.clone(), template, clock)
    }

    fn template(&self, profile: &Profile, run_id: &str) -> Template {
        let (body, to_mock) = (profile.request.to_json(), self.mock.is_some());
        Template::new(self.base.clone(), &profile.target, self.key.as_ref(), body, run_id, to_mock)
    }

    /// Who makes the calls that are not measured.
    fn caller(&self, profile: &Profile) -> Caller {
        let timeout_ns = profile.limits.connect_ns.max(profile.limits.headers_ns);
        Caller::new(self.template(profile, ""), self.dialer.clone(), profile.target.http, timeout_ns)
    }

    /// The way to it.
    #[must_use]
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// How reports name it: the base URL, or `mock`.
    #[must_use]
    pub fn name(&self) -> String {
        if self.mock.is_some() { "mock".to_owned() } else { self.base.to_string() }
    }

    /// How the run's manifest tells the way to it.
    #[must_use]
    pub fn network(&self) -> Network {
        Network {
            addresses: self.route.addresses().iter().map(ToString::to_string).collect(),
            lookup_ns: self.route.lookup_ns(),
            sources: self.route.sources().iter().map(ToString::to_string).collect(),
            proxy: self.route.proxy().map(ToString::to_string),
        }
    }

    /// Ends the mock, where there is one.
    pub fn close(self) {
        if let Some(mock) = self.mock {
            let _ = mock.stop();
        }
    }
}

/// A name without an address is a target that can't be reached; the rest is the profile's business.
fn unreachable(error: route::Error) -> anyhow::Error {
    match error {
        route::Error::Lookup { .. } => preflight::Error::NoWay(error).into(),
        other => other.into(),
    }
}

/// What TLS offers for a choice of HTTP.
fn alpn(http: Http) -> &'static [&'static [u8]] {
    match http {
        Http::Auto => &[b"h2", b"http/1.1"],
        Http::Http1 => &[b"http/1.1"],
        Http::Http2 => &[b"h2"],
    }
}
