use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode};
use tintype_model::{Image, ImageId, ImageKey, Link, LinkId, LinkKey, LinkToken, Timestamp, UserId};
use tintype_store::{Key, Try};

use crate::error::Problem;
use crate::fields::LinkPassword;
use crate::image_view::file_name;
use crate::openapi::{Answer, Operation, PLAIN, text};
use crate::passwords;
use crate::reply::Reply;
use crate::request::Request;

/// For how long a download that was counted may be resumed.
const RESUME: Duration = Duration::from_secs(15 * 60);

const COOKIE: &str = "tintype-download";

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Media",
    summary: "The original behind an expiring link; POST takes the password of the form, in the field `password`",
    replies: &[
        Answer::empty(302, "Where it is, for a minute at most.").with(&["Location"]),
        Answer::empty(303, "Where it is, for a minute at most, after the right password.").with(&["Location"]),
        Answer {
            status: 401,
            description: "A form that asks for the password.",
            content: Some(("text/html", text)),
            headers: &[],
        },
    ],
    problems: &[
        (410, "gone", "This link does not work, or not any more."),
        (413, "too_large", "The form is too large."),
        (415, "unsupported_media_type", "The password is not sent as a form."),
    ],
    ..PLAIN
};

/// The original behind an expiring link: a redirect to it. Whatever does not work now, for whatever reason, is gone.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let answer = match find(request).await? {
        Some(visit) => visit.answer(request).await,
        None => Err(gone()),
    };
    // The URL is the secret: it must not travel on.
    let kept = [("referrer-policy", "no-referrer"), ("x-robots-tag", "noindex")];
    match answer {
        Ok(reply) => Ok(kept.into_iter().fold(reply, |reply, (name, value)| reply.with_header(name, value))),
        Err(problem) => Err(kept.into_iter().fold(problem, |problem, (name, value)| problem.with_header(name, value))),
    }
}

fn gone() -> Problem {
    Problem::new(StatusCode::GONE, "gone", "This link does not work, or not any more.")
}

/// What a token led to: a link that works, but for its cap and its password.
struct Visit {
    token: LinkToken,
    link: Link,
    image: Image,
}

async fn find(request: &Request<'_>) -> Result<Option<Visit>, Problem> {
    let (app, token) = (request.app, LinkToken::given(request.param("token")));
    let pointed = app.table.read([Key::token(&token)]).await?.pointer(&token)?;
    // A token that leads nowhere takes as many reads as one whose link is over.
    let (link, image) = pointed.unwrap_or_else(nowhere);
    let items = app.table.read([Key::link(link), Key::image(image), Key::profile(image.owner)]).await?;
    let (Some(link), Some(image), Some(owner)) = (items.link(link)?, items.image(image)?, items.profile(image.owner)?)
    else {
        return Ok(None);
    };
    let current = link.token(&app.signing) == token && !link.is_expired(request.now) && link.image == image.id.key;
    let allowed = request.plan_of(&owner).await?.is_some_and(|plan| plan.expiring_links);
    let well_named = super::stem(request.param("file"), &image).is_some();
    Ok((current && allowed && well_named && image.is_ready()).then_some(Visit { token, link, image }))
}

fn nowhere() -> (LinkId, ImageId) {
    let nobody = UserId::from_uuid(uuid::Uuid::nil());
    let (link, image) = (LinkKey::from_uuid(uuid::Uuid::nil()), ImageKey::from_uuid(uuid::Uuid::nil()));
    (LinkId { owner: nobody, key: link }, ImageId { owner: nobody, key: image })
}

impl Visit {
    async fn answer(&self, request: &Request<'_>) -> Result<Reply, Problem> {
        let returns = request.cookie(COOKIE).is_some_and(|cookie| self.admits(request, cookie));
        if returns && request.method == Method::GET && request.header("range").is_some_and(resumes) {
            return self.redirect(request, StatusCode::FOUND).await;
        }
        if self.link.is_used_up() && !(returns && request.method == Method::HEAD) {
            return Err(gone());
        }
        match (&self.link.password_hash, &request.method) {
            (Some(_), &Method::HEAD) if !returns => Ok(Reply::empty(StatusCode::UNAUTHORIZED)),
            (_, &Method::HEAD) => self.redirect(request, StatusCode::FOUND).await,
            (Some(hash), &Method::POST) => match self.try_password(request, hash).await? {
                true => self.download(request, StatusCode::SEE_OTHER).await,
                false => Ok(form("That was not the password.")),
            },
            (Some(_), _) => Ok(form("")),
            (None, &Method::POST) => self.download(request, StatusCode::SEE_OTHER).await,
            (None, _) => self.download(request, StatusCode::FOUND).await,
        }
    }

    /// Whether the form's password is the link's.
    async fn try_password(&self, request: &Request<'_>, hash: &str) -> Result<bool, Problem> {
        let given = request.form_field("password")?;
        let (table, address) = (&request.app.table, request.caller_network());
        match table.try_password(self.link.id, &address, request.now).await? {
            Try::TooMany { until } => {
                let left = (until.secs() - request.now.secs()).max(1);
                return Err(Problem::too_many().with_header("retry-after", left.to_string()));
            }
            Try::Admitted => {}
        }
        let right = given.chars().count() <= LinkPassword::MAX_CHARS && passwords::is(&given, hash);
        if right {
            table.forgive_try(self.link.id, &address).await?;
        }
        Ok(right)
    }

    /// A download from its beginning, which counts.
    async fn download(&self, request: &Request<'_>, status: StatusCode) -> Result<Reply, Problem> {
        if !request.app.table.count_download(&self.link, request.now).await? {
            return Err(gone());
        }
        let reply = self.redirect(request, status).await?;
        Ok(reply.with_header("set-cookie", self.cookie(request)))
    }

    async fn redirect(&self, request: &Request<'_>, status: StatusCode) -> Result<Reply, Problem> {
        let method =
            if request.method == Method::HEAD { tintype_store::Method::Head } else { tintype_store::Method::Get };
        let left = (self.link.expires_at.secs() - request.now.secs()).max(1).unsigned_abs();
        let lasting = Duration::from_secs(left.min(super::REDIRECT_SECONDS));
        let (kind, name) = (self.image.blob.content_type, file_name(&self.image));
        let signed = request.app.blobs.sign_original(self.image.id, method, kind, &name, request.now, lasting).await?;
        Ok(Reply::redirect(status, signed.url))
    }

    /// What a download until `until` may be resumed with: for this link, under this URL, while it has this password.
    fn signed(&self, until: Timestamp) -> [Vec<u8>; 4] {
        [
            self.link.id.to_string().into_bytes(),
            self.token.as_str().as_bytes().to_vec(),
            self.link.password_hash.clone().unwrap_or_default().into_bytes(),
            until.secs().to_be_bytes().to_vec(),
        ]
    }

    fn cookie(&self, request: &Request<'_>) -> String {
        let until = request.now + RESUME;
        let parts = self.signed(until);
        let tag = request.app.signing.sign("download", &parts.each_ref().map(Vec::as_slice));
        let secure = if request.base_url().starts_with("https:") { "; Secure" } else { "" };
        format!(
            "{COOKIE}={}.{}; Max-Age={}; Path=/media/exp/{}; HttpOnly; SameSite=Lax{secure}",
            until.secs(),
            URL_SAFE_NO_PAD.encode(tag),
            RESUME.as_secs(),
            self.token.as_str(),
        )
    }

    /// Whether a cookie was given with a download of this link, not too long ago.
    fn admits(&self, request: &Request<'_>, cookie: &str) -> bool {
        let Some((until, tag)) = cookie.split_once('.') else { return false };
        let (Ok(until), Ok(tag)) = (until.parse().map(Timestamp::from_secs), URL_SAFE_NO_PAD.decode(tag)) else {
            return false;
        };
        let parts = self.signed(until);
        until.secs() > request.now.secs()
            && request.app.signing.verify("download", &parts.each_ref().map(Vec::as_slice), &tag)
    }
}

/// Whether a `Range` asks for nothing from the beginning on. `bytes=-500` may, of a small file.
fn resumes(range: &str) -> bool {
    let Some(parts) = range.trim().strip_prefix("bytes=") else { return false };
    parts.split(',').all(|part| {
        let start = part.trim().split_once('-').map(|(start, _)| start.trim());
        start.and_then(|start| start.parse::<u64>().ok()).is_some_and(|start| start > 0)
    })
}

/// Asks for the password. `note` has no characters that mean something in HTML.
fn form(note: &str) -> Reply {
    const PAGE: &str = include_str!("password.html");
    let page = PAGE.replace("{note}", note).into_bytes();
    Reply { status: StatusCode::UNAUTHORIZED, ..Reply::bytes("text/html; charset=utf-8", page) }.with_header(
        "content-security-policy",
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_starts_above_0_resumes() {
        for range in ["bytes=1-", "bytes=500-999", " bytes=7-8, 10-", "bytes=1-1,2-2"] {
            assert!(resumes(range), "{range}");
        }
        for range in ["", "bytes=0-", "bytes=00-5", "bytes=-500", "bytes=5-9,0-4", "bytes=5-9,-1", "bytes=", "items=5-"]
        {
            assert!(!resumes(range), "{range}");
        }
    }
}
