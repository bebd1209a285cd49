//! Sessions. An access token of the user pool stays valid wherever it is verified offline, so this service records the
//! end of sessions itself: see [`Claims::ended_by`].

use uuid::Uuid;

use crate::{Profile, SigningKeys, Timestamp, UserId, encoding};

/// The claims of a verified access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    pub user: UserId,
    /// The session id, the same in all tokens of one login.
    pub origin_jti: Uuid,
    /// The time of the last login with the password, in whole seconds.
    pub auth_time: Timestamp,
    pub groups: Vec<String>,
}

impl Claims {
    pub const ADMINS: &str = "admins";

    pub fn is_admin(&self) -> bool {
        self.groups.iter().any(|group| group == Self::ADMINS)
    }

    /// Returns true if the profile ends all sessions that began when this one did.
    pub fn ended_by(&self, profile: &Profile, now: Timestamp) -> bool {
        profile.sessions_revoked_before(now).is_some_and(|before| self.auth_time.secs() <= before.secs())
    }
}

/// A refresh token of the user pool with its user, session and start. The pool needs the user name for a refresh, and
/// an ended session must not be refreshed even if the pool accepts its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshToken {
    pub user: UserId,
    pub origin_jti: Uuid,
    pub auth_time: Timestamp,
    pub pool_token: String,
}

/// The token was not issued by this service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a refresh token")]
pub struct BadRefreshToken;

impl RefreshToken {
    fn head(&self) -> [u8; 40] {
        let mut head = [0; 40];
        head[..16].copy_from_slice(self.user.uuid().as_bytes());
        head[16..32].copy_from_slice(self.origin_jti.as_bytes());
        head[32..].copy_from_slice(&self.auth_time.secs().to_be_bytes());
        head
    }

    /// `<head>.<pool's token>` where head is the [encoded](encoding) user, session, start and a signature over all four.
    pub fn seal(&self, key: &SigningKeys) -> String {
        let head = self.head();
        let tag = key.sign("refresh", &[&head, self.pool_token.as_bytes()]);
        format!("{}.{}", encoding::encode(&[&head[..], &tag[..]].concat()), self.pool_token)
    }

    pub fn open(text: &str, key: &SigningKeys) -> Result<Self, BadRefreshToken> {
        let (head, pool_token) = text.split_once('.').ok_or(BadRefreshToken)?;
        let head: [u8; 72] = encoding::decode_array(head).ok_or(BadRefreshToken)?;
        let (head, tag) = head.split_at(40);
        if !key.verify("refresh", &[head, pool_token.as_bytes()], tag) {
            return Err(BadRefreshToken);
        }
        let uuid = |range| Uuid::from_slice(&head[range]).map_err(|_| BadRefreshToken);
        let secs: [u8; 8] = head[32..].try_into().map_err(|_| BadRefreshToken)?;
        Ok(Self {
            user: UserId::from_uuid(uuid(0..16)?),
            origin_jti: uuid(16..32)?,
            auth_time: Timestamp::from_secs(i64::from_be_bytes(secs)),
            pool_token: pool_token.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_token_reads_back_and_nothing_in_it_can_be_changed() {
        let key = SigningKeys::new("k");
        let token = RefreshToken {
            user: UserId::from_uuid(Uuid::from_u128(1)),
            origin_jti: Uuid::from_u128(2),
            auth_time: Timestamp::from_secs(1_700_000_000),
            pool_token: "pool.token.here".into(),
        };
        let text = token.seal(&key);
        assert_eq!(RefreshToken::open(&text, &key), Ok(token));
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(RefreshToken::open(&String::from_utf8(changed).unwrap(), &key), Err(BadRefreshToken), "{at}");
        }
    }
}
