//! Passwords: argon2id, off the async threads, two at a time.

use std::sync::Arc;
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use front::ApiError;
use tokio::sync::Semaphore;

/// Each takes 19 MiB and a core for some 50 ms: more at once would let anybody use up the machine.
const AT_ONCE_MAX: usize = 2;
/// Who waits longer than this for their turn is told to come again.
const TURN_WAIT: Duration = Duration::from_secs(10);

/// The PHC string of a password, for a command on the server's machine. Blocks for some 50 ms.
///
/// # Errors
/// It is too short or too long; the sentence says how long it may be.
pub fn hash_password(password: &str) -> Result<String, Unfit> {
    crate::accounts::check_password("password", password).map_err(|error| Unfit(error.message))?;
    hash(password).map_err(|error| Unfit(format!("The password could not be hashed: {error}.")))
}

/// A password that cannot be taken, with the reason for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(String);

/// Hashes and checks passwords.
pub(crate) struct Passwords {
    turns: Arc<Semaphore>,
}

/// Checked where there is no account, so that both take the same time. Written down and not made at the start: that would
/// hold up the first request for as long as a sign-in takes.
const DUMMY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlzAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

impl Passwords {
    /// Nobody signs in yet.
    pub(crate) fn new() -> Passwords {
        Passwords { turns: Arc::new(Semaphore::new(AT_ONCE_MAX)) }
    }

    /// The PHC string of a password.
    pub(crate) async fn hash(&self, password: String) -> Result<String, ApiError> {
        self.run(move || hash(&password)).await?.map_err(|error| {
            tracing::error!(%error, "a password could not be hashed");
            ApiError::internal()
        })
    }

    /// Is `password` the one of `stored`, a PHC string? `None`: there is no account; takes as long, and is `false`.
    pub(crate) async fn verify(&self, password: String, stored: Option<String>) -> Result<bool, ApiError> {
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| DUMMY.into());
        let right = self.run(move || verify(&password, &stored)).await?;
        Ok(right && known)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
        let turn = tokio::time::timeout(TURN_WAIT, self.turns.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(ApiError::unavailable("Too many people sign in at the moment.", 5));
        };
        // The turn goes with the work: when the client leaves and this future is dropped, the work still goes on.
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(turn);
            result
        });
        done.await.map_err(|error| {
            tracing::error!(%error, "password work ended early");
            ApiError::internal()
        })
    }
}

fn hash(password: &str) -> Result<String, argon2::password_hash::Error> {
    Ok(Argon2::default().hash_password(password.as_bytes())?.to_string())
}

fn verify(password: &str, stored: &str) -> bool {
    match PasswordHash::new(stored) {
        Ok(stored) => Argon2::default().verify_password(password.as_bytes(), &stored).is_ok(),
        Err(error) => {
            tracing::error!(%error, "a stored password hash cannot be read");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_an_account_verifies() {
        let passwords = Passwords::new();
        let stored = passwords.hash("correct horse".into()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(passwords.verify("correct horse".into(), Some(stored.clone())).await.unwrap());
        assert!(!passwords.verify("correct hors".into(), Some(stored)).await.unwrap());
        assert!(!passwords.verify("correct horse".into(), None).await.unwrap());
        assert!(!passwords.verify("correct horse".into(), Some("not a hash".into())).await.unwrap());
    }

    #[test]
    fn where_there_is_no_account_as_much_is_computed() {
        let parameters = |text: &str| text.split('$').take(4).map(String::from).collect::<Vec<_>>();
        let real = hash("any").unwrap();
        assert_eq!(parameters(DUMMY), parameters(&real));
        let (dummy, real) = (PasswordHash::new(DUMMY).unwrap(), PasswordHash::new(&real).unwrap());
        assert_eq!(dummy.hash.unwrap().len(), real.hash.unwrap().len());
        assert_eq!(dummy.salt.unwrap().len(), real.salt.unwrap().len());
    }
}
