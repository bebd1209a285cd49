//! Signs URLs of blobs: S3's "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)".
//!
//! The SDK signs by doing all that it does for a call but sending it. A list of 50 images has 150 URLs, so here only the address of
//! a bucket comes from the SDK, once.

use std::time::{Duration, SystemTime};

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_s3::Client;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4::SigningParams;
use aws_types::SdkConfig;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::OnceCell;

use crate::StoreError;

/// What a value in a query is encoded as: all but the unreserved characters (RFC 3986, 2.3), as the signature wants it.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Signs requests to one bucket.
#[derive(Debug)]
pub(crate) struct Presigner {
    client: Client,
    credentials: Option<SharedCredentialsProvider>,
    region: String,
    bucket: String,
    /// Where keys are appended to.
    address: OnceCell<String>,
}

/// A request to be signed. Its key needs no encoding.
pub(crate) struct ToSign<'a> {
    pub(crate) method: &'static str,
    pub(crate) key: &'a str,
    pub(crate) query: &'a [(&'static str, &'a str)],
    /// Headers that the request must have, besides `Host`.
    pub(crate) headers: &'a [(&'static str, &'a str)],
    pub(crate) start: SystemTime,
    pub(crate) lasting: Duration,
}

impl Presigner {
    pub(crate) fn new(config: &SdkConfig, client: Client, bucket: String) -> Self {
        let region = config.region().map(ToString::to_string).unwrap_or_default();
        Self { client, credentials: config.credentials_provider(), region, bucket, address: OnceCell::new() }
    }

    /// Returns the URL with its signature.
    pub(crate) async fn sign(&self, request: &ToSign<'_>) -> Result<String, StoreError> {
        let provider = self.credentials.as_ref().ok_or_else(|| StoreError::internal("no credentials"))?;
        let identity = provider.provide_credentials().await.map_err(StoreError::internal)?.into();
        let mut url = format!("{}{}", self.address.get_or_try_init(|| self.find_address()).await?, request.key);
        for (number, (name, value)) in request.query.iter().enumerate() {
            push(&mut url, if number == 0 { '?' } else { '&' }, name, value);
        }
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(request.lasting);
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(request.start)
            .settings(settings)
            .build()
            .map_err(StoreError::internal)?
            .into();
        let headers = request.headers.iter().copied();
        let body = SignableBody::UnsignedPayload;
        let signable = SignableRequest::new(request.method, url.as_str(), headers, body);
        let signed = sign(signable.map_err(StoreError::internal)?, &parameters).map_err(StoreError::internal)?;
        let (_, parameters) = signed.into_parts().0.into_parts();
        for (number, (name, value)) in parameters.into_iter().enumerate() {
            push(&mut url, if number == 0 && request.query.is_empty() { '?' } else { '&' }, name, &value);
        }
        Ok(url)
    }

    /// The bucket's address, as the SDK's rules for endpoints have it.
    async fn find_address(&self) -> Result<String, StoreError> {
        let any = PresigningConfig::expires_in(Duration::from_secs(1)).map_err(StoreError::internal)?;
        let signed = self.client.head_object().bucket(&self.bucket).key("_").presigned(any).await;
        let signed = signed.map_err(StoreError::internal)?;
        let address = signed.uri().split('?').next().and_then(|address| address.strip_suffix('_'));
        address.map(str::to_owned).ok_or_else(|| StoreError::internal("the SDK's URL does not end with the key"))
    }
}

fn push(url: &mut String, separator: char, name: &str, value: &str) {
    url.push(separator);
    url.push_str(name);
    url.push('=');
    url.extend(utf8_percent_encode(value, ENCODED));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::UNIX_EPOCH;

    use aws_credential_types::Credentials;
    use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
    use aws_types::region::Region;

    use super::*;

    /// The keys of the examples in S3's API reference.
    const KEYS: (&str, &str) = (
        "AKIAIOSFODNN7EXAMPLE", // pragma: allowlist secret
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    );

    fn config(session_token: Option<&str>) -> SdkConfig {
        let keys = Credentials::new(KEYS.0, KEYS.1, session_token.map(str::to_owned), None, "test");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(keys))
            .build()
    }

    fn presigner(config: &SdkConfig) -> Presigner {
        Presigner::new(config, Client::new(config), "examplebucket".into())
    }

    fn parameters(url: &str) -> (&str, BTreeSet<&str>) {
        let (address, query) = url.split_once('?').unwrap();
        (address, query.split('&').collect())
    }

    /// "Authenticating Requests: Using Query Parameters", an example.
    #[tokio::test]
    async fn the_signature_of_the_documented_example() {
        let mut presigner = presigner(&config(None));
        presigner.address = OnceCell::new_with(Some("https://examplebucket.s3.amazonaws.com/".into()));
        let (start, lasting) = (UNIX_EPOCH + Duration::from_secs(1_369_353_600), Duration::from_secs(86_400));
        let get = ToSign { method: "GET", key: "test.txt", query: &[], headers: &[], start, lasting };
        let url = presigner.sign(&get).await.unwrap();
        let signature = "X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        assert!(url.ends_with(signature), "{url}");
    }

    #[tokio::test]
    async fn urls_are_those_that_the_sdk_signs() {
        let config = config(Some("a session's token+/="));
        let (presigner, client) = (presigner(&config), Client::new(&config));
        let (start, lasting) = (UNIX_EPOCH + Duration::from_secs(1_800_000_000), Duration::from_secs(900));
        let settings = PresigningConfig::builder().start_time(start).expires_in(lasting).build().unwrap();

        let name = "inline; filename=\"a_ b.jpg\"; filename*=UTF-8''%C3%A9%20~b.jpg";
        let get = client.get_object().bucket("examplebucket").key("originals/a/b/original");
        let get = get.response_content_type("image/jpeg").response_content_disposition(name);
        let expected = get.presigned(settings.clone()).await.unwrap();
        let query =
            [("response-content-disposition", name), ("response-content-type", "image/jpeg"), ("x-id", "GetObject")];
        let key = "originals/a/b/original";
        let signed = presigner.sign(&ToSign { method: "GET", key, query: &query, headers: &[], start, lasting }).await;
        assert_eq!(parameters(&signed.unwrap()), parameters(expected.uri()));

        let hash = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let put = client.put_object().bucket("examplebucket").key(key).content_length(7).content_type("image/png");
        let put = put.if_none_match("*").checksum_sha256(hash);
        let expected = put.presigned(settings).await.unwrap();
        let headers: Vec<(&str, &str)> = expected.headers().collect();
        let ours = [
            ("content-length", "7"),
            ("content-type", "image/png"),
            ("if-none-match", "*"),
            ("x-amz-checksum-sha256", hash),
        ];
        assert_eq!(BTreeSet::from_iter(headers), BTreeSet::from(ours));
        let query = [("x-id", "PutObject")];
        let signed =
            presigner.sign(&ToSign { method: "PUT", key, query: &query, headers: &ours, start, lasting }).await;
        assert_eq!(parameters(&signed.unwrap()), parameters(expected.uri()));
    }
}
