//! The measured client: one connection, one request, one stream of stamped events.
//!
//! Built on connections of our own instead of a pooling client, because stamps, connection phases and the absence of
//! hidden retries need the I/O object: HTTP/1.1 by [`http1`], HTTP/2 by h2 under [`http2`]. Nothing here follows a redirect,
//! resends, decompresses, or obeys a proxy from the environment.

pub mod buffer;
pub mod call;
pub mod connection;
pub mod dial;
pub mod event_stream;
mod exchange;
pub mod failure;
pub mod gate;
pub mod http1;
pub mod http2;
pub mod invoke;
pub mod io;
mod mask;
pub mod pool;
pub mod ports;
pub mod preflight;
mod records;
pub mod request;
pub mod route;
mod socket;
pub mod stamper;
pub mod stop;
pub mod target;
pub mod tls;
pub mod tunnel;

#[cfg(test)]
mod tests;

pub use dial::Dialer;
pub use event_stream::{EventStream, OwnedEvent};
pub use invoke::{Client, Seen, Slot};
pub use pool::Pool;
pub use request::{Ask, Template};
pub use route::Route;
pub use stamper::Stamper;
pub use target::{Base, Key};
