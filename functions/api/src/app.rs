use std::env;
use std::time::Duration;

use tintype_model::{PlanName, SigningKey};
use tintype_store::{Accounts, Blobs, JobQueue, KeySet, Plans, Table};

/// What a function has at hand, made once from the environment that `template.yaml` gives it.
pub(crate) struct App {
    pub(crate) table: Table,
    pub(crate) blobs: Blobs,
    pub(crate) accounts: Accounts,
    pub(crate) keys: KeySet,
    pub(crate) jobs: JobQueue,
    pub(crate) plans: Plans,
    pub(crate) signing: SigningKey,
    /// The plan of a new user, if any.
    pub(crate) default_plan: Option<PlanName>,
    /// The origin that links to this API begin with; where there is none, the one the request came to.
    pub(crate) public_url: Option<String>,
    /// How long an image waits for its upload, and a sign-up for its confirmation.
    pub(crate) pending: Duration,
    /// How long a session can be renewed.
    pub(crate) session: Duration,
}

type InitError = Box<dyn std::error::Error + Send + Sync>;

fn required(name: &str) -> Result<String, InitError> {
    env::var(name).map_err(|_| format!("the environment lacks {name}").into())
}

fn optional(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn number<T: std::str::FromStr>(name: &str, default: T) -> Result<T, InitError> {
    optional(name).map_or(Ok(default), |text| text.parse().map_err(|_| format!("{name} is no number").into()))
}

impl App {
    pub(crate) async fn from_env() -> Result<Self, InitError> {
        let config = tintype_store::aws_config().await;
        let (pool, client_id, secret) = (required("USER_POOL_ID")?, required("CLIENT_ID")?, required("SIGNING_KEY")?);
        Ok(Self {
            table: Table::new(&config, required("TABLE")?, number("FEED_SHARDS", 4)?),
            blobs: Blobs::new(&config, required("ORIGINALS_BUCKET")?, required("THUMBNAILS_BUCKET")?),
            keys: KeySet::new(&config, &pool, client_id.clone()),
            // Routes that begin no job have no queue.
            jobs: JobQueue::new(&config, optional("JOBS_QUEUE_URL").unwrap_or_default()),
            signing: SigningKey::new(secret.clone()),
            accounts: Accounts::new(&config, pool, client_id, secret),
            plans: Plans::default(),
            default_plan: optional("DEFAULT_PLAN").map(PlanName::from_stored),
            public_url: optional("PUBLIC_URL").map(|url| url.trim_end_matches('/').to_owned()),
            pending: Duration::from_secs(3600 * number("PENDING_HOURS", 24)?),
            session: Duration::from_secs(86_400 * number("REFRESH_DAYS", 30)?),
        })
    }
}
