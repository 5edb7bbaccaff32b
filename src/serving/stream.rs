//! The bytes of a connection on both sides of TLS, counted and timed on their way. They are not changed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::serving::activity::{Closure, Standing};
use crate::serving::connections::Origin;
use crate::serving::frames::Frames;

/// What comes over the network: the size of the handshake, and whether the client takes what is sent.
pub(super) struct Wire {
    stream: TcpStream,
    origin: Origin,
    is_stuck: bool,
}

/// What comes out of TLS: where heads begin and end.
pub(super) struct Plain<S> {
    stream: S,
    origin: Origin,
    /// `None` for HTTP/1.1.
    frames: Option<Frames>,
}

// === impl Wire ===

impl Wire {
    pub(super) fn new(stream: TcpStream, origin: Origin) -> Self {
        Self { stream, origin, is_stuck: false }
    }

    fn written<T>(&mut self, polled: Poll<T>) -> Poll<T> {
        let is_stuck = polled.is_pending();
        if is_stuck != self.is_stuck {
            self.is_stuck = is_stuck;
            self.origin.activity().stuck(is_stuck, Instant::now());
        }
        polled
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let count = buffer.filled().len() - before;
        if count > 0 && !self.origin.shaken(count) {
            return Poll::Ready(Err(io::Error::other("the handshake is too long")));
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

// === impl Plain ===

impl<S> Plain<S> {
    pub(super) fn new(stream: S, origin: Origin, is_http2: bool) -> Self {
        let frames = is_http2.then(|| Frames::new(origin.limits(), Instant::now()));
        Self { stream, origin, frames }
    }

    /// False when the client floods. The front proxy cannot: it resets what its clients give up, and is needed by others.
    fn heard(&mut self, bytes: &[u8]) -> bool {
        let now = Instant::now();
        let mut activity = self.origin.activity();
        let Some(frames) = &mut self.frames else {
            activity.heard(bytes, now);
            return true;
        };
        let is_fine = frames.read(bytes, self.origin.limits(), now) || activity.standing == Standing::FrontProxy;
        activity.frame(frames.open_since());
        is_fine
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Plain<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before && !self.heard(&buffer.filled()[before..]) {
            self.origin.cut(Closure::Flood);
            return Poll::Ready(Err(io::Error::other("too many frames that ask nothing")));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Plain<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let (Poll::Ready(Ok(count)), Some(frames)) = (&polled, &mut self.frames) {
            frames.written(*count);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
