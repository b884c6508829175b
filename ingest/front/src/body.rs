//! Reading a request's body: bounded in time, in bytes as sent, and in bytes after decompression.

use std::io::Read;
use std::pin::pin;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt;

use crate::{ApiError, Limits};

/// A zstd stream may ask for a window of at most 8 MiB (2^23); larger ones are only of use for larger bodies.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Compressed bodies larger than this are decompressed off the async threads.
const INLINE_DECODE_BYTES_MAX: usize = 8 << 10;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

/// Reads a body whole, decompressing gzip and zstd as `Content-Encoding` says.
///
/// # Errors
/// 413 when it is too large before or after decompression, 408 when it takes too long, 415 for another encoding,
/// 400 when it breaks off or is not what its encoding says.
pub async fn read_body<B>(headers: &HeaderMap, body: B, limits: &Limits) -> Result<Bytes, ApiError>
where
    B: hyper::body::Body<Data = Bytes>,
{
    let encoding = encoding(headers)?;
    if announced(headers).is_some_and(|length| length > limits.body_bytes_max as u64) {
        return Err(too_large(limits.body_bytes_max));
    }
    let sent = tokio::time::timeout(limits.body_timeout, collect(body, limits.body_bytes_max))
        .await
        .map_err(|_| ApiError::timeout("The body of the request did not arrive in time."))??;
    let bytes_max = decoded_bytes_max(sent.len(), limits);
    if encoding == Encoding::Identity || sent.is_empty() {
        Ok(sent)
    } else if sent.len() <= INLINE_DECODE_BYTES_MAX {
        decode(encoding, &sent, bytes_max)
    } else {
        tokio::task::spawn_blocking(move || decode(encoding, &sent, bytes_max))
            .await
            .map_err(|_| ApiError::internal())?
    }
}

/// The media type of a request without its parameters, as sent: compare it ignoring case.
pub fn media_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or(value).trim())
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, ApiError> {
    let unknown = || {
        ApiError::unsupported_media_type(
            "This Content-Encoding is not supported; use gzip or zstd, once, or none.",
        )
    };
    let mut values = headers.get_all(CONTENT_ENCODING).iter();
    let Some(value) = values.next() else { return Ok(Encoding::Identity) };
    if values.next().is_some() {
        return Err(unknown());
    }
    let word = value.to_str().map_err(|_| unknown())?.trim().to_ascii_lowercase();
    match word.as_str() {
        "" | "identity" => Ok(Encoding::Identity),
        "gzip" | "x-gzip" => Ok(Encoding::Gzip),
        "zstd" => Ok(Encoding::Zstd),
        _ => Err(unknown()),
    }
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn collect<B>(body: B, bytes_max: usize) -> Result<Bytes, ApiError>
where
    B: hyper::body::Body<Data = Bytes>,
{
    let mut body = pin!(body);
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(frame) = body.as_mut().frame().await {
        // The error's own text speaks of hyper's insides.
        let frame = frame.map_err(|_| ApiError::bad_request("The body of the request is not complete."))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + joined.len() + data.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        // Most bodies are one piece, which then is not copied.
        if first.is_empty() && joined.is_empty() {
            first = data;
        } else {
            joined.extend_from_slice(&first);
            first.clear();
            joined.extend_from_slice(&data);
        }
    }
    Ok(if joined.is_empty() { first } else { joined.freeze() })
}

fn decoded_bytes_max(sent_bytes: usize, limits: &Limits) -> usize {
    let by_ratio = sent_bytes.saturating_mul(limits.decoded_ratio_max).max(Limits::RATIO_FREE_BYTES);
    limits.decoded_bytes_max.min(by_ratio)
}

fn decode(encoding: Encoding, sent: &[u8], bytes_max: usize) -> Result<Bytes, ApiError> {
    let broken = |name: &str| ApiError::bad_request(format!("The body of the request is not valid {name}."));
    match encoding {
        Encoding::Identity => Ok(Bytes::copy_from_slice(sent)),
        Encoding::Gzip => read_bounded(flate2::bufread::MultiGzDecoder::new(sent), bytes_max)
            .map_err(|_| broken("gzip"))?
            .ok_or_else(|| too_large(bytes_max)),
        Encoding::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(sent).map_err(|_| ApiError::internal())?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|_| ApiError::internal())?;
            read_bounded(decoder, bytes_max).map_err(|_| broken("zstd"))?.ok_or_else(|| too_large(bytes_max))
        }
    }
}

/// All bytes of `reader`; `None` when there are more than `bytes_max`, of which no more than that were kept.
fn read_bounded(reader: impl Read, bytes_max: usize) -> std::io::Result<Option<Bytes>> {
    let mut bytes = Vec::new();
    reader.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= bytes_max).then(|| Bytes::from(bytes)))
}

fn too_large(bytes_max: usize) -> ApiError {
    ApiError::too_large(format!("The body of the request is too large; {bytes_max} bytes are allowed."))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use http::HeaderValue;
    use http_body_util::Full;

    use super::*;

    fn limits() -> Limits {
        Limits { body_bytes_max: 64 << 10, decoded_bytes_max: 4 << 20, ..Limits::default() }
    }

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    async fn read(encoding: &str, sent: &[u8], limits: &Limits) -> Result<Bytes, u16> {
        let mut headers = HeaderMap::new();
        if !encoding.is_empty() {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_str(encoding).unwrap());
        }
        let body = Full::new(Bytes::copy_from_slice(sent));
        read_body(&headers, body, limits).await.map_err(|e| e.status.as_u16())
    }

    #[tokio::test]
    async fn every_encoding_gives_the_same_bytes() {
        let plain = b"{\"rows\": []}".repeat(3000);
        let zstd = zstd::bulk::compress(&plain, 3).unwrap();
        assert_eq!(read("", &plain, &limits()).await.unwrap(), plain);
        assert_eq!(read("identity", &plain, &limits()).await.unwrap(), plain);
        assert_eq!(read("gzip", &gzip(&plain), &limits()).await.unwrap(), plain);
        assert_eq!(read("X-GZIP", &gzip(&plain), &limits()).await.unwrap(), plain);
        assert_eq!(read("zstd", &zstd, &limits()).await.unwrap(), plain);
    }

    #[tokio::test]
    async fn other_encodings_and_chains_are_415() {
        for encoding in ["br", "deflate", "gzip, gzip", "gzip, zstd", "zstd,identity"] {
            assert_eq!(read(encoding, b"x", &limits()).await, Err(415), "{encoding}");
        }
        let mut headers = HeaderMap::new();
        headers.append(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        headers.append(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let error = read_body(&headers, Full::new(Bytes::new()), &limits()).await.unwrap_err();
        assert_eq!(error.status.as_u16(), 415);
    }

    #[tokio::test]
    async fn what_its_encoding_cannot_read_is_400() {
        let cut = &gzip(b"hello hello hello")[..20];
        assert_eq!(read("gzip", b"hello", &limits()).await, Err(400));
        assert_eq!(read("gzip", cut, &limits()).await, Err(400));
        assert_eq!(read("zstd", b"hello", &limits()).await, Err(400));
        let whole = zstd::bulk::compress(&b"hello".repeat(100), 3).unwrap();
        assert_eq!(read("zstd", &whole[..whole.len() - 2], &limits()).await, Err(400));
    }

    #[tokio::test]
    async fn the_limits_are_exact() {
        let limits = Limits { body_bytes_max: 100, decoded_bytes_max: 2000, ..Limits::default() };
        assert!(read("", &[b'a'; 100], &limits).await.is_ok());
        assert_eq!(read("", &[b'a'; 101], &limits).await, Err(413));
        assert!(read("gzip", &gzip(&[b'a'; 2000]), &limits).await.is_ok());
        assert_eq!(read("gzip", &gzip(&[b'a'; 2001]), &limits).await, Err(413));
    }

    #[tokio::test]
    async fn a_bomb_is_refused_with_no_more_memory_than_the_limit() {
        let zeros = vec![0; 64 << 20];
        let zstd = zstd::bulk::compress(&zeros, 19).unwrap();
        let gzip = gzip(&zeros);
        drop(zeros);
        assert!(zstd.len() < 64 << 10 && gzip.len() < 80 << 10, "{} {}", zstd.len(), gzip.len());
        let limits = Limits { body_bytes_max: 80 << 10, ..limits() };
        assert_eq!(read("zstd", &zstd, &limits).await, Err(413));
        assert_eq!(read("gzip", &gzip, &limits).await, Err(413));
        // The reader itself stops right after the limit, however much is still to come.
        struct Endless(usize);
        impl Read for Endless {
            fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
                self.0 += buf.len();
                Ok(buf.len())
            }
        }
        let mut endless = Endless(0);
        assert!(read_bounded(&mut endless, 1000).unwrap().is_none());
        assert_eq!(endless.0, 1001);
    }

    #[tokio::test]
    async fn a_window_larger_than_allowed_is_refused() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(26).unwrap();
        encoder.include_contentsize(false).unwrap();
        // More than one block, so that the encoder cannot shrink the window to the input.
        encoder.write_all(&vec![7; 300 << 10]).unwrap();
        encoder.flush().unwrap();
        assert_eq!(read("zstd", &encoder.finish().unwrap(), &limits()).await, Err(400));
    }

    #[test]
    fn the_ratio_counts_only_past_a_megabyte() {
        let limits = Limits { decoded_bytes_max: 16 << 20, decoded_ratio_max: 256, ..Limits::default() };
        assert_eq!(decoded_bytes_max(50, &limits), 1 << 20);
        assert_eq!(decoded_bytes_max(10_000, &limits), 2_560_000);
        assert_eq!(decoded_bytes_max(1 << 20, &limits), 16 << 20);
    }

    #[test]
    fn a_media_type_has_no_parameters() {
        let mut headers = HeaderMap::new();
        assert_eq!(media_type(&headers), None);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json ; charset=utf-8"));
        assert_eq!(media_type(&headers), Some("application/json"));
    }
}
