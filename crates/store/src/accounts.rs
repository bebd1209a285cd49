//! The user pool: users and their passwords. Clients never call it themselves.

use std::fmt;

use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::config::retry::RetryConfig;
use aws_sdk_cognitoidentityprovider::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cognitoidentityprovider::types::{
    AttributeType, AuthFlowType, AuthenticationResultType, ChallengeNameType, UserStatusType,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tintype_model::{Claims, Email, PersonName, Timestamp, UserId};
use tokio::sync::OnceCell;

use crate::calls::RecordCalls;
use crate::{StoreError, keyset};

pub struct Accounts {
    client: Client,
    pool: String,
    client_id: String,
    /// Read from the pool at first use. It is not in the environment, because `lambda:GetFunctionConfiguration` shows that.
    client_secret: OnceCell<String>,
}

/// A user of the pool.
#[derive(Debug, Clone)]
pub struct PoolUser {
    pub id: UserId,
    pub email: Email,
    pub name: PersonName,
    pub confirmed: bool,
    pub created_at: Timestamp,
}

/// The tokens of a new or renewed session.
#[derive(Debug)]
pub struct LoggedIn {
    pub access_token: String,
    /// The claims of the access token.
    pub claims: Claims,
    /// Seconds.
    pub expires_in: u32,
    /// The pool's own; `None` after a renewal.
    pub refresh_token: Option<String>,
    pub email: Email,
    pub name: PersonName,
}

#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error("the e-mail has an account")]
    EmailTaken,
    /// The rule that the password breaks.
    #[error("weak password: {0}")]
    WeakPassword(String),
    #[error("wrong code")]
    BadCode,
    #[error("expired code")]
    ExpiredCode,
    #[error("wrong e-mail or password")]
    BadCredentials,
    #[error("the e-mail is not confirmed")]
    NotConfirmed,
    #[error("the password must be changed")]
    PasswordChangeRequired,
    #[error("too many attempts")]
    RateLimited,
    /// The pool does not accept the form of the address.
    #[error("an address that the pool does not accept")]
    BadEmail,
    /// The pool cannot send mail at present: its daily limit is reached, or its mailer fails.
    #[error("mail not sent: {0}")]
    MailNotSent(String),
    /// The pool refused a parameter; each call knows which ones come from the client.
    #[error("invalid parameter: {0}")]
    InvalidParameter(InvalidParameter),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A parameter that the pool refused.
#[derive(Debug)]
pub struct InvalidParameter {
    parameter: Parameter,
    /// The value breaks a constraint of the API, such as a length.
    breaks_constraint: bool,
    /// The call and the pool's message.
    message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parameter {
    /// The password breaks the pool's hard limits (more than 256 characters, white space at an end), which the pool checks
    /// before its policy.
    Password,
    /// The e-mail address, which is also the user name.
    Email,
    Other,
}

/// Why a password was not reset.
#[derive(Debug)]
pub struct ResetError {
    pub error: AccountError,
    /// True if the pool refused the reset; false if it may have performed it.
    pub refused: bool,
}

impl InvalidParameter {
    /// The exception has no field for the parameter, only a message for people: "1 validation error detected: Value at
    /// 'password' failed to satisfy constraint: ...", "Invalid email address format.".
    fn new(call: &'static str, message: &str) -> Self {
        let lower = message.to_lowercase();
        let parameter = if ["'password'", "'newPassword'", "Password "].iter().any(|word| message.contains(word)) {
            Parameter::Password
        } else if ["email", "'username'", "'userattributes"].iter().any(|word| lower.contains(word)) {
            Parameter::Email
        } else {
            Parameter::Other
        };
        let breaks_constraint = message.contains("validation error");
        Self { parameter, breaks_constraint, message: format!("{call}: {message}") }
    }
}

impl fmt::Display for InvalidParameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Accounts {
    pub fn new(config: &aws_types::SdkConfig, pool: impl Into<String>, client_id: impl Into<String>) -> Self {
        let config = aws_sdk_cognitoidentityprovider::config::Builder::from(config).interceptor(RecordCalls).build();
        Self {
            client: Client::from_conf(config),
            pool: pool.into(),
            client_id: client_id.into(),
            client_secret: OnceCell::new(),
        }
    }

    async fn client_secret(&self) -> Result<&str, StoreError> {
        let read = async || {
            let call = self.client.describe_user_pool_client().user_pool_id(&self.pool).client_id(&self.client_id);
            let answer = call.send().await.map_err(|e| StoreError::from_sdk("DescribeUserPoolClient", e))?;
            let secret = answer.user_pool_client.and_then(|client| client.client_secret);
            secret.ok_or_else(|| StoreError::Internal("an app client without a secret".into()))
        };
        self.client_secret.get_or_try_init(read).await.map(String::as_str)
    }

    /// The proof that a call for `username` comes from the app client.
    async fn secret_hash(&self, username: &str) -> Result<String, StoreError> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.client_secret().await?.as_bytes()).expect("any length");
        mac.update(username.as_bytes());
        mac.update(self.client_id.as_bytes());
        Ok(STANDARD.encode(mac.finalize().into_bytes()))
    }

    /// Creates an unconfirmed user and mails a code.
    pub async fn sign_up(&self, email: &Email, password: &str, name: &PersonName) -> Result<UserId, AccountError> {
        let answer = self
            .client
            .sign_up()
            .client_id(&self.client_id)
            .secret_hash(self.secret_hash(email.as_str()).await?)
            .username(email.as_str())
            .password(password)
            .user_attributes(attribute("email", email.as_str())?)
            .user_attributes(attribute("name", name.as_str())?)
            .customize()
            .config_override(once())
            .send()
            .await
            .map_err(|e| match classify("SignUp", e) {
                AccountError::InvalidParameter(refused) if refused.parameter == Parameter::Password => {
                    invalid_password()
                }
                AccountError::InvalidParameter(refused) if refused.parameter == Parameter::Email => {
                    AccountError::BadEmail
                }
                error => error,
            })?;
        user_id(&answer.user_sub)
    }

    pub async fn confirm(&self, email: &Email, code: &str) -> Result<(), AccountError> {
        let call = self.client.confirm_sign_up().client_id(&self.client_id).username(email.as_str());
        let call = call.secret_hash(self.secret_hash(email.as_str()).await?).confirmation_code(code);
        call.customize().config_override(once()).send().await.map(|_| ()).map_err(|e| {
            match classify("ConfirmSignUp", e) {
                // An unknown or confirmed user gets the same error as a wrong code, so that nobody learns which addresses
                // have an account. A code with characters that the pool's pattern excludes is an invalid parameter.
                AccountError::BadCredentials | AccountError::InvalidParameter(_) => AccountError::BadCode,
                error => error,
            }
        })
    }

    /// Mails another code. Returns `BadCredentials` if no sign-up waits for one: for the pool, a confirmed user is an
    /// invalid parameter.
    pub async fn resend_code(&self, email: &Email) -> Result<(), AccountError> {
        let call = self.client.resend_confirmation_code().client_id(&self.client_id).username(email.as_str());
        let call = call.secret_hash(self.secret_hash(email.as_str()).await?);
        call.send().await.map(|_| ()).map_err(|e| no_user(classify("ResendConfirmationCode", e)))
    }

    /// Mails a code for a password reset. Returns `BadCredentials` if no user can have one: for the pool, a user whose e-mail
    /// is not verified is an invalid parameter.
    pub async fn forgot_password(&self, email: &Email) -> Result<(), AccountError> {
        let call = self.client.forgot_password().client_id(&self.client_id).username(email.as_str());
        let call = call.secret_hash(self.secret_hash(email.as_str()).await?);
        call.send().await.map(|_| ()).map_err(|e| no_user(classify("ForgotPassword", e)))
    }

    pub async fn reset_password(&self, email: &Email, code: &str, new_password: &str) -> Result<(), ResetError> {
        let call = self.client.confirm_forgot_password().client_id(&self.client_id).username(email.as_str());
        // The pool was not called yet.
        let not_called = |error: StoreError| ResetError { error: error.into(), refused: true };
        let hash = self.secret_hash(email.as_str()).await.map_err(not_called)?;
        let call = call.secret_hash(hash).confirmation_code(code).password(new_password);
        call.customize().config_override(once()).send().await.map(|_| ()).map_err(|e| {
            let refused = e.raw_response().is_some_and(|answer| answer.status().is_client_error());
            let error = match classify("ConfirmForgotPassword", e) {
                AccountError::InvalidParameter(refused) if refused.parameter == Parameter::Password => {
                    invalid_password()
                }
                AccountError::BadCredentials | AccountError::InvalidParameter(_) => AccountError::BadCode,
                error => error,
            };
            ResetError { error, refused }
        })
    }

    /// Begins a session. Answers a NEW_PASSWORD_REQUIRED challenge with `new_password`. If an earlier attempt set it but its
    /// response was lost, `password` is out of date, so `new_password` is tried as the password.
    pub async fn log_in(
        &self,
        email: &Email,
        password: &str,
        new_password: Option<&str>,
    ) -> Result<LoggedIn, AccountError> {
        match (self.log_in_once(email, password, new_password).await, new_password) {
            (Err(AccountError::BadCredentials), Some(new)) => self.log_in_once(email, new, None).await,
            (begun, _) => begun,
        }
    }

    async fn log_in_once(
        &self,
        email: &Email,
        password: &str,
        new_password: Option<&str>,
    ) -> Result<LoggedIn, AccountError> {
        let answer = self
            .client
            .admin_initiate_auth()
            .user_pool_id(&self.pool)
            .client_id(&self.client_id)
            .auth_flow(AuthFlowType::AdminUserPasswordAuth)
            .auth_parameters("USERNAME", email.as_str())
            .auth_parameters("PASSWORD", password)
            .auth_parameters("SECRET_HASH", self.secret_hash(email.as_str()).await?)
            .send()
            .await
            .map_err(|e| match classify("AdminInitiateAuth", e) {
                // No user can have a value that breaks a constraint. Other messages are about the deployment.
                AccountError::InvalidParameter(refused) if refused.breaks_constraint => AccountError::BadCredentials,
                error => error,
            })?;
        if let Some(tokens) = answer.authentication_result {
            return logged_in(tokens);
        }
        if answer.challenge_name != Some(ChallengeNameType::NewPasswordRequired) {
            return Err(internal(format!("AdminInitiateAuth: challenge {:?}", answer.challenge_name)));
        }
        let Some(new_password) = new_password else { return Err(AccountError::PasswordChangeRequired) };
        let username = answer.challenge_parameters.as_ref().and_then(|p| p.get("USER_ID_FOR_SRP"));
        let username = username.map_or(email.as_str(), String::as_str);
        // The pool requires a name. A user that was created in the console may have none.
        let required = answer.challenge_parameters.as_ref().and_then(|p| p.get("requiredAttributes"));
        let name =
            required.is_some_and(|names| names.contains("\"userAttributes.name\"")).then(|| name_of(None, email));
        let call = self
            .client
            .admin_respond_to_auth_challenge()
            .user_pool_id(&self.pool)
            .client_id(&self.client_id)
            .challenge_name(ChallengeNameType::NewPasswordRequired)
            .challenge_responses("USERNAME", username)
            .challenge_responses("NEW_PASSWORD", new_password)
            .challenge_responses("SECRET_HASH", self.secret_hash(username).await?)
            .set_session(answer.session);
        let call = match &name {
            Some(name) => call.challenge_responses("userAttributes.name", name.as_str()),
            None => call,
        };
        let answer = call.send().await.map_err(|e| match classify("AdminRespondToAuthChallenge", e) {
            AccountError::InvalidParameter(refused) if refused.parameter == Parameter::Password => invalid_password(),
            error => error,
        })?;
        logged_in(answer.authentication_result.ok_or_else(|| internal("no tokens after the new password"))?)
    }

    /// Renews the tokens of `user`'s session.
    pub async fn refresh(&self, user: UserId, pool_token: &str) -> Result<LoggedIn, AccountError> {
        let answer = self
            .client
            .admin_initiate_auth()
            .user_pool_id(&self.pool)
            .client_id(&self.client_id)
            .auth_flow(AuthFlowType::RefreshTokenAuth)
            .auth_parameters("REFRESH_TOKEN", pool_token)
            .auth_parameters("SECRET_HASH", self.secret_hash(&user.to_string()).await?)
            .send()
            .await
            .map_err(|e| classify("AdminInitiateAuth", e))?;
        logged_in(answer.authentication_result.ok_or_else(|| internal("no tokens after a refresh"))?)
    }

    /// Revokes a refresh token and the access tokens that it renewed.
    pub async fn revoke(&self, pool_token: &str) -> Result<(), AccountError> {
        let call = self.client.revoke_token().client_id(&self.client_id).client_secret(self.client_secret().await?);
        call.token(pool_token).send().await.map(|_| ()).map_err(|e| classify("RevokeToken", e))
    }

    /// Revokes all tokens of a user.
    pub async fn sign_out_everywhere(&self, user: UserId) -> Result<(), AccountError> {
        let call = self.client.admin_user_global_sign_out().user_pool_id(&self.pool).username(user.to_string());
        call.send().await.map(|_| ()).map_err(|e| classify("AdminUserGlobalSignOut", e))
    }

    pub async fn find(&self, email: &Email) -> Result<Option<PoolUser>, AccountError> {
        let answer = self.client.admin_get_user().user_pool_id(&self.pool).username(email.as_str()).send().await;
        let user = match answer {
            Ok(user) => user,
            Err(e) if e.as_service_error().is_some_and(|e| e.is_user_not_found_exception()) => return Ok(None),
            Err(e) => {
                return match classify("AdminGetUser", e) {
                    // No user can have such a name.
                    AccountError::InvalidParameter(_) => Ok(None),
                    error => Err(error),
                };
            }
        };
        let created_at = user.user_create_date.map_or(0, |at| at.secs());
        pool_user(user.user_attributes(), user.user_status.as_ref(), created_at).map(Some)
    }

    /// Returns at most `limit` users by the prefix of their e-mail, in the pool's order, and the token of the next page. The
    /// pool returns at most 60. `prefix` must not contain quotation marks or backslashes. Returns `InvalidParameter` if the
    /// pool refuses the prefix or the token, which expires after an hour.
    pub async fn list(
        &self,
        prefix: &str,
        limit: usize,
        after: Option<String>,
    ) -> Result<(Vec<PoolUser>, Option<String>), AccountError> {
        let filter = (!prefix.is_empty()).then(|| format!("email ^= \"{prefix}\""));
        let call = self.client.list_users().user_pool_id(&self.pool).set_filter(filter).set_pagination_token(after);
        let call = call.limit(i32::try_from(limit.min(60)).unwrap_or(60));
        let answer = call.send().await.map_err(|e| classify("ListUsers", e))?;
        let users = answer.users.unwrap_or_default();
        let users = users.iter().map(|user| {
            pool_user(user.attributes(), user.user_status.as_ref(), user.user_create_date.map_or(0, |at| at.secs()))
        });
        Ok((users.collect::<Result<_, _>>()?, answer.pagination_token))
    }

    /// Returns true if the pool has the user. A user can delete their Cognito account with an access token.
    pub async fn exists(&self, user: UserId) -> Result<bool, AccountError> {
        match self.client.admin_get_user().user_pool_id(&self.pool).username(user.to_string()).send().await {
            Ok(_) => Ok(true),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_user_not_found_exception()) => Ok(false),
            Err(e) => Err(classify("AdminGetUser", e)),
        }
    }

    /// Makes a user an administrator. Their tokens say so from the next login on.
    pub async fn make_admin(&self, user: UserId) -> Result<(), AccountError> {
        let call = self.client.admin_add_user_to_group().user_pool_id(&self.pool).username(user.to_string());
        let call = call.group_name(Claims::ADMINS);
        call.send().await.map(|_| ()).map_err(|e| classify("AdminAddUserToGroup", e))
    }

    pub async fn delete(&self, user: UserId) -> Result<(), AccountError> {
        let call = self.client.admin_delete_user().user_pool_id(&self.pool).username(user.to_string());
        match call.send().await {
            Ok(_) => Ok(()),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_user_not_found_exception()) => Ok(()),
            Err(e) => Err(classify("AdminDeleteUser", e)),
        }
    }
}

/// Disables retries of the SDK: after a lost response, a retry would report the first attempt's success as a taken e-mail or
/// a wrong code.
fn once() -> aws_sdk_cognitoidentityprovider::config::Builder {
    aws_sdk_cognitoidentityprovider::Config::builder().retry_config(RetryConfig::disabled())
}

fn attribute(name: &str, value: &str) -> Result<AttributeType, AccountError> {
    AttributeType::builder().name(name).value(value).build().map_err(internal)
}

/// Returns the name in the pool, or the part of the address before the `@` for a user without one: the console can create
/// such a user although the pool requires a name.
fn name_of(known: Option<&str>, email: &Email) -> PersonName {
    let local = || email.as_str().split('@').next().unwrap_or_default();
    PersonName::from_stored(known.filter(|name| !name.is_empty()).unwrap_or_else(local).to_owned())
}

/// `created_at`: seconds since 1970.
fn pool_user(
    attributes: &[AttributeType],
    status: Option<&UserStatusType>,
    created_at: i64,
) -> Result<PoolUser, AccountError> {
    let value = |name: &str| {
        let attribute = attributes.iter().find(|attribute| attribute.name() == name);
        attribute.and_then(|a| a.value()).ok_or_else(|| internal(format!("a user without {name}")))
    };
    let email = Email::from_stored(value("email")?.to_lowercase());
    Ok(PoolUser {
        id: user_id(value("sub")?)?,
        name: name_of(value("name").ok(), &email),
        email,
        confirmed: status != Some(&UserStatusType::Unconfirmed),
        created_at: Timestamp::from_secs(created_at),
    })
}

fn internal(error: impl std::fmt::Display) -> AccountError {
    AccountError::Store(StoreError::internal(error))
}

fn user_id(sub: &str) -> Result<UserId, AccountError> {
    sub.parse().map_err(|_| internal("a user whose sub is no UUID"))
}

fn logged_in(tokens: AuthenticationResultType) -> Result<LoggedIn, AccountError> {
    let (Some(access_token), Some(id_token)) = (tokens.access_token, tokens.id_token) else {
        return Err(internal("an answer without tokens"));
    };
    // The tokens came from the pool itself, so they need no verification.
    let claims =
        keyset::claims(&payload(&access_token)?).ok_or_else(|| internal("an access token without its claims"))?;
    let id = payload(&id_token)?;
    let value = |name: &str| id[name].as_str().ok_or_else(|| internal(format!("an ID token without {name}")));
    let email = Email::from_stored(value("email")?.to_lowercase());
    Ok(LoggedIn {
        claims,
        expires_in: u32::try_from(tokens.expires_in).unwrap_or_default(),
        refresh_token: tokens.refresh_token,
        name: name_of(value("name").ok(), &email),
        email,
        access_token,
    })
}

fn payload(token: &str) -> Result<serde_json::Value, AccountError> {
    let payload = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    payload.and_then(|json| serde_json::from_slice(&json).ok()).ok_or_else(|| internal("a token that is no JWT"))
}

/// Converts a refused parameter to an unknown user.
fn no_user(error: AccountError) -> AccountError {
    match error {
        AccountError::InvalidParameter(_) => AccountError::BadCredentials,
        error => error,
    }
}

fn invalid_password() -> AccountError {
    AccountError::WeakPassword("Use 8 to 256 characters, without white space at either end.".into())
}

/// Converts an exception of the pool.
fn classify<E, R>(call: &'static str, error: SdkError<E, R>) -> AccountError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let SdkError::ServiceError(service) = &error else { return StoreError::from_sdk(call, error).into() };
    let message = service.err().message().unwrap_or_default();
    match service.err().code().unwrap_or_default() {
        "UsernameExistsException" | "AliasExistsException" => AccountError::EmailTaken,
        "InvalidPasswordException" => AccountError::WeakPassword(password_rule(message)),
        "InvalidParameterException" => AccountError::InvalidParameter(InvalidParameter::new(call, message)),
        "CodeMismatchException" => AccountError::BadCode,
        "ExpiredCodeException" => AccountError::ExpiredCode,
        "UserNotConfirmedException" => AccountError::NotConfirmed,
        "PasswordResetRequiredException" => AccountError::PasswordChangeRequired,
        "NotAuthorizedException" | "UserNotFoundException" => AccountError::BadCredentials,
        // "Exceeded daily email limit for the operation or the account": 50 mails a day without SES ("Quotas in Amazon
        // Cognito"). The same exception limits one user's attempts ("Attempt limit exceeded").
        "LimitExceededException" if message.to_lowercase().contains("email") => {
            AccountError::MailNotSent(format!("{call}: {message}"))
        }
        "CodeDeliveryFailureException" => AccountError::MailNotSent(format!("{call}: {message}")),
        // Limits on one user. Limits on the whole pool are temporary errors of the service.
        "LimitExceededException" | "TooManyFailedAttemptsException" => AccountError::RateLimited,
        _ => StoreError::from_sdk(call, error).into(),
    }
}

/// Removes the preamble of "Password did not conform with policy: Password must have uppercase characters".
fn password_rule(message: &str) -> String {
    message.split_once(": ").map_or(message, |(_, rule)| rule).to_owned()
}
