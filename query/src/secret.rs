//! Random tokens, and how they are kept: only as SHA-256.
//!
//! Tokens have 256 random bits, so a fast hash is enough and a lookup by hash leaks nothing that helps to guess one.

use std::fmt::Write;

use front::ApiError;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What every device key begins with, so that a key that leaked is recognised as one.
pub(crate) const DEVICE_KEY_PREFIX: &str = "ocw_";

/// The same for API tokens.
pub(crate) const API_TOKEN_PREFIX: &str = "owt_";

/// SHA-256 of a secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Hashed(pub [u8; 32]);

impl Hashed {
    pub(crate) fn of(secret: &str) -> Hashed {
        Hashed(Sha256::digest(secret.as_bytes()).into())
    }

    /// Is this the hash of `secret`? Takes the same time whatever the answer.
    pub(crate) fn matches(&self, secret: &str) -> bool {
        same(&self.0, &Hashed::of(secret).0)
    }
}

/// Compares in a time that depends on the lengths only.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// 256 random bits as 64 hexadecimal digits.
///
/// # Errors
/// The system has no random numbers to give.
pub fn new_token() -> std::io::Result<String> {
    let mut bits = [0_u8; 32];
    getrandom::fill(&mut bits)?;
    let mut text = String::with_capacity(64);
    for byte in bits {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

/// [`new_token`] for a request handler.
pub(crate) fn token() -> Result<String, ApiError> {
    new_token().map_err(|error| {
        tracing::error!(%error, "the system gave no random numbers");
        ApiError::internal()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_and_differ() {
        let (a, b) = (new_token().unwrap(), new_token().unwrap());
        assert_eq!(a.len(), 64);
        assert!(a.bytes().all(|c| c.is_ascii_hexdigit()));
        assert_ne!(a, b);
    }

    #[test]
    fn only_the_secret_itself_matches_its_hash() {
        let hashed = Hashed::of("right");
        assert!(hashed.matches("right"));
        assert!(!hashed.matches("Right"));
        assert!(!hashed.matches(""));
    }
}
