//! The body of a response, decompressed piece by piece within its limit.
//!
//! No more than the limit and one piece is ever in memory, however well the page is compressed.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use zstd::stream::raw;
use zstd::stream::write::Decoder as ZstdDecoder;
use zstd::stream::zio;

/// A body that is being received.
pub(super) enum Body {
    Plain(Limited),
    Gzip(Box<MultiGzDecoder<Limited>>),
    Zstd(Box<ZstdDecoder<'static, Limited>>),
}

/// Bytes up to a limit; writing beyond it fails with [`TooLarge`].
pub(super) struct Limited {
    bytes: Vec<u8>,
    size_max: usize,
}

/// The body is larger than its limit.
#[derive(Debug, thiserror::Error)]
#[error("the body is larger than its limit")]
pub(super) struct TooLarge;

/// What is asked for with `Accept-Encoding`.
pub(super) const ENCODINGS: &str = "gzip, zstd";

/// 8 MiB, the largest window that the content coding zstd may use (RFC 9659, section 3).
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

// === impl Body ===

impl Body {
    /// A body with a `Content-Encoding`; `None` for one that was not asked for.
    ///
    /// # Errors
    /// When the decoder gets no memory.
    pub(super) fn new(encoding: &str, size_max: usize) -> io::Result<Option<Self>> {
        let limited = Limited { bytes: Vec::new(), size_max };
        Ok(Some(match encoding.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Self::Plain(limited),
            // RFC 9110, section 8.4.1.3: x-gzip is gzip.
            "gzip" | "x-gzip" => Self::Gzip(Box::new(MultiGzDecoder::new(limited))),
            "zstd" => {
                let mut decoder = raw::Decoder::new()?;
                decoder.set_parameter(zstd::zstd_safe::DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
                Self::Zstd(Box::new(ZstdDecoder::with_writer(zio::Writer::new(limited, decoder))))
            }
            _ => return Ok(None),
        }))
    }

    /// Whether the content itself tells where it ends.
    pub(super) fn is_delimited(&self) -> bool {
        !matches!(self, Self::Plain(_))
    }

    /// Makes room for what comes, where that is as long as the body.
    pub(super) fn reserve(&mut self, length: usize) {
        if let Self::Plain(limited) = self {
            limited.bytes.reserve_exact(length.min(limited.size_max));
        }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// One that wraps [`TooLarge`], or what is wrong with the compressed data.
    pub(super) fn push(&mut self, piece: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(limited) => limited.write_all(piece),
            Self::Gzip(decoder) => decoder.write_all(piece),
            Self::Zstd(decoder) => decoder.write_all(piece),
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// As of [`Self::push`]; compressed data that ends too early is one.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        let limited = match self {
            Self::Plain(limited) => limited,
            Self::Gzip(decoder) => decoder.finish()?,
            Self::Zstd(decoder) => decoder.finish()?,
        };
        Ok(limited.bytes)
    }
}

impl Write for Limited {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if piece.len() > self.size_max - self.bytes.len() {
            return Err(io::Error::other(TooLarge));
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(encoding: &str, body: &[u8], size_max: usize) -> io::Result<Vec<u8>> {
        let mut received = Body::new(encoding, size_max)?.expect("a known encoding");
        for piece in body.chunks(7) {
            received.push(piece)?;
        }
        received.finish()
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(body).expect("in memory");
        encoder.finish().expect("in memory")
    }

    #[test]
    fn every_encoding_gives_the_page_up_to_its_limit() {
        let page = b"queue_length 5\n".repeat(1000);
        let zstd = zstd::encode_all(&page[..], 3).expect("in memory");
        for (encoding, body) in [("", page.clone()), ("GZip", gzip(&page)), ("x-gzip", gzip(&page)), ("zstd", zstd)] {
            assert_eq!(read(encoding, &body, page.len()).expect("the page"), page, "{encoding}");
            let error = read(encoding, &body, page.len() - 1).expect_err("too large");
            assert!(error.get_ref().is_some_and(|inner| inner.is::<TooLarge>()), "{encoding}: {error}");
        }
        assert!(Body::new("br", 1).is_ok_and(|body| body.is_none()));
    }

    #[test]
    fn compressed_data_that_ends_too_early_is_no_page() {
        let page = b"queue_length 5\n".repeat(1000);
        let zstd = zstd::encode_all(&page[..], 3).expect("in memory");
        for (encoding, body) in [("gzip", gzip(&page)), ("zstd", zstd)] {
            for length in [0, 3, body.len() / 2, body.len() - 1] {
                assert!(read(encoding, &body[..length], page.len()).is_err(), "{encoding} {length}");
            }
            assert!(read(encoding, b"queue_length 5\n and more and more", 1000).is_err(), "{encoding}");
        }
    }
}
