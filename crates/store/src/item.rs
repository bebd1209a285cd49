//! Converts items to domain values and back. An invalid item is a [`StoreError::Internal`] that names its key.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob as Bytes;
use aws_sdk_dynamodb::types::AttributeValue;
use tintype_model::{
    Blob, ContentType, Description, Email, IdempotencyRecord, Image, ImageId, ImageKey, ImageState, Job, JobId,
    JobKind, JobStatus, Lifetime, Link, LinkId, LinkKey, PersonName, Plan, PlanName, Profile, Ready, RejectCode,
    Sha256, Status, Thumbnail, ThumbnailSetId, Timestamp, Title, Usage, UserId, Visibility, Warning, Work,
};

use crate::StoreError;
use crate::dynamo::{Item, ReadSet, n, s};
use crate::key::{self, Key};

/// The attribute that names the set of thumbnails that the last change of an image replaced.
pub(crate) const ATTR_REPLACED_SET: &str = "replaced";

/// An item being read.
struct Fields<'a>(&'a Item);

impl<'a> Fields<'a> {
    fn invalid(&self, name: &str) -> StoreError {
        let key = |part| self.0.get(part).and_then(|v| v.as_s().ok()).map_or("?", String::as_str);
        StoreError::Internal(format!("item {} {}: attribute {name}", key("pk"), key("sk")))
    }

    fn text(&self, name: &str) -> Result<&'a str, StoreError> {
        self.opt_text(name).ok_or_else(|| self.invalid(name))
    }

    fn opt_text(&self, name: &str) -> Option<&'a str> {
        self.0.get(name)?.as_s().ok().map(String::as_str)
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<T, StoreError> {
        self.opt_number(name)?.ok_or_else(|| self.invalid(name))
    }

    fn opt_number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, StoreError> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        value.as_n().ok().and_then(|n| n.parse().ok()).map(Some).ok_or_else(|| self.invalid(name))
    }

    fn flag(&self, name: &str) -> Result<bool, StoreError> {
        self.0.get(name).and_then(|v| v.as_bool().ok()).copied().ok_or_else(|| self.invalid(name))
    }

    /// Returns true if the item has the flag, and it is true.
    fn is_set(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| value.as_bool() == Ok(&true))
    }

    fn list(&self, name: &str) -> Result<&'a [AttributeValue], StoreError> {
        self.0.get(name).and_then(|v| v.as_l().ok()).map(Vec::as_slice).ok_or_else(|| self.invalid(name))
    }

    fn bytes(&self, name: &str) -> Result<&'a [u8], StoreError> {
        self.0.get(name).and_then(|v| v.as_b().ok()).map(Bytes::as_ref).ok_or_else(|| self.invalid(name))
    }

    fn parsed<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, StoreError> {
        self.opt_text(name).and_then(parse).ok_or_else(|| self.invalid(name))
    }
}

/// A string attribute.
pub(crate) fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    Fields(item).opt_text(name)
}

/// The time when the item expires, if it does.
pub(crate) fn expires_at(item: &Item) -> Option<Timestamp> {
    Fields(item).opt_number("expires_at").ok().flatten().map(Timestamp::from_secs)
}

/// `feed_shards` determines the shard of a published image.
pub(crate) fn from_image(image: &Image, feed_shards: u8) -> Item {
    let mut item = Key::image(image.id).attributes();
    let mut set = |name: &str, value| {
        item.insert(name.to_owned(), value);
    };
    set("title", s(&image.title));
    set("description", s(&image.description));
    set("visibility", s(image.visibility.as_str()));
    if image.photo_public {
        set("photo_public", AttributeValue::Bool(true));
    }
    set("content_type", s(image.blob.content_type.as_str()));
    set("size", n(image.blob.size));
    if let Some(sha256) = image.blob.sha256 {
        set("sha256", s(sha256));
    }
    set("epoch", n(image.deletion_epoch));
    set("created_at", n(image.created_at.millis()));
    set("updated_at", n(image.updated_at.millis()));
    set("version", n(image.version));
    set("state", s(image.status().as_str()));
    match &image.state {
        ImageState::Pending { expires_at } | ImageState::Processing { expires_at } => {
            set("expires_at", n(expires_at.secs()))
        }
        ImageState::Rejected { code, reason } => {
            if let Some(code) = code {
                set("reject_code", s(code.as_str()));
            }
            set("reason", s(reason));
        }
        ImageState::Ready(ready) => {
            set("width", n(ready.width));
            set("height", n(ready.height));
            let thumbnails =
                ready.thumbnails.iter().map(|thumbnail| from_thumbnail(thumbnail, image.blob.content_type));
            set("placeholder", AttributeValue::B(Bytes::new(ready.placeholder.clone())));
            set("thumbnails", AttributeValue::L(thumbnails.collect()));
            if ready.webp_thumbnails {
                set("webp_thumbnails", AttributeValue::Bool(true));
            }
            set("built_for", s(ready.built_for.as_str()));
            if !ready.warnings.is_empty() {
                set("warnings", AttributeValue::L(ready.warnings.iter().map(|warning| s(warning.as_str())).collect()));
            }
            if let Some(photo) = ready.photo.as_ref().and_then(|photo| serde_json::to_string(photo).ok()) {
                set("photo", s(photo));
            }
        }
    }
    if image.is_published() {
        set("feed_pk", s(key::feed_partition(key::feed_shard(image.id, feed_shards))));
        set("feed_sk", s(image.id.key));
    }
    item
}

/// The content type is stored if it is not the original's.
fn from_thumbnail(thumbnail: &Thumbnail, original: ContentType) -> AttributeValue {
    let mut item = HashMap::from([
        ("height".to_owned(), n(thumbnail.height)),
        ("width".to_owned(), n(thumbnail.width)),
        ("size".to_owned(), n(thumbnail.size)),
    ]);
    if thumbnail.content_type != original {
        item.insert("content_type".to_owned(), s(thumbnail.content_type.as_str()));
    }
    if let Some(size) = thumbnail.webp_size {
        item.insert("webp_size".to_owned(), n(size));
    }
    AttributeValue::M(item)
}

fn thumbnail(value: &AttributeValue, original: ContentType) -> Option<Thumbnail> {
    let fields = Fields(value.as_m().ok()?);
    let content_type = match fields.opt_text("content_type") {
        Some(kind) => ContentType::parse(kind).ok()?,
        None => original,
    };
    Some(Thumbnail {
        height: fields.number("height").ok()?,
        width: fields.number("width").ok()?,
        size: fields.number("size").ok()?,
        content_type,
        webp_size: fields.opt_number("webp_size").ok()?,
    })
}

/// Images that have none, and those from before warnings were recorded, lack the attribute.
fn warnings(item: &Item) -> Vec<Warning> {
    let list = item.get("warnings").and_then(|list| list.as_l().ok());
    list.into_iter().flatten().filter_map(|warning| Warning::parse(warning.as_s().ok()?)).collect()
}

pub(crate) fn image(item: &Item) -> Result<Image, StoreError> {
    let fields = Fields(item);
    let id: ImageId = Key::of(item)?.as_image().ok_or_else(|| fields.invalid("sk"))?;
    let expires_at = || fields.number("expires_at").map(Timestamp::from_secs);
    let content_type = fields.parsed("content_type", |text| ContentType::parse(text).ok())?;
    let state = match fields.parsed("state", Status::parse)? {
        Status::Pending => ImageState::Pending { expires_at: expires_at()? },
        Status::Processing => ImageState::Processing { expires_at: expires_at()? },
        Status::Rejected => ImageState::Rejected {
            code: fields.opt_text("reject_code").and_then(RejectCode::parse),
            reason: fields.text("reason")?.to_owned(),
        },
        Status::Ready => ImageState::Ready(Ready {
            width: fields.number("width")?,
            height: fields.number("height")?,
            placeholder: fields.bytes("placeholder")?.to_vec(),
            thumbnails: fields
                .list("thumbnails")?
                .iter()
                .map(|value| thumbnail(value, content_type))
                .collect::<Option<_>>()
                .ok_or_else(|| fields.invalid("thumbnails"))?,
            webp_thumbnails: fields.is_set("webp_thumbnails"),
            built_for: ThumbnailSetId::from_stored(fields.text("built_for")?.to_owned()),
            warnings: warnings(item),
            // Images from before it was recorded lack it.
            photo: fields.opt_text("photo").and_then(|json| serde_json::from_str(json).ok()),
        }),
    };
    Ok(Image {
        id,
        title: Title::from_stored(fields.text("title")?.to_owned()),
        description: Description::from_stored(fields.text("description")?.to_owned()),
        visibility: fields.parsed("visibility", Visibility::parse)?,
        photo_public: fields.is_set("photo_public"),
        blob: Blob {
            content_type,
            size: fields.number("size")?,
            sha256: fields.opt_text("sha256").and_then(Sha256::parse),
        },
        state,
        deletion_epoch: fields.number("epoch")?,
        created_at: Timestamp::from_millis(fields.number("created_at")?),
        updated_at: Timestamp::from_millis(fields.number("updated_at")?),
        version: fields.number("version")?,
    })
}

pub(crate) fn from_profile(profile: &Profile) -> Item {
    let mut item = Key::profile(profile.id).attributes();
    let mut set = |name: &str, value| {
        item.insert(name.to_owned(), value);
    };
    set("email", s(&profile.email));
    set("name", s(&profile.name));
    if let Some(plan) = &profile.plan {
        set("plan", s(plan));
        set("plan_pk", s(key::plan_partition(plan)));
    }
    set("plan_revision", n(profile.plan_revision));
    set("epoch", n(profile.deletion_epoch));
    if let Some(before) = profile.signed_out_before {
        set("signed_out_before", n(before.secs()));
    }
    if let Some(at) = profile.reset_started_at {
        set("reset_begun_at", n(at.millis()));
    }
    set("created_at", n(profile.created_at.millis()));
    set("version", n(profile.version));
    item
}

pub(crate) fn profile(item: &Item) -> Result<Profile, StoreError> {
    let fields = Fields(item);
    Ok(Profile {
        id: Key::of(item)?.as_profile().ok_or_else(|| fields.invalid("pk"))?,
        email: Email::from_stored(fields.text("email")?.to_owned()),
        name: PersonName::from_stored(fields.text("name")?.to_owned()),
        plan: fields.opt_text("plan").map(PlanName::from_stored),
        plan_revision: fields.opt_number("plan_revision")?.unwrap_or_default(),
        deletion_epoch: fields.number("epoch")?,
        signed_out_before: fields.opt_number("signed_out_before")?.map(Timestamp::from_secs),
        reset_started_at: fields.opt_number("reset_begun_at")?.map(Timestamp::from_millis),
        created_at: Timestamp::from_millis(fields.number("created_at")?),
        version: fields.number("version")?,
    })
}

pub(crate) fn usage(item: &Item) -> Result<Usage, StoreError> {
    let fields = Fields(item);
    Ok(Usage { images: fields.number("images")?, bytes: fields.number("bytes")? })
}

/// The time of the last assignment of a plan to a user.
pub(crate) fn assigned_at(plan: &Item) -> Result<Option<Timestamp>, StoreError> {
    Ok(Fields(plan).opt_number("assigned_at")?.map(Timestamp::from_millis))
}

pub(crate) fn from_plan(plan: &Plan) -> Item {
    let mut item = Key::plan(&plan.name).attributes();
    let mut set = |name: &str, value| {
        item.insert(name.to_owned(), value);
    };
    set("name", s(&plan.name));
    set("thumbnail_heights", AttributeValue::L(plan.thumbnail_heights.iter().map(n).collect()));
    set("webp_thumbnails", AttributeValue::Bool(plan.webp_thumbnails));
    set("original_link", AttributeValue::Bool(plan.original_link));
    set("expiring_links", AttributeValue::Bool(plan.expiring_links));
    set("max_image_bytes", n(plan.max_image_bytes));
    set("max_images", n(plan.max_images));
    set("version", n(plan.version));
    item
}

pub(crate) fn plan(item: &Item) -> Result<Plan, StoreError> {
    let fields = Fields(item);
    let heights = fields.list("thumbnail_heights")?.iter().map(|v| v.as_n().ok().and_then(|n| n.parse().ok()));
    let mut heights = heights.collect::<Option<Vec<u32>>>().ok_or_else(|| fields.invalid("thumbnail_heights"))?;
    heights.sort_unstable();
    heights.dedup();
    Ok(Plan {
        name: PlanName::from_stored(fields.text("name")?),
        thumbnail_heights: heights,
        // Plans from before it was added lack it.
        webp_thumbnails: fields.is_set("webp_thumbnails"),
        original_link: fields.flag("original_link")?,
        expiring_links: fields.flag("expiring_links")?,
        max_image_bytes: fields.number("max_image_bytes")?,
        max_images: fields.number("max_images")?,
        version: fields.number("version")?,
    })
}

/// The holder of a title; `expires_at` until the image is ready.
pub(crate) struct Claim {
    pub(crate) image: ImageKey,
    pub(crate) expires_at: Option<Timestamp>,
}

pub(crate) fn claim(item: &Item) -> Result<Claim, StoreError> {
    let fields = Fields(item);
    Ok(Claim {
        image: fields.parsed("image_id", |text| text.parse().ok())?,
        expires_at: fields.opt_number("expires_at")?.map(Timestamp::from_secs),
    })
}

pub(crate) fn idempotency_record(item: &Item) -> Result<IdempotencyRecord, StoreError> {
    let fields = Fields(item);
    Ok(IdempotencyRecord {
        body: fields.text("body")?.to_owned(),
        started_at: Timestamp::from_millis(fields.number("started_at")?),
    })
}

pub(crate) fn from_job(job: &Job) -> Item {
    let mut item = Key::job(job.id).attributes();
    let mut set = |name: &str, value| {
        item.insert(name.to_owned(), value);
    };
    set("kind", s(job.work.kind().as_str()));
    match &job.work {
        Work::DeleteImages { below_epoch } => set("below_epoch", n(below_epoch)),
        Work::DeleteAccount => {}
        Work::Export => set("expires_at", n(job.export_end().secs())),
        Work::AssignPlan(user) => set("user", s(user)),
        Work::ChangePlan(plan) => set("plan", s(plan)),
    }
    set("status", s(job.status.as_str()));
    set("place", s(job.cursor));
    set("done", n(job.done));
    set("started_at", n(job.started_at.millis()));
    set("moved_at", n(job.progressed_at.millis()));
    if let Some(at) = job.finished_at {
        set("finished_at", n(at.millis()));
    }
    item
}

pub(crate) fn job(item: &Item) -> Result<Job, StoreError> {
    let fields = Fields(item);
    Ok(Job {
        id: Key::of(item)?.as_job().ok_or_else(|| fields.invalid("sk"))?,
        work: match fields.parsed("kind", JobKind::parse)? {
            JobKind::DeleteImages => Work::DeleteImages { below_epoch: fields.number("below_epoch")? },
            JobKind::DeleteAccount => Work::DeleteAccount,
            JobKind::Export => Work::Export,
            JobKind::AssignPlan => Work::AssignPlan(fields.parsed("user", |text| text.parse().ok())?),
            JobKind::ChangePlan => Work::ChangePlan(PlanName::from_stored(fields.text("plan")?)),
        },
        status: fields.parsed("status", JobStatus::parse)?,
        cursor: fields.parsed("place", |text| text.parse().ok())?,
        done: fields.number("done")?,
        started_at: Timestamp::from_millis(fields.number("started_at")?),
        progressed_at: Timestamp::from_millis(fields.number("moved_at")?),
        finished_at: fields.opt_number("finished_at")?.map(Timestamp::from_millis),
    })
}

/// Returns true for an unfinished job that rebuilds thumbnails after a change of plans.
pub(crate) fn is_unfinished_plan_job(item: &Item) -> bool {
    let fields = Fields(item);
    let kind = fields.opt_text("kind").and_then(JobKind::parse);
    matches!(kind, Some(JobKind::AssignPlan | JobKind::ChangePlan))
        && fields.opt_text("status").and_then(JobStatus::parse) != Some(JobStatus::Done)
}

/// `token`: the hash of the current token.
pub(crate) fn from_link(link: &Link, token: Sha256) -> Item {
    let mut item = Key::link(link.id).attributes();
    let mut set = |name: &str, value| {
        item.insert(name.to_owned(), value);
    };
    set("image", s(link.image));
    set("content_type", s(link.content_type.as_str()));
    set("description", s(&link.description));
    set("lifetime", n(link.lifetime.secs()));
    set("expires_at", n(link.expires_at.secs()));
    set("rotation", n(link.rotations));
    set("token", s(token));
    if let Some(most) = link.max_downloads {
        set("max_downloads", n(most));
    }
    set("downloads", n(link.downloads));
    if let Some(hash) = &link.password_hash {
        set("password_hash", s(hash));
    }
    set("created_at", n(link.created_at.millis()));
    set("version", n(link.version));
    item
}

pub(crate) fn link(item: &Item) -> Result<Link, StoreError> {
    let fields = Fields(item);
    Ok(Link {
        id: Key::of(item)?.as_link().ok_or_else(|| fields.invalid("sk"))?,
        image: fields.parsed("image", |text| text.parse().ok())?,
        content_type: fields.parsed("content_type", |text| ContentType::parse(text).ok())?,
        description: Description::from_stored(fields.text("description")?.to_owned()),
        lifetime: Lifetime::from_secs(fields.number("lifetime")?).ok_or_else(|| fields.invalid("lifetime"))?,
        expires_at: Timestamp::from_secs(fields.number("expires_at")?),
        rotations: fields.number("rotation")?,
        token_hash: Some(fields.parsed("token", Sha256::parse)?),
        max_downloads: fields.opt_number("max_downloads")?,
        downloads: fields.number("downloads")?,
        password_hash: fields.opt_text("password_hash").map(str::to_owned),
        created_at: Timestamp::from_millis(fields.number("created_at")?),
        version: fields.number("version")?,
    })
}

/// The target of a token: its link and image, so that one more read loads all that a visit needs.
pub(crate) fn token_target(item: &Item) -> Result<(LinkId, ImageId), StoreError> {
    let fields = Fields(item);
    let owner = fields.parsed("owner", |text| text.parse().ok())?;
    let link: LinkKey = fields.parsed("link", |text| text.parse().ok())?;
    Ok((LinkId { owner, key: link }, ImageId { owner, key: fields.parsed("image", |text| text.parse().ok())? }))
}

pub(crate) fn failed_attempts(item: &Item) -> Result<(u32, Timestamp), StoreError> {
    let fields = Fields(item);
    Ok((fields.number("misses")?, Timestamp::from_secs(fields.number("expires_at")?)))
}

impl ReadSet {
    pub fn profile(&self, user: UserId) -> Result<Option<Profile>, StoreError> {
        self.get(&Key::profile(user)).map(profile).transpose()
    }

    pub fn image(&self, id: ImageId) -> Result<Option<Image>, StoreError> {
        self.get(&Key::image(id)).map(image).transpose()
    }

    pub fn plan(&self, name: &PlanName) -> Result<Option<Plan>, StoreError> {
        self.get(&Key::plan(name)).map(plan).transpose()
    }

    pub fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        self.get(&Key::job(id)).map(job).transpose()
    }

    pub fn link(&self, id: LinkId) -> Result<Option<Link>, StoreError> {
        self.get(&Key::link(id)).map(link).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thumbnails_have_the_type_of_the_original_unless_they_name_another() {
        let key = ImageKey::generate();
        let thumbnail =
            |height, content_type, webp_size| Thumbnail { height, width: 1, size: 1, content_type, webp_size };
        let stored = Image {
            id: ImageId { owner: "7d444840-9dc0-11d1-b245-5ffdce74fad2".parse().unwrap(), key },
            title: Title::from_stored("a".to_owned()),
            description: Description::default(),
            visibility: Visibility::Private,
            photo_public: false,
            blob: Blob { content_type: ContentType::Gif, size: 1, sha256: None },
            state: ImageState::Ready(Ready {
                width: 1,
                height: 1,
                placeholder: vec![1],
                thumbnails: vec![thumbnail(200, ContentType::Gif, None), thumbnail(400, ContentType::Jpeg, Some(7))],
                webp_thumbnails: true,
                built_for: ThumbnailSetId::plan(None, 0),
                warnings: Vec::new(),
                photo: None,
            }),
            deletion_epoch: 0,
            created_at: key.created_at(),
            updated_at: key.created_at(),
            version: 1,
        };
        let item = from_image(&stored, 1);
        let named =
            |place: usize| item["thumbnails"].as_l().unwrap()[place].as_m().unwrap().contains_key("content_type");
        assert_eq!((named(0), named(1)), (false, true));
        assert_eq!(image(&item).unwrap(), stored);
    }
}
