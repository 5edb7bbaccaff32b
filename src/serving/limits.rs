//! What a client may take of the port before it is refused or cut off. Tests pass shorter times.

use std::time::Duration;

/// Bounds on connections and on what is sent over them.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at a time. The kube-apiservers need a handful. With what [`Limits::head_bytes`] lets each hold, the
    /// memory stays below 170 MB whatever strangers send.
    pub connections: usize,
    /// Connections at a time of one address that were never authenticated. Sixteen such addresses fill the port.
    pub connections_per_address: usize,
    /// Handshakes per second of one address, and at once after a pause: one takes some 300 µs of a core.
    /// A kubelet opens one per probe, a kube-apiserver five per API version and check.
    pub new_per_second: u32,
    pub new_at_once: u32,
    /// Failed authentications of an address, in 60 s: some come of a token that has expired. A token costs a request to the
    /// kube-apiserver, and a certificate as much as an answer.
    pub failures_per_minute: u32,
    /// Time to the first byte of a handshake.
    pub first_byte: Duration,
    /// Time for a whole handshake.
    pub handshake: Duration,
    /// Bytes of a handshake: a chain of ten certificates has 20 KB.
    pub handshake_bytes: usize,
    /// Time from the handshake to the first request.
    pub first_request: Duration,
    /// Time from the first byte of a head (of a frame, a header block) to its last.
    pub head: Duration,
    /// Time from the head of a request to the end of its answer: the kube-apiserver gives up then too.
    pub request: Duration,
    /// Time in which a client takes nothing of what is sent to it.
    pub write: Duration,
    /// Time between two requests of a stranger. Autoscalers and Prometheus come back every 15 s.
    pub idle: Duration,
    /// The same for who was authenticated: longer than the 90 s after which Go's client closes by itself, so that it is
    /// never this side that closes while a request is on its way.
    pub idle_known: Duration,
    /// Time that a client which was asked to leave has for that.
    pub leave: Duration,
    /// Bytes of a head: a user with 500 groups has 40 KB of them.
    pub head_bytes: u32,
    /// Headers of a request: each group is one.
    pub headers: usize,
    /// Bytes of path and query: a selector may name many objects.
    pub uri_bytes: usize,
    /// Bytes of a body that are said beforehand. None is read, whatever its length.
    pub body_bytes: u64,
    /// Requests at a time on a connection; Kubernetes' own servers have the same.
    pub streams: u32,
    /// Requests over one connection that are of nobody who is known, or refused for their number; the connection ends
    /// after them, and opening the next one is what is limited. Probes of the kubelet have a connection each.
    pub unanswered: u32,
    /// Frames of HTTP/2 which ask nothing (pings, settings, resets) that a connection may send at once, and per second.
    pub frames_at_once: u32,
    pub frames_per_second: u32,
    /// How often it is looked for connections whose time is over.
    pub sweep: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 2_048,
            connections_per_address: 128,
            new_per_second: 20,
            new_at_once: 100,
            failures_per_minute: 50,
            first_byte: Duration::from_secs(5),
            handshake: Duration::from_secs(10),
            handshake_bytes: 64 << 10,
            first_request: Duration::from_secs(10),
            head: Duration::from_secs(10),
            request: Duration::from_secs(60),
            write: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            idle_known: Duration::from_secs(180),
            leave: Duration::from_secs(5),
            head_bytes: 80 << 10,
            headers: 600,
            uri_bytes: 16 << 10,
            body_bytes: 64 << 10,
            streams: 100,
            unanswered: 100,
            frames_at_once: 1_000,
            frames_per_second: 100,
            sweep: Duration::from_secs(1),
        }
    }
}
