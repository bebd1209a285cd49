//! What every test stands on: the running stack, its users and the calls they make.

mod answer;
mod auditor;
mod call;
mod function_under_test;
mod internals;
mod proxy;
mod stack;
mod user;
pub(crate) mod wire;

pub(crate) use answer::{Answer, Body};
pub(crate) use auditor::{Audited, Counts};
pub(crate) use call::Call;
pub(crate) use function_under_test::{FunctionUnderTest, TRACE};
pub(crate) use internals::{
    BASE32, Item, administrators_user, get_user, id_of, image_at, job_message, number, parts, profile_at, queued, sent,
    text, unknown_id, user_of,
};
pub(crate) use proxy::{Fault, Need, Proxy, Recorded, Rule, deaths, endless_deaths};
pub(crate) use stack::{Stack, aws_config, on_stack};
pub(crate) use user::{Created, PASSWORD, User};

use std::time::{Duration, Instant};

/// For a machine that has much else to do; where all is well nothing waits for it.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between the first two questions; each pause is a third longer than the last: every question takes time from what is
/// waited for.
const FIRST_PAUSE: Duration = Duration::from_millis(60);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Asks again and again until there is an answer, and fails naming what was waited for.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain for {what}");
        tokio::time::sleep(pause).await;
        pause = (pause * 4 / 3).min(LONGEST_PAUSE);
    }
}

/// A word that no other test, and no other run, uses.
pub(crate) fn unique() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
