//! Large answers are compressed as the client allows: zstd where it knows it, else gzip.

use std::io::Write;

use bytes::Bytes;
use front::{Body, Response};
use http::{HeaderMap, HeaderValue, header};
use http_body_util::BodyExt;

use crate::accept::takes;

/// Answers up to this size go as they are: they fit into a packet or two anyway.
const BYTES_MIN: usize = 1_400;
/// Larger ones are compressed off the async threads.
const INLINE_BYTES_MAX: usize = 64 << 10;
/// Fast levels: a list of 1,000 devices is compressed in a few milliseconds, to less than a tenth.
const ZSTD_LEVEL: i32 = 1;
const GZIP_LEVEL: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Zstd,
    Gzip,
}

impl Packing {
    /// The one that the client knows; `None`: it wants none.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Packing> {
        let packings = [Packing::Zstd, Packing::Gzip];
        packings.into_iter().find(|packing| takes(headers, header::ACCEPT_ENCODING, packing.name()))
    }

    fn name(self) -> &'static str {
        match self {
            Packing::Zstd => "zstd",
            Packing::Gzip => "gzip",
        }
    }

    fn pack(self, plain: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Packing::Zstd => zstd::bulk::compress(plain, ZSTD_LEVEL),
            Packing::Gzip => {
                let packed = Vec::with_capacity(plain.len() / 4);
                let mut encoder = flate2::write::GzEncoder::new(packed, flate2::Compression::new(GZIP_LEVEL));
                encoder.write_all(plain)?;
                encoder.finish()
            }
        }
    }
}

/// The answer as the client wants it. Only text of our own making is compressed, and no cache keeps it.
pub(crate) async fn pack(response: Response, packing: Option<Packing>) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let text = kind.is_some_and(|kind| kind.starts_with("application/json") || kind.starts_with("text/csv"));
    if !text || response.headers().contains_key(header::CONTENT_ENCODING) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // Whole already: this neither waits nor fails.
    let plain = match body.collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(never) => match never {},
    };
    parts.headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    let packed = match packing {
        Some(packing) if plain.len() >= BYTES_MIN => packed(packing, plain.clone()).await,
        _ => None,
    };
    if let (Some(_), Some(packing)) = (&packed, packing) {
        parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(packing.name()));
    }
    Response::from_parts(parts, Body::new(packed.unwrap_or(plain)))
}

/// `None`: it goes as it is.
async fn packed(packing: Packing, plain: Bytes) -> Option<Bytes> {
    let result = if plain.len() <= INLINE_BYTES_MAX {
        packing.pack(&plain)
    } else {
        tokio::task::spawn_blocking(move || packing.pack(&plain))
            .await
            .map_err(std::io::Error::other)
            .and_then(|r| r)
    };
    match result {
        Ok(packed) => Some(packed.into()),
        Err(error) => {
            tracing::warn!(%error, "an answer could not be compressed");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: &str, expected: Option<Packing>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_str(accept).unwrap());
        assert_eq!(Packing::of(&headers), expected, "{accept}");
    }

    #[test]
    fn the_best_that_the_client_knows_is_taken() {
        check("gzip, deflate, br, zstd", Some(Packing::Zstd));
        check("GZIP;q=0.5", Some(Packing::Gzip));
        check("zstd;q=0, gzip", Some(Packing::Gzip));
        check("gzip; q=0.0", None);
        check("br, identity", None);
        check("", None);
        assert_eq!(Packing::of(&HeaderMap::new()), None);
    }

    #[tokio::test]
    async fn large_texts_come_back_as_they_were_and_the_rest_is_left_alone() {
        let answer = |kind: &'static str, length: usize| {
            let mut response = Response::new(Body::new(Bytes::from(vec![b'a'; length])));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            response
        };
        for (kind, length, encoded) in [
            ("application/json; charset=utf-8", 100_000, true),
            ("text/csv; charset=utf-8", 2_000, true),
            ("application/json", 100, false),
            ("text/html", 100_000, false),
        ] {
            for packing in [Packing::Gzip, Packing::Zstd] {
                let packed = pack(answer(kind, length), Some(packing)).await;
                let header = packed.headers().get(header::CONTENT_ENCODING).cloned();
                assert_eq!(header.is_some(), encoded, "{kind} {length}");
                let bytes = packed.into_body().collect().await.unwrap().to_bytes();
                let plain = match header.as_ref().map(HeaderValue::as_bytes) {
                    None => bytes.to_vec(),
                    Some(b"zstd") => zstd::bulk::decompress(&bytes, 1 << 20).unwrap(),
                    Some(_) => {
                        let mut plain = Vec::new();
                        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut plain)
                            .unwrap();
                        plain
                    }
                };
                assert!(plain == vec![b'a'; length], "{kind} {length}");
            }
        }
    }
}
