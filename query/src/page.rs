//! The built page, out of the binary: by exact name, with ETags, packed as the browser can take it.

#[cfg(not(page_missing))]
use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use front::{ApiError, Body, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use sha2::{Digest, Sha256};

use crate::accept::takes;
use crate::routes::method_not_allowed;

#[cfg(not(page_missing))]
#[derive(rust_embed::Embed)]
#[folder = "$CARGO_MANIFEST_DIR/../web/dist"]
#[allow_missing = true]
struct Built;

/// Shown by a server that was built without its page; the API works all the same.
const MISSING: &str = include_str!("page_missing.html");

const INDEX: &str = "index.html";
/// Names in here carry a hash of their content, so they never change.
const HASHED: &str = "assets/";
/// Packed twins that the build makes, best first: coding, and what it adds to a file's name.
const PACKED: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// All files of the page, by path without the first slash.
pub(crate) struct Page {
    files: HashMap<String, File>,
}

struct File {
    media: &'static str,
    cache: &'static str,
    plain: Variant,
    /// In the order of [`PACKED`].
    packed: [Option<Variant>; 2],
}

struct Variant {
    bytes: Bytes,
    etag: HeaderValue,
}

/// Bytes of a file and their SHA-256.
type Content = (Bytes, [u8; 32]);

impl Page {
    /// The page this binary was built with, or the one that says how to build it. The hashes were made with it: those
    /// megabytes are not looked at before a browser asks for them.
    pub(crate) fn built() -> Page {
        #[cfg(not(page_missing))]
        let files = Built::iter().filter_map(|name| {
            let file = Built::get(&name)?;
            let bytes = match file.data {
                Cow::Borrowed(bytes) => Bytes::from_static(bytes),
                Cow::Owned(bytes) => Bytes::from(bytes),
            };
            Some((name.to_string(), (bytes, file.metadata.sha256_hash())))
        });
        #[cfg(page_missing)]
        let files = std::iter::empty();
        Page::of(files)
    }

    fn of(files: impl Iterator<Item = (String, Content)>) -> Page {
        let mut all: HashMap<String, Content> = files.collect();
        all.entry(INDEX.to_string()).or_insert_with(|| hashed(MISSING));
        let is_twin = |name: &str| {
            PACKED.iter().any(|(_, ext)| name.strip_suffix(ext).is_some_and(|n| all.contains_key(n)))
        };
        let files = all.iter().filter(|(name, _)| !is_twin(name)).map(|(name, content)| {
            let packed = PACKED.map(|(_, ext)| all.get(&format!("{name}{ext}")).map(Variant::of));
            let cache =
                if name.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
            (name.clone(), File { media: media(name), cache, plain: Variant::of(content), packed })
        });
        Page { files: files.collect() }
    }
}

fn hashed(text: &'static str) -> Content {
    (Bytes::from_static(text.as_bytes()), Sha256::digest(text).into())
}

impl Variant {
    fn of((bytes, hash): &Content) -> Variant {
        let hex: String = hash[..12].iter().map(|byte| format!("{byte:02x}")).collect();
        let etag =
            HeaderValue::try_from(format!("\"{hex}\"")).expect("quotes and hex digits are a header value");
        Variant { bytes: bytes.clone(), etag }
    }
}

/// Answers with a file, or with the page itself where a browser opens one of its views.
pub(crate) fn answer(
    page: &Page,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Ok(method_not_allowed([Method::GET].iter()));
    }
    let name = path.trim_start_matches('/');
    let view = name.is_empty() || takes(headers, header::ACCEPT, "text/html");
    let file = page.files.get(name).or_else(|| page.files.get(INDEX).filter(|_| view));
    let file = file.ok_or_else(|| ApiError::not_found("There is no such file."))?;

    let packed = PACKED.iter().zip(&file.packed).find_map(|((coding, _), variant)| {
        let variant = variant.as_ref().filter(|_| takes(headers, header::ACCEPT_ENCODING, coding));
        variant.map(|variant| (variant, Some(*coding)))
    });
    let (variant, coding) = packed.unwrap_or((&file.plain, None));

    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|tags| matches_etag(tags, &variant.etag));
    let body = if known { Body::default() } else { Body::new(variant.bytes.clone()) };
    let mut response = Response::new(body);
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let out = response.headers_mut();
    out.insert(header::ETAG, variant.etag.clone());
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(file.cache));
    out.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.media));
    if let Some(coding) = coding {
        out.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    Ok(response)
}

fn matches_etag(tags: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(tags), Ok(etag)) = (tags.to_str(), etag.to_str()) else { return false };
    tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

fn media(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ext)| ext) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json; charset=utf-8",
        "webmanifest" => "application/manifest+json; charset=utf-8",
        "txt" | "md" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        let files = [
            ("index.html", "<html>"),
            ("index.html.br", "BR"),
            ("assets/a-1f.js", "let a"),
            ("assets/a-1f.js.br", "BR"),
            ("assets/a-1f.js.gz", "GZ"),
            ("favicon.svg", "<svg/>"),
        ];
        Page::of(files.into_iter().map(|(name, text)| (name.to_string(), hashed(text))))
    }

    fn get(path: &str, headers: &[(&'static str, &str)]) -> Result<Response, ApiError> {
        let headers: HeaderMap =
            headers.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
        answer(&page(), &Method::GET, path, &headers)
    }

    #[track_caller]
    fn check(path: &str, headers: &[(&'static str, &str)], expected: &str) {
        let text = match get(path, headers) {
            Err(error) => error.status.as_u16().to_string(),
            Ok(response) => {
                let of = |name: &str| {
                    response.headers().get(name).map_or("-", |v| v.to_str().unwrap()).to_string()
                };
                format!(
                    "{} {} {} {}",
                    response.status().as_u16(),
                    of("content-type"),
                    of("content-encoding"),
                    of("cache-control")
                )
            }
        };
        assert_eq!(text, expected);
    }

    #[test]
    fn hashed_files_are_kept_for_ever_and_the_page_is_asked_for_again() {
        let js = "text/javascript; charset=utf-8";
        let html = "text/html; charset=utf-8";
        check("/assets/a-1f.js", &[], &format!("200 {js} - public, max-age=31536000, immutable"));
        check("/", &[], &format!("200 {html} - no-cache"));
        check("/favicon.svg", &[], "200 image/svg+xml - no-cache");
    }

    #[test]
    fn a_view_of_the_page_is_the_page() {
        let html = "200 text/html; charset=utf-8 - no-cache";
        check("/devices/7", &[("accept", "text/html,*/*;q=0.8")], html);
        check("/devices/7", &[("accept", "*/*")], "404");
        check("/assets/gone.js", &[], "404");
        check("/assets/a-1f.js.br", &[], "404");
    }

    #[test]
    fn the_best_packing_the_browser_takes_is_sent() {
        let js = |coding| {
            format!("200 text/javascript; charset=utf-8 {coding} public, max-age=31536000, immutable")
        };
        check("/assets/a-1f.js", &[("accept-encoding", "gzip, deflate, br")], &js("br"));
        check("/assets/a-1f.js", &[("accept-encoding", "gzip, br;q=0")], &js("gzip"));
        check("/assets/a-1f.js", &[("accept-encoding", "deflate")], &js("-"));
        check("/favicon.svg", &[("accept-encoding", "br")], "200 image/svg+xml - no-cache");
    }

    #[test]
    fn what_the_browser_has_is_not_sent_again() {
        let first = get("/", &[]).unwrap();
        let etag = first.headers()["etag"].to_str().unwrap().to_string();
        assert_eq!(get("/", &[("if-none-match", &format!("\"x\", W/{etag}"))]).unwrap().status(), 304);
        assert_eq!(get("/", &[("if-none-match", "\"x\"")]).unwrap().status(), 200);
        let packed = get("/", &[("accept-encoding", "br"), ("if-none-match", &etag)]).unwrap();
        assert_eq!(packed.status(), 200, "another packing is another thing");
    }

    #[test]
    fn files_are_read_only() {
        let response = answer(&page(), &Method::POST, "/", &HeaderMap::new()).unwrap();
        assert_eq!(
            (response.status().as_u16(), response.headers()["allow"].to_str().unwrap()),
            (405, "GET, HEAD")
        );
    }

    #[test]
    fn without_a_build_the_page_says_how_to_make_one() {
        let page = Page::of(std::iter::empty());
        let response = answer(&page, &Method::GET, "/", &HeaderMap::new()).unwrap();
        assert_eq!(response.status(), 200);
        assert!(
            MISSING.contains("make run") && MISSING.contains("lang=\"zh\"") && !MISSING.contains("style=")
        );
    }
}
