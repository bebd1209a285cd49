//! Retries of calls that conflict with others.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::StoreError;

/// The attempts of a throttled or conflicting call. The pause before the second is 15 to 30 ms; each is twice as long as
/// the one before, until about a second.
#[derive(Debug)]
pub(crate) struct Retries {
    call: &'static str,
    pauses: ExponentialBackoff,
}

/// The retries before the service counts as unavailable.
const RETRIES: usize = 7;

impl Retries {
    pub(crate) fn new(call: &'static str) -> Self {
        Self { call, pauses: pauses().with_max_times(RETRIES).build() }
    }

    /// For a caller that limits the time and not the attempts.
    pub(crate) fn unlimited(call: &'static str) -> Self {
        Self { call, pauses: pauses().without_max_times().build() }
    }

    /// Waits before the next attempt. Fails after the last.
    pub(crate) async fn pause(&mut self) -> Result<(), StoreError> {
        let unavailable = || StoreError::Unavailable(format!("{}: contended", self.call));
        tokio::time::sleep(self.pauses.next().ok_or_else(unavailable)?).await;
        Ok(())
    }
}

fn pauses() -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(15))
        .with_max_delay(Duration::from_secs(1))
        .with_jitter()
}
