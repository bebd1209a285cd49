use aws_sdk_secretsmanager::Client;
use aws_types::SdkConfig;

use crate::StoreError;
use crate::calls::RecordCalls;

/// A secret in Secrets Manager.
pub(crate) struct Secret {
    client: Client,
    id: String,
}

impl Secret {
    /// `id`: its ARN or name.
    pub(crate) fn new(config: &SdkConfig, id: impl Into<String>) -> Self {
        let config = aws_sdk_secretsmanager::config::Builder::from(config).interceptor(RecordCalls).build();
        Self { client: Client::from_conf(config), id: id.into() }
    }

    /// Returns its current text.
    pub(crate) async fn read(&self) -> Result<String, StoreError> {
        let answer = self.client.get_secret_value().secret_id(&self.id).send().await;
        let answer = answer.map_err(|e| StoreError::from_sdk("GetSecretValue", e))?;
        Ok(answer.secret_string.unwrap_or_default())
    }
}
