//! The frames of an HTTP/2 connection as they come in: whether one is open, and how many ask nothing.
//!
//! What hyper leaves open is bounded here: a header block may come in as slowly as a client likes, and frames that ask
//! nothing cost as much as those that do. Nothing is decoded but the nine bytes in front of each (RFC 9113, 4.1).

use tokio::time::Instant;

use crate::serving::limits::Limits;

/// Where in the stream of frames a client is, and what it may still send.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes of the preface or of a payload that are still to come.
    left: u32,
    /// What has come of the next frame's header.
    header: [u8; HEADER_LENGTH],
    header_length: usize,
    /// HEADERS came without its end: CONTINUATION has to follow.
    block_is_open: bool,
    /// When the frame or block began that came last.
    begun: Instant,
    /// Frames that ask nothing and may still come.
    budget: f64,
    filled: Instant,
    /// Bytes written that a WINDOW_UPDATE may still say to have taken.
    untaken: usize,
}

const HEADER_LENGTH: usize = 9;
const PREFACE_LENGTH: u32 = 24;

/// Bytes for which a client may say that it has taken them; most say so for 4,096 and more, some for each frame.
const TAKEN_LEAST: usize = 128;

/// What an answer is worth at least: it may be said of the stream and of the connection that it was taken.
const ANSWER_LEAST: usize = 2 * TAKEN_LEAST;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

// === impl Frames ===

impl Frames {
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        Self {
            left: PREFACE_LENGTH,
            header: [0; HEADER_LENGTH],
            header_length: 0,
            block_is_open: false,
            begun: now,
            budget: f64::from(limits.frames_at_once),
            filled: now,
            untaken: 0,
        }
    }

    /// Takes what came in; false when there were too many frames that ask nothing.
    pub(super) fn read(&mut self, mut bytes: &[u8], limits: &Limits, now: Instant) -> bool {
        let most = f64::from(limits.frames_at_once);
        let time = now.saturating_duration_since(self.filled).as_secs_f64();
        self.budget = (self.budget + time * f64::from(limits.frames_per_second)).min(most);
        self.filled = now;
        while !bytes.is_empty() {
            let skipped = bytes.len().min(self.left as usize);
            // At most `left`, which is a u32.
            self.left -= skipped as u32;
            bytes = &bytes[skipped..];
            if self.header_length == 0 && !bytes.is_empty() && !self.block_is_open {
                self.begun = now;
            }
            let taken = bytes.len().min(HEADER_LENGTH - self.header_length);
            self.header[self.header_length..][..taken].copy_from_slice(&bytes[..taken]);
            self.header_length += taken;
            bytes = &bytes[taken..];
            if self.header_length == HEADER_LENGTH {
                self.begin();
            }
        }
        self.budget >= 0.0
    }

    /// So many bytes were sent to the client.
    pub(super) fn written(&mut self, count: usize) {
        self.untaken = self.untaken.saturating_add(count);
    }

    /// Whether there is something that a WINDOW_UPDATE tells.
    fn take(&mut self) -> bool {
        let taken = self.untaken.checked_sub(TAKEN_LEAST);
        self.untaken = taken.unwrap_or(self.untaken);
        taken.is_some()
    }

    /// Since when a frame or a header block has begun and is not complete.
    pub(super) fn open_since(&self) -> Option<Instant> {
        let is_open = self.left > 0 || self.header_length > 0 || self.block_is_open;
        is_open.then_some(self.begun)
    }

    fn begin(&mut self) {
        let [a, b, c, kind, flags, ..] = self.header;
        (self.left, self.header_length) = (u32::from_be_bytes([0, a, b, c]), 0);
        let asks = match kind {
            DATA => self.left > 0 || flags & END_STREAM != 0,
            CONTINUATION => self.left > 0,
            HEADERS => {
                self.written(ANSWER_LEAST);
                true
            }
            WINDOW_UPDATE => self.take(),
            _ => false,
        };
        if kind == HEADERS || kind == CONTINUATION {
            self.block_is_open = flags & END_HEADERS == 0;
        }
        self.budget -= f64::from(u8::from(!asks));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).expect("short").to_be_bytes();
        [&[length[1], length[2], length[3], kind, flags, 0, 0, 0, 1][..], &vec![0; payload]].concat()
    }

    fn limits() -> Limits {
        Limits { frames_at_once: 3, frames_per_second: 1, ..Limits::default() }
    }

    #[test]
    fn frames_are_found_however_the_bytes_are_cut() {
        let parts = [frame(HEADERS, 0, 5), frame(CONTINUATION, END_HEADERS, 300), frame(DATA, END_STREAM, 0)];
        let all: Vec<u8> = [vec![0; 24], parts.concat()].concat();
        for size in 1..all.len() {
            let mut frames = Frames::new(&limits(), Instant::now());
            let mut opens = Vec::new();
            for part in all.chunks(size) {
                assert!(frames.read(part, &limits(), Instant::now()));
                opens.push(frames.open_since().is_some());
            }
            assert_eq!(opens.last(), Some(&false), "{size}");
            assert!(opens[..opens.len() - 1].iter().filter(|open| !**open).count() <= 9, "{size}");
        }
    }

    #[test]
    fn a_header_block_stays_open_until_its_end() {
        let mut frames = Frames::new(&limits(), Instant::now());
        assert!(frames.open_since().is_some(), "the preface is still to come");
        let mut open = |bytes: &[u8]| {
            assert!(frames.read(bytes, &limits(), Instant::now()));
            frames.open_since().is_some()
        };
        assert!(!open(&[0; 24]));
        assert!(open(&frame(HEADERS, 0, 1)));
        assert!(open(&frame(CONTINUATION, 0, 1)));
        assert!(!open(&frame(CONTINUATION, END_HEADERS, 0)));
        assert!(open(&frame(DATA, 0, 2)[..10]));
        assert!(!open(&[0]));
    }

    #[test]
    fn a_block_is_open_since_its_first_byte_and_another_frame_since_its_own() {
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        let mut frames = Frames::new(&limits(), start);
        assert!(frames.read(&[0; 24], &limits(), start));
        for (seconds, bytes, since) in [
            (1, [frame(HEADERS, END_HEADERS, 3), frame(HEADERS, 0, 3)[..4].to_vec()].concat(), 1),
            (2, [frame(HEADERS, 0, 3)[4..].to_vec(), frame(CONTINUATION, 0, 3)].concat(), 1),
            (3, [frame(CONTINUATION, END_HEADERS, 3), frame(HEADERS, 0, 3)[..4].to_vec()].concat(), 3),
        ] {
            assert!(frames.read(&bytes, &limits(), later(seconds)));
            assert_eq!(frames.open_since(), Some(later(since)), "{seconds}");
        }
    }

    #[test]
    fn frames_that_ask_nothing_are_counted_and_time_forgives() {
        let begun = Instant::now();
        for (kind, flags) in [(2, 0), (3, 0), (4, 0), (6, 0), (DATA, 0), (CONTINUATION, END_HEADERS), (0xff, 0)] {
            let mut frames = Frames::new(&limits(), begun);
            assert!(frames.read(&[0; 24], &limits(), begun));
            let one = frame(kind, flags, 0);
            assert!(frames.read(&one.repeat(3), &limits(), begun), "{kind}");
            assert!(!frames.read(&one, &limits(), begun), "{kind}");
            assert!(frames.read(&one, &limits(), begun + Duration::from_secs(2)), "{kind}");
        }
        for asking in [frame(HEADERS, END_HEADERS, 9), frame(DATA, 0, 9), frame(DATA, 1, 0)] {
            let mut frames = Frames::new(&limits(), begun);
            assert!(frames.read(&[&[0; 24][..], &asking.repeat(100)].concat(), &limits(), begun));
        }
    }

    #[test]
    fn a_client_says_of_no_more_than_it_was_sent_that_it_was_taken() {
        let begun = Instant::now();
        let update = frame(WINDOW_UPDATE, 0, 4);
        let mut frames = Frames::new(&limits(), begun);
        assert!(frames.read(&[&[0; 24][..], &update.repeat(3)].concat(), &limits(), begun));
        frames.written(10 * TAKEN_LEAST);
        assert!(frames.read(&update.repeat(10), &limits(), begun));
        assert!(frames.read(&[frame(HEADERS, END_HEADERS, 9), update.repeat(2)].concat(), &limits(), begun));
        assert!(!frames.read(&update, &limits(), begun));
    }
}
