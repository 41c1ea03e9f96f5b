//! The HTTP request of an invocation, made from the run's template.

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request};
use serde_json::{Value, json};

use super::connection::Version;
use super::target::{Base, Key};
use crate::agent::PLAN_INDEX_HEADER;
use crate::profile::{Target, Variant};

/// How plimsoll names itself.
pub const USER_AGENT: &str = concat!("plimsoll/", env!("CARGO_PKG_VERSION"));

/// What one invocation asks, and how its answer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask<'a> {
    /// Which of the template's variants.
    pub variant_at: usize,
    /// The prompt.
    pub prompt: &'a str,
    /// How fast the body is read, in bytes a second; as fast as it comes when absent.
    pub read_bytes_per_s: Option<u64>,
}

impl<'a> From<&'a str> for Ask<'a> {
    /// A prompt to the first variant, whose answer is read as it comes.
    fn from(prompt: &'a str) -> Self {
        Self { variant_at: 0, prompt, read_bytes_per_s: None }
    }
}

/// What all requests of a run have in common.
#[derive(Debug, Clone)]
pub struct Template {
    base: Base,
    headers: HeaderMap,
    /// Path and body of each variant; at least one.
    variants: Vec<(String, Value)>,
    tag: Option<String>,
    to_mock: bool,
}

impl Template {
    /// The requests of a run: to `base`, with the profile's headers and `body`.
    ///
    /// `tag` is the run's id, put into `payload_extension` when the profile asks for it; `to_mock` says that the
    /// target is a mock, which is told the plan index.
    #[must_use]
    pub fn new(base: Base, target: &Target, key: Option<&Key>, body: Value, run_id: &str, to_mock: bool) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, header_value(&base.authority()));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        for (name, value) in &target.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("the profile checked the header's name");
            headers.append(name, header_value(value));
        }
        if let Some(key) = key {
            headers.insert(HeaderName::from_static("x-api-key"), key.header());
        }
        let path = base.stream_path(&target.agent_id, target.version.as_deref());
        let tag = target.tag.then(|| run_id.to_owned());
        Self { base, headers, variants: vec![(path, body)], tag, to_mock }
    }

    /// The same, but each of these variants with its own agent, version and body.
    #[must_use]
    pub fn for_variants(mut self, variants: &[Variant]) -> Self {
        let one = |variant: &Variant| {
            let path = self.base.stream_path(&variant.agent_id, variant.version.as_deref());
            (path, variant.request.to_json())
        };
        self.variants = variants.iter().map(one).collect();
        self
    }

    /// The headers that all requests have.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The request of one invocation.
    #[must_use]
    pub fn request(&self, version: Version, plan_index: u64, ask: Ask<'_>, task_id: Option<&str>) -> Request<Bytes> {
        let path = &self.variants[ask.variant_at].0;
        let body = serde_json::to_vec(&self.body(plan_index, ask, task_id));
        let mut request = self.post(version, path, Bytes::from(body.expect("a JSON value has a text")));
        if self.to_mock {
            request.headers_mut().insert(HeaderName::from_static(PLAN_INDEX_HEADER), HeaderValue::from(plan_index));
        }
        request
    }

    /// A request to any path of the target.
    pub(super) fn post(&self, version: Version, path: &str, body: Bytes) -> Request<Bytes> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        let uri = match version {
            Version::Http1 => path.to_owned(),
            Version::Http2 => {
                let scheme = if self.base.tls { "https" } else { "http" };
                format!("{scheme}://{}{path}", self.base.authority())
            }
        };
        *request.uri_mut() = uri.parse().expect("the base URL and the agent id were checked");
        *request.headers_mut() = self.headers.clone();
        if version == Version::Http2 {
            request.headers_mut().remove(header::HOST);
        }
        request
    }

    /// Where requests go.
    pub(super) fn base(&self) -> &Base {
        &self.base
    }

    fn body(&self, plan_index: u64, ask: Ask<'_>, task_id: Option<&str>) -> Value {
        let mut body = self.variants[ask.variant_at].1.clone();
        body["input"]["text"] = Value::from(ask.prompt);
        if let Some(id) = task_id {
            body["id"] = Value::from(id);
        }
        if let Some(run_id) = &self.tag {
            body["payload_extension"]["plimsoll"] = json!({"run_id": run_id, "plan_index": plan_index});
        }
        body
    }
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("the profile checked the header's value")
}
