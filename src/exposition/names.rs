//! The answers about the last few metric names, since a page asks about the same ones again and again.

use super::series;

/// Enough for the turns of one histogram: `_bucket`, `_sum`, `_count` and `_created`.
const KEPT: usize = 4;

/// Remembers whether the last few names at the start of lines are wanted.
pub(super) struct Names<'p> {
    kept: [(&'p str, bool); KEPT],
    /// Where the name of the line before stands.
    last: usize,
    /// Where the next new name goes.
    next: usize,
}

// === impl Names ===

impl<'p> Names<'p> {
    pub(super) fn new() -> Self {
        Self { kept: [("", false); KEPT], last: 0, next: 0 }
    }

    /// The name that the line starts with and whether it is wanted, if it is one of the last few.
    #[inline]
    pub(super) fn find(&mut self, line: &str) -> Option<(&'p str, bool)> {
        if !starts_with_name(line, self.kept[self.last].0) {
            self.last = self.kept.iter().position(|(name, _)| starts_with_name(line, name))?;
        }
        Some(self.kept[self.last])
    }

    pub(super) fn keep(&mut self, name: &'p str, wanted: bool) {
        self.kept[self.next] = (name, wanted);
        self.last = self.next;
        self.next = (self.next + 1) % KEPT;
    }
}

/// Whether `name` is the whole name at the start of a line.
#[inline]
fn starts_with_name(line: &str, name: &str) -> bool {
    let line = line.as_bytes();
    // The byte behind the name settles most cases, without a look at the name.
    line.get(name.len()).is_none_or(|next| !series::is_name(*next))
        && !name.is_empty()
        && starts_with(line, name.as_bytes())
}

/// As the method of slices, which is a call for names of a length that is known only now.
#[inline]
pub(super) fn starts_with(line: &[u8], name: &[u8]) -> bool {
    let Some(start) = line.get(..name.len()) else { return false };
    let ((a, _), (b, _)) = (start.as_chunks::<16>(), name.as_chunks::<16>());
    // The last chunk overlaps the one before it.
    match (start.last_chunk::<16>(), name.last_chunk::<16>()) {
        (Some(last_a), Some(last_b)) => last_a == last_b && a.iter().zip(b).all(|(a, b)| a == b),
        _ => start == name,
    }
}
