use std::time::Duration;

use http::{Method, StatusCode};
use tintype_model::{Image, ImageId, ImageKey, Link, LinkId, LinkKey, LinkToken, Timestamp, UserId, encoding};
use tintype_store::{Key, PasswordAttempt};

use crate::error::Problem;
use crate::fields::LinkPassword;
use crate::image_view::file_name;
use crate::operation::{Operation, ResponseDoc, of, text};
use crate::passwords;
use crate::request::Request;
use crate::response::{self, Response, WithHeader};
use tintype_telemetry::record_image;

/// A counted download can be resumed for this long.
const RESUME: Duration = Duration::from_secs(15 * 60);

const COOKIE: &str = "tintype-download";

input! {
    /// The form of the page.
    #[expect(dead_code, reason = "for the document: the form is read by hand")]
    pub(crate) struct VisitLink {
        password: Option<LinkPassword> = None,
    }
}

const HTML: Option<(&str, crate::operation::SchemaOf)> = Some(("text/html", text));

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Media",
    summary: "Download the original of an expiring link; a browser gets a page with a form if the link has a download limit or a password",
    form: Some(of::<VisitLink>),
    responses: &[
        ResponseDoc {
            status: 200,
            description: "For browsers, if the link has a download limit: a page with a Download button, which sends a POST. \
                Only the download counts.",
            content: HTML,
            headers: &[],
        },
        ResponseDoc::empty(302, "Redirect to a URL that is valid for at most a minute.").with(&["Location"]),
        ResponseDoc::empty(303, "The same redirect, after a POST with the right password.").with(&["Location"]),
        ResponseDoc { status: 401, description: "A form for the password.", content: HTML, headers: &[] },
        ResponseDoc { status: 410, description: "For browsers, a page with the error.", content: HTML, headers: &[] },
        ResponseDoc {
            status: 429,
            description: "For browsers, a page with the error.",
            content: HTML,
            headers: &["Retry-After"],
        },
    ],
    problems: &[
        (410, "gone", "The link is unknown, expired, revoked or used up."),
        (413, "too_large", "The form is too large."),
        (415, "unsupported_media_type", "The Content-Type is not that of a form."),
    ],
    ..Operation::DEFAULT
};

/// The response is 410 for every reason that a link cannot be used.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let answer = match find(request).await? {
        Some(visit) => visit.answer(request).await,
        None => Err(gone()),
    };
    let answer = match answer {
        Err(problem) if problem.status.is_client_error() && prefers_html(request) => Ok(notice(&problem)),
        answer => answer,
    };
    answer.map(unreferred).map_err(unreferred)
}

/// Keeps the URL, which is a secret, from other sites and search engines.
fn unreferred<T: WithHeader>(answer: T) -> T {
    let answer = answer.with_header("referrer-policy", "no-referrer").with_header("x-robots-tag", "noindex");
    answer.with_header("vary", "Accept")
}

fn gone() -> Problem {
    Problem::new(StatusCode::GONE, "gone", "This link is unknown, expired, revoked or used up.")
}

/// A valid link, before its download limit and password are checked.
struct Visit {
    token: LinkToken,
    link: Link,
    image: Image,
}

async fn find(request: &Request<'_>) -> Result<Option<Visit>, Problem> {
    let (app, token) = (request.app, LinkToken::given(request.param("token")));
    let pointed = app.store.read([Key::token(&token)]).await?.token_target(&token)?;
    // An unknown token takes as many reads as that of an expired link.
    let (link, image) = pointed.unwrap_or_else(no_link);
    let items = app.store.read([Key::link(link), Key::image(image), Key::profile(image.owner)]).await?;
    let (Some(link), Some(image), Some(owner)) = (items.link(link)?, items.image(image)?, items.profile(image.owner)?)
    else {
        return Ok(None);
    };
    record_image(image.id);
    // False for the token of a key that is no longer accepted.
    let signed = link.token(request.signing()).hash() == token.hash();
    let current = signed && !link.is_expired(request.now) && link.image == image.id.key;
    let allowed = request.plan_of(&owner).await?.is_some_and(|plan| plan.expiring_links);
    let well_named = super::stem(request.param("file"), &image).is_some();
    Ok((current && allowed && well_named && image.is_ready()).then_some(Visit { token, link, image }))
}

fn no_link() -> (LinkId, ImageId) {
    let nobody = UserId::from_uuid(uuid::Uuid::nil());
    let (link, image) = (LinkKey::from_uuid(uuid::Uuid::nil()), ImageKey::from_uuid(uuid::Uuid::nil()));
    (LinkId { owner: nobody, key: link }, ImageId { owner: nobody, key: image })
}

impl Visit {
    async fn answer(&self, request: &Request<'_>) -> Result<Response, Problem> {
        let returns = request.cookie(COOKIE).is_some_and(|cookie| self.admits(request, cookie));
        if returns && *request.http.method() == Method::GET && request.header("range").is_some_and(resumes) {
            return self.redirect(request, StatusCode::FOUND).await;
        }
        if self.link.is_used_up() && !(returns && *request.http.method() == Method::HEAD) {
            return Err(gone());
        }
        match (&self.link.password_hash, request.http.method()) {
            (Some(_), &Method::HEAD) if !returns => Ok(response::empty(StatusCode::UNAUTHORIZED)),
            (_, &Method::HEAD) => self.redirect(request, StatusCode::FOUND).await,
            (Some(hash), &Method::POST) => match self.try_password(request, hash).await? {
                true => self.download(request, StatusCode::SEE_OTHER).await,
                false => Ok(self.page(request, "Wrong password.")),
            },
            (Some(_), _) => Ok(self.page(request, "")),
            (None, &Method::POST) => self.download(request, StatusCode::SEE_OTHER).await,
            (None, _) if self.link.max_downloads.is_some() && (prefers_html(request) || is_robot(request)) => {
                Ok(self.page(request, ""))
            }
            // A preview does not count as a download.
            (None, _) if is_robot(request) => self.redirect(request, StatusCode::FOUND).await,
            (None, _) => self.download(request, StatusCode::FOUND).await,
        }
    }

    /// Returns a page with a Download button and, if the link has a password, a field for it. `note` must not contain HTML.
    fn page(&self, request: &Request<'_>, note: &str) -> Response {
        let until = self.link.expires_at.to_string();
        let mut left = format!("This link works until {} {} UTC.", &until[..10], &until[11..16]);
        if let Some(most) = self.link.max_downloads {
            left += &format!(" Downloads left: {} of {most}.", u64::from(most).saturating_sub(self.link.downloads));
        }
        let locked = self.link.password_hash.is_some();
        let password = if locked {
            "<label for=\"password\">Password</label>\n  <input id=\"password\" name=\"password\" type=\"password\" \
             maxlength=\"256\" required autofocus autocomplete=\"off\">\n  "
        } else {
            ""
        };
        let content = format!(
            "<p>{left}</p>\n<form method=\"post\">\n  {password}<button>Download</button>\n  \
             <p role=\"alert\">{note}</p>\n</form>"
        );
        // Programs without the password get no title.
        let title = if locked && !prefers_html(request) { "Password" } else { self.image.title.as_str() };
        html(if locked { StatusCode::UNAUTHORIZED } else { StatusCode::OK }, title, &content)
    }

    /// Returns true if the form has the link's password.
    async fn try_password(&self, request: &Request<'_>, hash: &str) -> Result<bool, Problem> {
        let given = request.form_field("password")?;
        let (store, address) = (&request.app.store, request.caller_network().await?);
        match store.links.take_attempt(self.link.id, &address, request.now).await? {
            PasswordAttempt::TooMany { until } => {
                let left = (until.secs() - request.now.secs()).max(1);
                return Err(Problem::too_many().with_header("retry-after", left.to_string()));
            }
            PasswordAttempt::Admitted => {}
        }
        let right = LinkPassword::parse(&given).is_ok_and(|given| passwords::matches(&given.0, hash));
        if right {
            store.links.refund_attempt(self.link.id, &address).await?;
        }
        Ok(right)
    }

    /// Counts a download and redirects to the file.
    async fn download(&self, request: &Request<'_>, status: StatusCode) -> Result<Response, Problem> {
        if !request.app.store.links.count_download(&self.link, request.now).await? {
            return Err(gone());
        }
        let response = self.redirect(request, status).await?;
        Ok(response.with_header("set-cookie", self.cookie(request)))
    }

    async fn redirect(&self, request: &Request<'_>, status: StatusCode) -> Result<Response, Problem> {
        let method = if *request.http.method() == Method::HEAD {
            tintype_store::ReadKind::Head
        } else {
            tintype_store::ReadKind::Get
        };
        let left = (self.link.expires_at.secs() - request.now.secs()).max(1).unsigned_abs();
        let lasting = Duration::from_secs(left.min(super::REDIRECT_SECONDS));
        let (kind, name) = (self.image.blob.content_type, file_name(&self.image));
        let signed = request.app.blobs.sign_original(self.image.id, method, kind, &name, request.now, lasting).await?;
        Ok(response::redirect(status, signed.url))
    }

    /// The signed parts of the cookie that resumes a download until `until`: the link, its URL and its password.
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
        let tag = request.signing().sign("download", &parts.each_ref().map(Vec::as_slice));
        let secure = if request.base_url().starts_with("https:") { "; Secure" } else { "" };
        format!(
            "{COOKIE}={}.{}; Max-Age={}; Path=/media/exp/{}; HttpOnly; SameSite=Lax{secure}",
            until.secs(),
            encoding::encode(&tag),
            RESUME.as_secs(),
            self.token.as_str(),
        )
    }

    /// Returns true if a cookie is valid for this link and has not expired.
    fn admits(&self, request: &Request<'_>, cookie: &str) -> bool {
        let Some((until, tag)) = cookie.split_once('.') else { return false };
        let (Ok(until), Some(tag)) = (until.parse().map(Timestamp::from_secs), encoding::decode(tag)) else {
            return false;
        };
        let parts = self.signed(until);
        until.secs() > request.now.secs()
            && request.signing().verify("download", &parts.each_ref().map(Vec::as_slice), &tag)
    }
}

/// Returns true if no part of a `Range` can include the first byte. `bytes=-500` can, in a small file.
fn resumes(range: &str) -> bool {
    let Some(parts) = range.trim().strip_prefix("bytes=") else { return false };
    parts.split(',').all(|part| {
        let start = part.trim().split_once('-').map(|(start, _)| start.trim());
        start.and_then(|start| start.parse::<u64>().ok()).is_some_and(|start| start > 0)
    })
}

/// Returns a page with `content`, which is HTML.
fn html(status: StatusCode, title: &str, content: &str) -> Response {
    const PAGE: &str = include_str!("link.html");
    let title = title.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    // The title is inserted last, so that `{content}` in a title stays as it is.
    let page = PAGE.replace("{content}", content).replace("{title}", &title).into_bytes();
    response::content(status, "text/html; charset=utf-8", page).with_header(
        "content-security-policy",
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    )
}

/// Returns a problem as a page.
fn notice(problem: &Problem) -> Response {
    let title = match problem.status {
        StatusCode::GONE => "This link does not work",
        StatusCode::TOO_MANY_REQUESTS => "Too many attempts",
        status => status.canonical_reason().unwrap_or_default(),
    };
    let mut response = html(problem.status, title, &format!("<p>{}</p>", problem.detail));
    response.headers_mut().extend((*problem.headers).clone());
    response
}

fn prefers_html(request: &Request<'_>) -> bool {
    request.header("accept").is_some_and(tintype_gateway::prefers_html)
}

/// Parts of the `User-Agent` of programs that fetch links to show previews of them, or to index them.
const ROBOTS: [&str; 27] = [
    "applebot",
    "baiduspider",
    "bingbot",
    "bingpreview",
    "bitlybot",
    "bytespider",
    "discordbot",
    "duckduckbot",
    "embedly",
    "facebookexternalhit",
    "facebot",
    "google-pagerenderer",
    "googlebot",
    "iframely",
    "linkedinbot",
    "mastodon",
    "mattermost-bot",
    "pinterest",
    "redditbot",
    "skypeuripreview",
    "slack-imgproxy",
    "slackbot",
    "telegrambot",
    "twitterbot",
    "vkshare",
    "whatsapp",
    "yandexbot",
];

fn is_robot(request: &Request<'_>) -> bool {
    let agent = request.header("user-agent").unwrap_or_default().to_ascii_lowercase();
    ROBOTS.iter().any(|robot| agent.contains(robot))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_with_the_first_byte_does_not_resume() {
        for range in ["bytes=1-", "bytes=500-999", " bytes=7-8, 10-", "bytes=1-1,2-2"] {
            assert!(resumes(range), "{range}");
        }
        for range in ["", "bytes=0-", "bytes=00-5", "bytes=-500", "bytes=5-9,0-4", "bytes=5-9,-1", "bytes=", "items=5-"]
        {
            assert!(!resumes(range), "{range}");
        }
    }
}
