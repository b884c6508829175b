//! What all request handlers share.

use std::sync::Arc;
use std::time::Duration;

use front::ApiError;
use store::{Health, Store, Timestamp};
use tokio::sync::{Semaphore, watch};

use crate::accounts::Accounts;
use crate::live::Live;
use crate::origin::Origins;
use crate::page::Page;
use crate::routes::Routes;
use crate::{Options, StartError};

/// Range queries and storage figures at a time: each may read many megabytes.
const HEAVY_AT_ONCE_MAX: usize = 4;
/// Other calls of the store at a time. Their own number, so that signing in never waits behind a year's chart.
const LIGHT_AT_ONCE_MAX: usize = 32;
/// Who waits longer for their turn is told to come again.
const TURN_WAIT: Duration = Duration::from_secs(5);

/// What all request handlers share.
pub(crate) struct App {
    pub(crate) store: Arc<Store>,
    pub(crate) options: Options,
    pub(crate) origins: Origins,
    pub(crate) accounts: Accounts,
    pub(crate) live: Live,
    pub(crate) page: Page,
    pub(crate) routes: Routes,
    heavy: Arc<Semaphore>,
    light: Arc<Semaphore>,
}

impl App {
    pub(crate) async fn start(
        store: Arc<Store>,
        options: Options,
        stop: watch::Receiver<bool>,
    ) -> Result<Arc<App>, StartError> {
        let (of_accounts, token) = (store.clone(), options.sign_up_token.clone());
        let accounts = tokio::task::spawn_blocking(move || Accounts::new(of_accounts, token)).await;
        let accounts = accounts.map_err(std::io::Error::other)??;
        Ok(Arc::new(App {
            origins: Origins::new(options.public_url.as_deref()),
            accounts,
            live: Live::new(&store, stop),
            page: Page::built(),
            routes: Routes::new(),
            heavy: Arc::new(Semaphore::new(HEAVY_AT_ONCE_MAX)),
            light: Arc::new(Semaphore::new(LIGHT_AT_ONCE_MAX)),
            store,
            options,
        }))
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.options.clock)()
    }

    /// Runs a short call of the store on the blocking pool.
    pub(crate) async fn light<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> store::Result<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        let result = self.blocking(&self.light, work).await?;
        result.map_err(|error| self.failed(error))
    }

    /// Like [`App::light`], for calls that may read much.
    pub(crate) async fn heavy<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> store::Result<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        let result = self.blocking(&self.heavy, work).await?;
        result.map_err(|error| self.failed(error))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        turns: &Arc<Semaphore>,
        work: impl FnOnce(&Store) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let Ok(Ok(turn)) = tokio::time::timeout(TURN_WAIT, turns.clone().acquire_owned()).await else {
            return Err(ApiError::unavailable("The server has too much to read at the moment.", 5));
        };
        let store = self.store.clone();
        // The turn goes with the work: when the client leaves and this future is dropped, the work still goes on.
        let done = tokio::task::spawn_blocking(move || {
            let result = work(&store);
            drop(turn);
            result
        });
        done.await.map_err(|error| {
            tracing::error!(%error, "a call of the store ended early");
            ApiError::internal()
        })
    }

    /// The answer to an error of the store; what it says about the inside goes to the log.
    pub(crate) fn failed(&self, error: store::Error) -> ApiError {
        use store::Error;
        match error {
            Error::Conflict { .. } => ApiError::conflict("Something with that name is there already."),
            Error::LastAdmin => ApiError::conflict("There must be an administrator left."),
            Error::Full { what, limit } => {
                ApiError::conflict(format!("There are {limit} {what} already: as many as there may be."))
            }
            Error::NotFound { what } => ApiError::not_found(format!("There is no such {what}.")),
            Error::TooMuch { limit } => ApiError::invalid(
                "metric",
                format!(
                    "The query reads more than {limit} samples; ask for a shorter range, fewer series or fewer points."
                ),
            ),
            Error::TooManySeries { limit } => ApiError::invalid(
                "metric",
                format!("The query has more than {limit} series; name fewer devices or metrics."),
            ),
            Error::TooLong { limit_ms } => ApiError::invalid(
                "metric",
                format!(
                    "The query takes longer than {limit_ms} ms; ask for a shorter range or fewer series."
                ),
            ),
            Error::SearchTooLong { limit_ms } => ApiError::invalid(
                "q",
                format!(
                    "The search takes longer than {limit_ms} ms; ask for a shorter time, one device, or three letters or more."
                ),
            ),
            Error::Closed => ApiError::unavailable("The server is stopping.", 5),
            other => {
                tracing::error!(error = %other, "the store failed");
                match self.store.health() {
                    Health::Ready | Health::Failing(_) => ApiError::internal(),
                    Health::ReadOnly(_) => {
                        ApiError::unavailable("The server cannot store anything at present.", 10)
                    }
                }
            }
        }
    }
}
