use std::env;
use std::sync::LazyLock;

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use aws_types::SdkConfig;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::RwLock;

/// The deployment under test, as its environment describes it.
pub(crate) struct Stack {
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
    pub(crate) cognito: aws_sdk_cognitoidentityprovider::Client,
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) s3: aws_sdk_s3::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
    pub(crate) uploads_queue: String,
    pub(crate) jobs_queue: String,
    pub(crate) table: String,
    pub(crate) originals: String,
    pub(crate) thumbnails: String,
    pub(crate) user_pool: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    /// The secret that has the signing keys, and the one key that it has at first.
    pub(crate) signing_keys: String,
    pub(crate) signing_key: String,
    pub(crate) mails: String,
    /// The file with the log of all functions.
    pub(crate) log: String,
    /// The environment of each function, by its handler.
    pub(crate) environments: Value,
    /// Held for reading by every login, for writing while the app client's token lifetime is changed.
    pub(crate) token_lifetime: RwLock<()>,
}

// One runtime for the whole binary: pooled connections die with the runtime that opened them.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime can be started"));
static STACK: LazyLock<Result<Stack, String>> = LazyLock::new(Stack::from_env);

/// Runs one test against the stack that the environment names.
pub(crate) fn on_stack(test: impl AsyncFnOnce(&'static Stack)) {
    match &*STACK {
        Ok(stack) => RUNTIME.block_on(test(stack)),
        Err(reason) => panic!("{reason}"),
    }
}

/// The stack's operator, who may do everything. `aws-config` would read the same, with features that the functions do not
/// have, so everything of the SDK would be compiled twice.
pub(crate) fn aws_config() -> SdkConfig {
    let var = |name| env::var(name).unwrap_or_default();
    let token = env::var("AWS_SESSION_TOKEN").ok();
    let credentials =
        Credentials::new(var("AWS_ACCESS_KEY_ID"), var("AWS_SECRET_ACCESS_KEY"), token, None, "Environment");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(var("AWS_REGION")))
        .endpoint_url(var("AWS_ENDPOINT_URL"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

impl Stack {
    fn from_env() -> Result<Self, String> {
        let mut missing = Vec::new();
        let mut var = |name: &'static str| {
            env::var(name).unwrap_or_else(|_| {
                missing.push(name);
                String::new()
            })
        };
        let url = var("TINTYPE_URL").trim_end_matches('/').to_owned();
        let table = var("TINTYPE_TABLE");
        let originals = var("TINTYPE_ORIGINALS_BUCKET");
        let thumbnails = var("TINTYPE_THUMBNAILS_BUCKET");
        let user_pool = var("TINTYPE_USER_POOL_ID");
        let client_id = var("TINTYPE_CLIENT_ID");
        let client_secret = var("TINTYPE_CLIENT_SECRET");
        let (signing_keys, signing_key) = (var("TINTYPE_SIGNING_KEYS"), var("TINTYPE_SIGNING_KEY"));
        let mails = var("TINTYPE_MAILS_URL");
        let environments = serde_json::from_str(&var("TINTYPE_ENVIRONMENTS")).unwrap_or_default();
        let uploads_queue = var("TINTYPE_UPLOADS_QUEUE_URL");
        let jobs_queue = var("TINTYPE_JOBS_QUEUE_URL");
        let log = var("TINTYPE_LOG");
        var("AWS_ENDPOINT_URL");
        var("AWS_REGION");
        var("AWS_ACCESS_KEY_ID");
        var("AWS_SECRET_ACCESS_KEY");
        if !missing.is_empty() {
            return Err(format!(
                "These tests need a running stack, which `make test` starts and names in the environment; not set: {}.",
                missing.join(", ")
            ));
        }

        let aws = aws_config();
        let path_style = aws_sdk_s3::config::Builder::from(&aws).force_path_style(true).build();
        Ok(Self {
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .map_err(|error| error.to_string())?,
            cognito: aws_sdk_cognitoidentityprovider::Client::new(&aws),
            dynamodb: aws_sdk_dynamodb::Client::new(&aws),
            s3: aws_sdk_s3::Client::from_conf(path_style),
            sqs: aws_sdk_sqs::Client::new(&aws),
            url,
            table,
            originals,
            thumbnails,
            user_pool,
            client_id,
            client_secret,
            signing_keys,
            signing_key,
            mails,
            log,
            environments,
            uploads_queue,
            jobs_queue,
            token_lifetime: RwLock::new(()),
        })
    }
}
