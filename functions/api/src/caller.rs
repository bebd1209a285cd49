use tintype_model::{Claims, Plan, Profile, UserId};
use tintype_store::{Key, ReadSet, TokenError};

use crate::error::Problem;
use crate::request::Request;

/// The authenticated user of a request: the token is valid, the session has not ended, and the account exists.
pub(crate) struct Caller {
    pub(crate) claims: Claims,
    pub(crate) profile: Profile,
}

impl Request<'_> {
    /// Authenticates the caller, and reads the items at `keys` in the same call.
    pub(crate) async fn authenticate_with(
        &self,
        keys: impl IntoIterator<Item = Key>,
    ) -> Result<(Caller, ReadSet), Problem> {
        let claims = self.verified_claims().await?.ok_or_else(Problem::unauthenticated)?;
        self.admit(claims, keys).await
    }

    pub(crate) async fn caller(&self) -> Result<Caller, Problem> {
        self.authenticate_with([]).await.map(|(caller, _)| caller)
    }

    /// Authenticates an administrator by the groups in the token, which only the operator of the pool can change.
    pub(crate) async fn admin(&self) -> Result<Caller, Problem> {
        let caller = self.caller().await?;
        if caller.claims.is_admin() {
            return Ok(caller);
        }
        Err(Problem::forbidden("not_admin", "This requires an administrator."))
    }

    /// Like [`Self::authenticate_with`], for routes without required login: `None` without a token, an error with an invalid
    /// one.
    pub(crate) async fn optional_caller_with(
        &self,
        keys: impl IntoIterator<Item = Key>,
    ) -> Result<(Option<Caller>, ReadSet), Problem> {
        match self.verified_claims().await? {
            Some(claims) => self.admit(claims, keys).await.map(|(caller, items)| (Some(caller), items)),
            None => Ok((None, self.app.store.read(keys).await?)),
        }
    }

    /// The user id in the token. Not checked against the table; see [`Self::authenticate_with`].
    pub(crate) async fn token_subject(&self) -> Result<UserId, Problem> {
        self.verified_claims().await?.map(|claims| claims.user).ok_or_else(Problem::unauthenticated)
    }

    async fn admit(&self, claims: Claims, keys: impl IntoIterator<Item = Key>) -> Result<(Caller, ReadSet), Problem> {
        let session = Key::ended_session(claims.user, claims.origin_jti);
        let keys = keys.into_iter().chain([Key::profile(claims.user), session.clone()]);
        let items = self.app.store.read(keys).await?;
        match items.profile(claims.user)? {
            Some(profile) if !items.has(&session) && !claims.ended_by(&profile, self.now) => {
                Ok((Caller { claims, profile }, items))
            }
            _ => Err(Problem::unauthenticated()),
        }
    }

    /// The claims of the token, verified by the gateway if the route has its authorizer, else here.
    async fn verified_claims(&self) -> Result<Option<Claims>, Problem> {
        if let Some(claims) = self.authorized_claims() {
            return self.app.keys.claims_from_gateway(&claims).map(Some).ok_or_else(Problem::unauthenticated);
        }
        if !self.has_header("authorization") {
            return Ok(None);
        }
        let token = self.header("authorization").and_then(|header| {
            let (scheme, token) = header.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let token = token.ok_or_else(Problem::unauthenticated)?;
        match self.app.keys.verify(token).await {
            Ok(claims) => Ok(Some(claims)),
            Err(TokenError::Invalid) => Err(Problem::unauthenticated()),
            Err(TokenError::Store(error)) => Err(error.into()),
        }
    }

    /// The user's plan, or `None` if it is unset or was deleted.
    pub(crate) async fn plan_of(&self, profile: &Profile) -> Result<Option<Plan>, Problem> {
        let Some(name) = &profile.plan else { return Ok(None) };
        Ok(self.app.store.plans.cached(name).await?)
    }

    /// The plan, which creating and uploading require.
    pub(crate) async fn required_plan_of(&self, profile: &Profile) -> Result<Plan, Problem> {
        self.plan_of(profile).await?.ok_or_else(Problem::plan_required)
    }
}
