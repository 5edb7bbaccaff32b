//! What one connection does, and whether it takes too long for that. Reads no clock: `now` is an argument.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::serving::limits::Limits;

/// Who is at the other end, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Standing {
    /// Nobody has been authenticated on the connection so far.
    Stranger,
    /// Somebody has been.
    Known,
    /// It has the certificate of the cluster's front proxy.
    FrontProxy,
}

/// Why a connection is ended from this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Closure {
    HandshakeTimeout,
    HandshakeSize,
    NoRequest,
    HeadTimeout,
    RequestTimeout,
    WriteTimeout,
    Idle,
    /// Frames that ask nothing.
    Flood,
    /// Requests that were not answered, or of nobody that is known.
    Limited,
    /// It makes room for another one of its address.
    AddressFull,
    /// It makes room for another one.
    Full,
}

/// What is to be done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is asked to leave: a request that is on its way is still answered.
    Leave(Closure),
    Cut(Closure),
}

/// How a request was told from the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Http1 {
        has_body: bool,
    },
    /// By frames, which are looked at as they come.
    Http2,
}

/// What one connection does.
#[derive(Debug)]
pub(super) struct Activity {
    pub(super) standing: Standing,
    phase: Phase,
    /// Since when nothing is asked: the last answer, or what came before the first request.
    quiet_since: Instant,
    /// Since when a head has begun and is not complete.
    head_since: Option<Instant>,
    /// Bytes came while a request was under way: the head of the next may have begun.
    said_more: bool,
    /// The request under way has a body: what comes is that.
    has_body: bool,
    /// When the requests began that are under way.
    requests: BTreeMap<u64, Instant>,
    next_request: u64,
    /// Requests that were refused for their number, and those of a stranger.
    spent: u32,
    /// Since when the client takes nothing.
    stuck_since: Option<Instant>,
    leaving_since: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Handshake {
        bytes: usize,
    },
    /// The handshake is done, and there was no request yet.
    Silent,
    Asked,
}

// === impl Closure ===

impl Closure {
    pub(super) const ALL: [Self; 11] = [
        Self::HandshakeTimeout,
        Self::HandshakeSize,
        Self::NoRequest,
        Self::HeadTimeout,
        Self::RequestTimeout,
        Self::WriteTimeout,
        Self::Idle,
        Self::Flood,
        Self::Limited,
        Self::AddressFull,
        Self::Full,
    ];

    /// The value of the label `reason`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::HandshakeTimeout => "handshake_timeout",
            Self::HandshakeSize => "handshake_size",
            Self::NoRequest => "no_request",
            Self::HeadTimeout => "head_timeout",
            Self::RequestTimeout => "request_timeout",
            Self::WriteTimeout => "write_timeout",
            Self::Idle => "idle",
            Self::Flood => "flood",
            Self::Limited => "limited",
            Self::AddressFull => "address_full",
            Self::Full => "full",
        }
    }
}

// === impl Activity ===

impl Activity {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            standing: Standing::Stranger,
            phase: Phase::Handshake { bytes: 0 },
            quiet_since: now,
            head_since: None,
            said_more: false,
            has_body: false,
            requests: BTreeMap::new(),
            next_request: 0,
            spent: 0,
            stuck_since: None,
            leaving_since: None,
        }
    }

    /// Counts what the client sends for the handshake; true when it has begun with that.
    ///
    /// # Errors
    /// [`Closure::HandshakeSize`] when it is too much.
    pub(super) fn handshake_bytes(&mut self, count: usize, limits: &Limits) -> Result<bool, Closure> {
        let Phase::Handshake { bytes } = &mut self.phase else { return Ok(false) };
        let has_begun = *bytes == 0;
        *bytes += count;
        if *bytes > limits.handshake_bytes { Err(Closure::HandshakeSize) } else { Ok(has_begun) }
    }

    pub(super) fn handshake_done(&mut self, now: Instant) {
        (self.phase, self.quiet_since) = (Phase::Silent, now);
    }

    /// Bytes of HTTP/1.1 came in. Empty lines may stand before a head (RFC 9112, 2.2), and belong to none.
    pub(super) fn heard(&mut self, bytes: &[u8], now: Instant) {
        let is_empty = bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
        if self.requests.is_empty() {
            if !is_empty {
                self.head_since.get_or_insert(now);
            }
        } else if !self.has_body && !is_empty {
            self.said_more = true;
        }
    }

    /// A frame or a header block of HTTP/2 has begun then and is not complete, or none is.
    pub(super) fn frame(&mut self, open_since: Option<Instant>) {
        self.head_since = open_since;
    }

    /// A request has come with its whole head.
    pub(super) fn begin(&mut self, framing: Framing, now: Instant) -> u64 {
        self.phase = Phase::Asked;
        if let Framing::Http1 { has_body } = framing {
            (self.head_since, self.said_more, self.has_body) = (None, false, has_body);
        }
        self.next_request += 1;
        self.requests.insert(self.next_request, now);
        self.next_request
    }

    /// The answer of a request has been given away.
    pub(super) fn end(&mut self, request: u64, now: Instant) {
        self.requests.remove(&request);
        self.quiet_since = now;
        if self.requests.is_empty() && std::mem::take(&mut self.said_more) {
            self.head_since = Some(now);
        }
    }

    /// A request came of a stranger, or one was refused for their number; false when there were too many.
    pub(super) fn spend(&mut self, limits: &Limits) -> bool {
        self.spent += u32::from(self.standing != Standing::FrontProxy);
        self.spent <= limits.unanswered
    }

    /// Somebody was authenticated: what strangers may spend does not matter any more.
    pub(super) fn promote(&mut self, standing: Standing) {
        (self.standing, self.spent) = (standing, 0);
    }

    /// The client takes nothing, or something again.
    pub(super) fn stuck(&mut self, is_stuck: bool, now: Instant) {
        self.stuck_since = is_stuck.then(|| self.stuck_since.unwrap_or(now));
    }

    pub(super) fn leave(&mut self, now: Instant) {
        self.leaving_since.get_or_insert(now);
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.requests.is_empty()
    }

    /// Whether one of its times is over.
    pub(super) fn verdict(&self, limits: &Limits, now: Instant) -> Option<Verdict> {
        let over =
            |since: Option<Instant>, time| since.is_some_and(|since| now.saturating_duration_since(since) >= time);
        let quiet = Some(self.quiet_since);
        let oldest = self.requests.values().next().copied();
        let idle = if self.standing == Standing::Stranger { limits.idle } else { limits.idle_known };
        Some(match self.phase {
            Phase::Handshake { bytes: 0 } if over(quiet, limits.first_byte) => Verdict::Cut(Closure::HandshakeTimeout),
            Phase::Handshake { .. } if over(quiet, limits.handshake) => Verdict::Cut(Closure::HandshakeTimeout),
            Phase::Silent if over(quiet, limits.first_request) => Verdict::Cut(Closure::NoRequest),
            _ if over(self.head_since, limits.head) => Verdict::Cut(Closure::HeadTimeout),
            _ if over(self.stuck_since, limits.write) => Verdict::Cut(Closure::WriteTimeout),
            _ if self.standing == Standing::Stranger && over(oldest, limits.request) => {
                Verdict::Cut(Closure::RequestTimeout)
            }
            // The other streams of a connection do not pay for one that is stuck: they have the time that it had.
            _ if over(oldest, limits.request) && over(self.leaving_since, limits.request) => {
                Verdict::Cut(Closure::RequestTimeout)
            }
            _ if over(oldest, limits.request) && self.leaving_since.is_none() => {
                Verdict::Leave(Closure::RequestTimeout)
            }
            _ if !self.is_quiet() => return None,
            _ if over(self.leaving_since, limits.leave) => Verdict::Cut(Closure::Idle),
            // The next request is on its way.
            Phase::Asked if self.head_since.is_some() => return None,
            Phase::Asked if self.leaving_since.is_none() && over(quiet, idle) => Verdict::Leave(Closure::Idle),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Seconds since the step before, and what happens then.
    type Step = (u64, fn(&mut Activity, Instant));

    /// What becomes of a connection at the end of each step: seconds since the one before, and what it does then.
    fn story(steps: &[Step], seconds: u64) -> Option<Verdict> {
        let mut now = Instant::now();
        let mut activity = Activity::new(now);
        for (later, step) in steps {
            now += Duration::from_secs(*later);
            assert_eq!(activity.verdict(&Limits::default(), now), None, "before the end");
            step(&mut activity, now);
        }
        activity.verdict(&Limits::default(), now + Duration::from_secs(seconds))
    }

    const SHAKEN: Step = (0, |it, now| it.handshake_done(now));
    const HEARD: fn(&mut Activity, Instant) = |it, now| it.heard(b"GET", now);
    const BEGIN: fn(&mut Activity, Instant) = |it, now| {
        it.begin(Framing::Http1 { has_body: false }, now);
    };
    const BEGIN_WITH_BODY: fn(&mut Activity, Instant) = |it, now| {
        it.begin(Framing::Http1 { has_body: true }, now);
    };
    const END: fn(&mut Activity, Instant) = |it, now| it.end(it.next_request, now);

    #[test]
    fn a_handshake_has_its_time_and_its_first_byte_less() {
        let timeout = Some(Verdict::Cut(Closure::HandshakeTimeout));
        assert_eq!((story(&[], 4), story(&[], 5)), (None, timeout));
        let byte: Step = (4, |it, _| {
            it.handshake_bytes(1, &Limits::default()).expect("few");
        });
        assert_eq!((story(&[byte], 5), story(&[byte, byte, (0, |_, _| ())], 2)), (None, timeout));
    }

    #[test]
    fn a_handshake_has_its_size() {
        let mut activity = Activity::new(Instant::now());
        assert_eq!(activity.handshake_bytes((64 << 10) - 1, &Limits::default()), Ok(true));
        assert_eq!(activity.handshake_bytes(1, &Limits::default()), Ok(false));
        assert_eq!(activity.handshake_bytes(1, &Limits::default()), Err(Closure::HandshakeSize));
        activity.handshake_done(Instant::now());
        assert_eq!(activity.handshake_bytes(1 << 20, &Limits::default()), Ok(false));
    }

    #[test]
    fn a_head_is_timed_from_its_first_byte_and_not_from_its_last() {
        let late = Some(Verdict::Cut(Closure::HeadTimeout));
        let first = [SHAKEN, (1, HEARD), (4, HEARD), (4, HEARD)];
        assert_eq!((story(&first, 0), story(&first, 2)), (None, Some(Verdict::Cut(Closure::NoRequest))));
        let second = [SHAKEN, (1, HEARD), (1, BEGIN), (1, END), (50, HEARD), (5, HEARD), (4, HEARD)];
        assert_eq!((story(&second, 0), story(&second, 1)), (None, late));
        // The next head began before the answer was out.
        let pipelined = [SHAKEN, (1, BEGIN), (1, HEARD), (1, END)];
        assert_eq!((story(&pipelined, 9), story(&pipelined, 10)), (None, late));
        let block: [Step; 2] = [
            SHAKEN,
            (0, |it, now| {
                it.begin(Framing::Http2, now);
            }),
        ];
        let open: Step = (1, |it, now| it.frame(it.head_since.or(Some(now))));
        let closed: Step = (1, |it, _| it.frame(None));
        assert_eq!(story(&[block[0], block[1], open, open], 9), late);
        assert_eq!(story(&[block[0], block[1], open, closed], 9), None);
    }

    #[test]
    fn bodies_and_empty_lines_are_no_heads() {
        let body = [SHAKEN, (1, BEGIN_WITH_BODY), (1, HEARD), (1, END)];
        assert_eq!(story(&body, 30), None);
        let next = [body[0], body[1], body[2], body[3], (1, HEARD)];
        assert_eq!(story(&next, 10), Some(Verdict::Cut(Closure::HeadTimeout)));
        let empty: fn(&mut Activity, Instant) = |it, now| it.heard(b"\r\n", now);
        assert_eq!(story(&[SHAKEN, (1, BEGIN), (1, empty), (1, END), (1, empty)], 30), None);
        // They do not keep a connection open either.
        let drops = [SHAKEN, (1, BEGIN), (1, END), (50, empty)];
        assert_eq!(story(&drops, 10), Some(Verdict::Leave(Closure::Idle)));
    }

    #[test]
    fn one_stuck_request_of_who_is_known_ends_none_of_the_others() {
        for standing in [Standing::Known, Standing::FrontProxy] {
            let mut now = Instant::now();
            let mut activity = Activity::new(now);
            activity.handshake_done(now);
            activity.begin(Framing::Http2, now);
            activity.promote(standing);
            now += Duration::from_secs(60);
            let verdict = |activity: &Activity, now| activity.verdict(&Limits::default(), now);
            assert_eq!(verdict(&activity, now), Some(Verdict::Leave(Closure::RequestTimeout)));
            activity.leave(now);
            activity.begin(Framing::Http2, now);
            assert_eq!(verdict(&activity, now + Duration::from_secs(59)), None);
            let end = now + Duration::from_secs(60);
            assert_eq!(verdict(&activity, end), Some(Verdict::Cut(Closure::RequestTimeout)));
        }
    }

    #[test]
    fn who_asks_nothing_is_cut_off_and_who_has_asked_is_asked_to_leave() {
        assert_eq!((story(&[SHAKEN], 9), story(&[SHAKEN], 10)), (None, Some(Verdict::Cut(Closure::NoRequest))));
        let leave = Some(Verdict::Leave(Closure::Idle));
        let asked = [SHAKEN, (1, BEGIN), (1, END)];
        assert_eq!((story(&asked, 59), story(&asked, 60)), (None, leave));
        let known: [Step; 4] = [SHAKEN, (1, BEGIN), (0, |it, _| it.standing = Standing::Known), (1, END)];
        assert_eq!((story(&known, 179), story(&known, 180)), (None, leave));
        let left: [Step; 4] = [SHAKEN, (1, BEGIN), (1, END), (59, |it, now| it.leave(now))];
        assert_eq!((story(&left, 4), story(&left, 5)), (None, Some(Verdict::Cut(Closure::Idle))));
    }

    #[test]
    fn a_request_and_a_client_that_takes_nothing_have_their_time() {
        let asked = [SHAKEN, (1, BEGIN)];
        assert_eq!((story(&asked, 59), story(&asked, 60)), (None, Some(Verdict::Cut(Closure::RequestTimeout))));
        let stuck: Step = (1, |it, now| it.stuck(true, now));
        let free: Step = (1, |it, now| it.stuck(false, now));
        let late = Some(Verdict::Cut(Closure::WriteTimeout));
        assert_eq!(story(&[SHAKEN, (1, BEGIN), stuck, stuck], 29), late);
        assert_eq!(story(&[SHAKEN, (1, BEGIN), stuck, free], 29), None);
    }
}
