use std::env;
use std::sync::LazyLock;
use std::time::Duration;

use tintype_model::{ContentType, PlanName};
use tintype_store::{Accounts, BlobStore, CdnSecret, JobQueue, Jwks, KeyRing, Store};

/// A client that not every route uses: a start without it takes less time.
type Lazy<T> = LazyLock<T, Box<dyn FnOnce() -> T + Send + Sync>>;

fn lazy<T>(init: impl FnOnce() -> T + Send + Sync + 'static) -> Lazy<T> {
    LazyLock::new(Box::new(init))
}

/// The clients and settings of a function, from the environment that `template.yaml` defines.
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) blobs: Lazy<BlobStore>,
    pub(crate) accounts: Lazy<Accounts>,
    pub(crate) keys: Jwks,
    pub(crate) jobs: Lazy<JobQueue>,
    /// None where the route signs nothing.
    pub(crate) signing: Option<KeyRing>,
    /// None where there is no CDN, or the route does not need the client's address.
    pub(crate) cdn: Option<CdnSecret>,
    /// The plan of a new user, if any.
    pub(crate) default_plan: Option<PlanName>,
    /// The types that can be uploaded.
    pub(crate) content_types: Vec<ContentType>,
    /// The origin of URLs of this API; without one, the origin that the request was sent to.
    pub(crate) public_url: Option<String>,
    /// The origin whose pages may call the API, `*` for any; none where the function answers no preflights.
    pub(crate) allowed_origin: Option<String>,
    /// How long a pending image and an unconfirmed account are kept.
    pub(crate) pending: Duration,
    /// The lifetime of a session.
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

/// `formats`: subtypes, such as `jpeg,png`. All without it.
fn content_types(formats: Option<String>) -> Result<Vec<ContentType>, InitError> {
    let Some(formats) = formats else { return Ok(ContentType::ALL.to_vec()) };
    let parse = |name: &str| ContentType::parse(&format!("image/{name}"));
    formats
        .split(',')
        .map(|name| parse(name).map_err(|error| format!("IMAGE_FORMATS: {name} {error}").into()))
        .collect()
}

impl App {
    pub(crate) fn from_env() -> Result<Self, InitError> {
        let config = tintype_store::aws_config()?;
        let (pool, client_id) = (required("USER_POOL_ID")?, required("CLIENT_ID")?);
        let (originals, thumbnails) = (required("ORIGINALS_BUCKET")?, required("THUMBNAILS_BUCKET")?);
        // Routes that start no job have no queue.
        let queue = optional("JOBS_QUEUE_URL").unwrap_or_default();
        let [for_blobs, for_jobs, for_accounts] = [config.clone(), config.clone(), config.clone()];
        Ok(Self {
            store: Store::new(&config, required("TABLE")?, number("FEED_SHARDS", 4)?),
            blobs: lazy(move || BlobStore::new(&for_blobs, originals, thumbnails)),
            keys: Jwks::new(&config, required("USER_POOL_URL")?, client_id.clone()),
            jobs: lazy(move || JobQueue::new(&for_jobs, queue)),
            signing: optional("SIGNING_KEYS").map(|secret| KeyRing::new(&config, secret)),
            cdn: optional("CDN_SECRET").map(|secret| CdnSecret::new(&config, secret)),
            accounts: lazy(move || Accounts::new(&for_accounts, pool, client_id)),
            default_plan: optional("DEFAULT_PLAN").map(PlanName::from_stored),
            content_types: content_types(optional("IMAGE_FORMATS"))?,
            public_url: optional("PUBLIC_URL").map(|url| url.trim_end_matches('/').to_owned()),
            allowed_origin: optional("ALLOWED_ORIGIN"),
            pending: Duration::from_secs(3600 * number("PENDING_HOURS", 24)?),
            session: Duration::from_secs(86_400 * number("REFRESH_DAYS", 30)?),
        })
    }
}
