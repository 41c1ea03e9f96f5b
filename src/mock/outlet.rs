//! Where a stream goes: what a performance needs of HTTP/1.1, of HTTP/2, and of nobody.

use std::future::Future;
use std::io;

use http::Response;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// The other end of a stream.
pub(super) trait Outlet {
    /// Whether the kernel has the bytes once a write has ended; else somebody writes them later.
    const WRITES_AT_ONCE: bool;

    /// Begins the answer; its bytes may go with the first ones of the body.
    fn head(&mut self, head: Response<()>);
    /// Writes a piece of the body in one write, together with what is still held back; also when it is empty.
    fn write(&mut self, piece: &[u8]) -> impl Future<Output = io::Result<()>>;
    /// Writes the last piece of the body and ends it, as the protocol ends it.
    fn end(&mut self, piece: &[u8]) -> impl Future<Output = io::Result<()>>;
    /// Breaks the protocol's own framing.
    fn garble(&mut self) -> impl Future<Output = io::Result<()>>;
    /// Breaks the connection or the stream off.
    fn reset(&mut self);
    /// Waits until nobody listens any more.
    fn hung_up(&mut self) -> impl Future<Output = ()>;
}

/// Nobody listens: for invocations that are asked for by their task.
#[derive(Debug)]
pub(super) struct Nobody;

impl Outlet for Nobody {
    const WRITES_AT_ONCE: bool = false;

    fn head(&mut self, _head: Response<()>) {}

    async fn write(&mut self, _piece: &[u8]) -> io::Result<()> {
        Ok(())
    }

    async fn end(&mut self, _piece: &[u8]) -> io::Result<()> {
        Ok(())
    }

    async fn garble(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn reset(&mut self) {}

    async fn hung_up(&mut self) {
        std::future::pending::<()>().await;
    }
}

/// A connection of bytes that can be broken off.
pub(super) trait Link: AsyncRead + AsyncWrite + Unpin + 'static {
    /// Makes closing it a reset, where the transport has one.
    fn make_reset(&self);
}

impl Link for TcpStream {
    fn make_reset(&self) {
        // On a connection that is gone already there is nothing to break off.
        let _ = self.set_zero_linger();
    }
}

impl Link for TlsStream<TcpStream> {
    fn make_reset(&self) {
        self.get_ref().0.make_reset();
    }
}

impl Link for DuplexStream {
    fn make_reset(&self) {}
}
