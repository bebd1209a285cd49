//! The two private buckets, of originals and of thumbnails. Keys consist of ids only.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{RequestChecksumCalculation, StalledStreamProtectionConfig};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::list_objects_v2::builders::ListObjectsV2FluentBuilder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, Object, ObjectIdentifier};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tintype_model::{Blob, ContentType, Image, ImageId, ImageKey, Ready, Thumbnail, ThumbnailSetId, Timestamp, UserId};
use tokio::io::AsyncBufRead;

use crate::StoreError;
use crate::calls::RecordCalls;
use crate::presign::{Presigner, ToSign};

/// How long no byte of an object may come, the SDK's own value.
const STALLED_AFTER: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub struct BlobStore {
    client: Client,
    originals: String,
    thumbnails: String,
    sign_originals: Arc<Presigner>,
    sign_thumbnails: Arc<Presigner>,
}

/// The upload that S3 accepts: a `PUT` to `url` with exactly these headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresignedPut {
    pub url: String,
    pub headers: HashMap<String, String>,
    pub expires_at: Timestamp,
}

/// A URL for reading, valid until `expires_at`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresignedGet {
    pub url: String,
    pub expires_at: Timestamp,
}

/// One of the two buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    Originals,
    Thumbnails,
}

/// An entry of a bucket listing.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) key: String,
    pub(crate) written_at: Timestamp,
}

/// The method that a signed URL is valid for; S3 refuses the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadKind {
    Get,
    Head,
}

/// The result of reading a small blob.
#[derive(Debug)]
pub enum Fetched {
    Bytes {
        bytes: Vec<u8>,
        etag: String,
    },
    /// The caller has a copy, with this ETag if S3 says it.
    NotModified {
        etag: Option<String>,
    },
    Missing,
}

/// The lifetime of an upload URL.
const UPLOAD_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// The most keys that a request of S3 lists, or deletes.
const MOST_KEYS: usize = 1000;

/// About the most blobs that an image has: the original, and of two plans' sets a thumbnail of each height in two encodings.
const KEYS_OF_AN_IMAGE: usize = 16;

fn prefix(id: ImageId) -> String {
    format!("{}/{}/", id.owner, id.key)
}

fn original_key(id: ImageId) -> String {
    format!("originals/{}original", prefix(id))
}

fn thumbnails_prefix(id: ImageId, set: &ThumbnailSetId) -> String {
    format!("thumbnails/{}{}/", prefix(id), set.as_str())
}

/// Identifies a thumbnail by its image, its set, its height and its type.
#[derive(Debug, Clone, Copy)]
pub struct ThumbnailKey<'a> {
    pub image: ImageId,
    pub set: &'a ThumbnailSetId,
    pub thumbnail: &'a Thumbnail,
}

impl ThumbnailKey<'_> {
    fn key(&self) -> String {
        format!("{}{}", thumbnails_prefix(self.image, self.set), self.thumbnail.file_name())
    }
}

/// Returns the image that a key of either bucket belongs to.
pub fn image_id_of_key(key: &str) -> Option<ImageId> {
    let mut parts = key.split('/');
    let (Some("originals" | "thumbnails"), Some(owner), Some(image)) = (parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    Some(ImageId { owner: owner.parse().ok()?, key: image.parse().ok()? })
}

impl BlobStore {
    pub fn new(sdk: &aws_types::SdkConfig, originals: impl Into<String>, thumbnails: impl Into<String>) -> Self {
        let config = aws_sdk_s3::config::Builder::from(sdk)
            // A presigned PUT has the checksum that the owner declared, or none.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            // Objects are read after the attempt, whose timeout covers what is sent.
            .stalled_stream_protection(
                StalledStreamProtectionConfig::enabled().upload_enabled(false).grace_period(STALLED_AFTER).build(),
            )
            .interceptor(RecordCalls)
            .build();
        let (client, originals, thumbnails) = (Client::from_conf(config), originals.into(), thumbnails.into());
        let presigner = |bucket: &str| Arc::new(Presigner::new(sdk, client.clone(), bucket.to_owned()));
        Self {
            sign_originals: presigner(&originals),
            sign_thumbnails: presigner(&thumbnails),
            client,
            originals,
            thumbnails,
        }
    }

    /// Signs the upload of an original for its key, size, type and, if declared, hash. S3 accepts it only if the key
    /// does not exist.
    pub async fn sign_upload(&self, id: ImageId, blob: &Blob, now: Timestamp) -> Result<PresignedPut, StoreError> {
        let (size, hash) = (blob.size.to_string(), blob.sha256.map(|hash| STANDARD.encode(hash.0)));
        let mut headers = vec![
            ("content-length", size.as_str()),
            ("content-type", blob.content_type.as_str()),
            ("if-none-match", "*"),
        ];
        headers.extend(hash.as_deref().map(|hash| ("x-amz-checksum-sha256", hash)));
        let (start, lasting) = (now.into(), UPLOAD_LIFETIME);
        let key = original_key(id);
        let put = ToSign { method: "PUT", key: &key, query: &[], headers: &headers, start, lasting };
        let url = self.sign_originals.sign(&put).await?;
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(PresignedPut { url, headers, expires_at: now + UPLOAD_LIFETIME })
    }

    /// Signs a URL for reading an original as `kind` with the file name `name`, valid from `start` for `lasting`.
    pub async fn sign_original(
        &self,
        id: ImageId,
        method: ReadKind,
        kind: ContentType,
        name: &str,
        start: Timestamp,
        lasting: Duration,
    ) -> Result<PresignedGet, StoreError> {
        sign_read(&self.sign_originals, &original_key(id), method, kind, name, start, lasting).await
    }

    /// Signs a URL for reading a thumbnail; see [`Self::sign_original`].
    pub async fn sign_thumbnail(
        &self,
        key: ThumbnailKey<'_>,
        method: ReadKind,
        start: Timestamp,
        lasting: Duration,
    ) -> Result<PresignedGet, StoreError> {
        let (kind, name) = (key.thumbnail.content_type, key.thumbnail.file_name());
        sign_read(&self.sign_thumbnails, &key.key(), method, kind, &name, start, lasting).await
    }

    /// Reads an original as a stream. Returns `None` if it does not exist.
    pub async fn open_original(
        &self,
        id: ImageId,
    ) -> Result<Option<impl AsyncBufRead + Send + Unpin + 'static>, StoreError> {
        match self.client.get_object().bucket(&self.originals).key(original_key(id)).send().await {
            Ok(object) => Ok(Some(object.body.into_async_read())),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(StoreError::from_sdk("GetObject", error)),
        }
    }

    /// Reads a thumbnail. `if_none_match`: the value of that header, the ETags of the caller's copies.
    pub async fn fetch_thumbnail(
        &self,
        key: ThumbnailKey<'_>,
        if_none_match: Option<String>,
    ) -> Result<Fetched, StoreError> {
        let get = self.client.get_object().bucket(&self.thumbnails).key(key.key()).set_if_none_match(if_none_match);
        match get.send().await {
            Ok(object) => {
                let etag = object.e_tag().unwrap_or_default().to_owned();
                let bytes = object.body.collect().await.map_err(|e| StoreError::Unavailable(e.to_string()))?;
                Ok(Fetched::Bytes { bytes: bytes.to_vec(), etag })
            }
            Err(error) if is_missing(&error) => Ok(Fetched::Missing),
            Err(error) => match error.raw_response().filter(|answer| answer.status().as_u16() == 304) {
                Some(answer) => {
                    let etag = answer.headers().get("etag").map(str::to_owned);
                    Ok(Fetched::NotModified { etag })
                }
                None => Err(StoreError::from_sdk("GetObject", error)),
            },
        }
    }

    pub async fn put_thumbnail(&self, key: ThumbnailKey<'_>, bytes: Vec<u8>) -> Result<(), StoreError> {
        let put = self
            .client
            .put_object()
            .bucket(&self.thumbnails)
            .key(key.key())
            .content_type(key.thumbnail.content_type.as_str())
            .body(ByteStream::from(bytes));
        put.send().await.map(|_| ()).map_err(|e| StoreError::from_sdk("PutObject", e))
    }

    /// Deletes a set of thumbnails.
    pub async fn delete_thumbnails(&self, id: ImageId, set: &ThumbnailSetId) -> Result<(), StoreError> {
        let list = self.client.list_objects_v2().bucket(&self.thumbnails).prefix(thumbnails_prefix(id, set));
        let mut pages = list.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| StoreError::from_sdk("ListObjectsV2", e))?;
            self.delete_keys(Bucket::Thumbnails, keys_of(page.contents.unwrap_or_default())).await?;
        }
        Ok(())
    }

    /// Deletes all blobs of an image in both buckets.
    pub async fn delete_image(&self, id: ImageId) -> Result<(), StoreError> {
        self.delete_images(id.owner, &BTreeSet::from([id.key])).await
    }

    /// Deletes all blobs of these images of an owner in both buckets.
    pub async fn delete_images(&self, owner: UserId, images: &BTreeSet<ImageKey>) -> Result<(), StoreError> {
        let delete = async |bucket| {
            let keys = self.list_images(bucket, owner, images).await?;
            self.delete_keys(bucket, keys).await
        };
        tokio::try_join!(delete(Bucket::Originals), delete(Bucket::Thumbnails))?;
        Ok(())
    }

    pub(crate) fn original_key(id: ImageId) -> String {
        original_key(id)
    }

    /// The keys of the thumbnails of a ready image, and of their WebP variants.
    pub(crate) fn thumbnail_keys(image: &Image, ready: &Ready) -> impl Iterator<Item = String> {
        let (image, set) = (image.id, &ready.built_for);
        ready.thumbnails.iter().flat_map(move |thumbnail| {
            let key = |thumbnail| ThumbnailKey { image, set, thumbnail }.key();
            std::iter::once(key(thumbnail)).chain(thumbnail.webp_variant().as_ref().map(key))
        })
    }

    fn place(&self, bucket: Bucket) -> (&str, &'static str) {
        match bucket {
            Bucket::Originals => (&self.originals, "originals"),
            Bucket::Thumbnails => (&self.thumbnails, "thumbnails"),
        }
    }

    /// Lists a page of a bucket by key, at most `limit` blobs, and at most 1,000. Returns the last key if more follow.
    pub(crate) async fn list(
        &self,
        bucket: Bucket,
        after: Option<String>,
        limit: Option<i32>,
    ) -> Result<(Vec<Listed>, Option<String>), StoreError> {
        let list = self.client.list_objects_v2().bucket(self.place(bucket).0).set_start_after(after);
        let (objects, more) = list_page(list.set_max_keys(limit)).await?;
        let listed: Vec<Listed> = objects
            .into_iter()
            .filter_map(|object| {
                let written_at = Timestamp::from_secs(object.last_modified.map_or(0, |at| at.secs()));
                Some(Listed { key: object.key?, written_at })
            })
            .collect();
        let last = listed.last().map(|blob| blob.key.clone()).filter(|_| more);
        Ok((listed, last))
    }

    /// Lists the keys of the blobs of these images of an owner. A request returns the keys that follow each other, so images
    /// that do take one together, and none takes more requests than alone.
    pub(crate) async fn list_images(
        &self,
        bucket: Bucket,
        owner: UserId,
        images: &BTreeSet<ImageKey>,
    ) -> Result<Vec<String>, StoreError> {
        let (name, root) = self.place(bucket);
        let folder = format!("{root}/{owner}/");
        let before = |image: &ImageKey| format!("{folder}{image}");
        let most = images.len().saturating_mul(KEYS_OF_AN_IMAGE).min(MOST_KEYS);
        let mut keys = Vec::new();
        let mut next = images.first().map(before);
        while let Some(after) = next {
            let list = self.client.list_objects_v2().bucket(name).prefix(&folder).start_after(after);
            let (objects, more) = list_page(list.max_keys(i32::try_from(most).unwrap_or(i32::MAX))).await?;
            let found = keys_of(objects);
            next = found.last().filter(|_| more).and_then(|last| {
                let Some(reached) = image_id_of_key(last) else { return Some(last.clone()) };
                let image = images.range(reached.key..).next()?;
                Some(if *image == reached.key { last.clone() } else { before(image) })
            });
            keys.extend(
                found.into_iter().filter(|key| image_id_of_key(key).is_some_and(|id| images.contains(&id.key))),
            );
        }
        Ok(keys)
    }

    pub(crate) async fn delete(&self, bucket: Bucket, key: &str) -> Result<(), StoreError> {
        let delete = self.client.delete_object().bucket(self.place(bucket).0).key(key);
        delete.send().await.map(|_| ()).map_err(|e| StoreError::from_sdk("DeleteObject", e))
    }

    async fn delete_keys(&self, bucket: Bucket, keys: Vec<String>) -> Result<(), StoreError> {
        let identifiers = keys.into_iter().map(|key| ObjectIdentifier::builder().key(key).build());
        let mut left: Vec<ObjectIdentifier> = identifiers.collect::<Result<_, _>>().map_err(unsigned)?;
        while !left.is_empty() {
            let rest = left.split_off(left.len().min(MOST_KEYS));
            let delete = Delete::builder().set_objects(Some(left)).quiet(true).build().map_err(unsigned)?;
            let answer = self.client.delete_objects().bucket(self.place(bucket).0).delete(delete).send().await;
            let answer = answer.map_err(|e| StoreError::from_sdk("DeleteObjects", e))?;
            if let Some(error) = answer.errors().first() {
                return Err(StoreError::Unavailable(format!("DeleteObjects: {}", error.code().unwrap_or("unknown"))));
            }
            left = rest;
        }
        Ok(())
    }
}

/// Lists a page, and says whether more follow. S3 promises at most so many keys, not at least one: behind an empty page
/// there may be others, so it is passed over.
async fn list_page(mut list: ListObjectsV2FluentBuilder) -> Result<(Vec<Object>, bool), StoreError> {
    loop {
        let page = list.clone().send().await.map_err(|e| StoreError::from_sdk("ListObjectsV2", e))?;
        let objects = page.contents.unwrap_or_default();
        let more = page.is_truncated.unwrap_or_default();
        match page.next_continuation_token {
            Some(next) if more && objects.is_empty() => list = list.continuation_token(next),
            _ => return Ok((objects, more)),
        }
    }
}

fn keys_of(objects: Vec<Object>) -> Vec<String> {
    objects.into_iter().filter_map(|object| object.key).collect()
}

async fn sign_read(
    bucket: &Presigner,
    key: &str,
    method: ReadKind,
    kind: ContentType,
    name: &str,
    start: Timestamp,
    lasting: Duration,
) -> Result<PresignedGet, StoreError> {
    let method = match method {
        ReadKind::Get => "GET",
        ReadKind::Head => "HEAD",
    };
    let disposition = disposition(name);
    let query = [("response-content-disposition", disposition.as_str()), ("response-content-type", kind.as_str())];
    let read = ToSign { method, key, query: &query, headers: &[], start: start.into(), lasting };
    Ok(PresignedGet { url: bucket.sign(&read).await?, expires_at: start + lasting })
}

fn is_missing<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    matches!(error, SdkError::ServiceError(e) if matches!(e.err().code(), Some("NoSuchKey" | "NotFound")))
}

fn unsigned(error: impl std::fmt::Display) -> StoreError {
    StoreError::Internal(error.to_string())
}

/// Bytes. File systems take no longer names, and the name is in a signed URL with five characters a byte: 256 characters of
/// four bytes each would make it 5 kB, and S3 refuses a request whose head has more than 8 kB (`RequestHeaderSectionTooLarge`
/// in S3's list of error codes).
const MAX_FILE_NAME: usize = 255;

/// Returns the name cut to [`MAX_FILE_NAME`] bytes between two characters, with its extension kept.
fn file_name(name: &str) -> Cow<'_, str> {
    if name.len() <= MAX_FILE_NAME {
        return name.into();
    }
    let extension = name.rfind('.').map(|at| &name[at..]).filter(|extension| extension.len() <= 16).unwrap_or_default();
    let stem = &name[..name.len() - extension.len()];
    let end = (0..=MAX_FILE_NAME - extension.len()).rev().find(|at| stem.is_char_boundary(*at)).unwrap_or_default();
    format!("{}{extension}", &stem[..end]).into()
}

/// `Content-Disposition` (RFC 6266) that displays the image inline, with a UTF-8 file name (RFC 8187).
fn disposition(name: &str) -> String {
    let name = file_name(name);
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii() && !c.is_ascii_control() && !matches!(c, '"' | '\\' | '/') { c } else { '_' })
        .collect();
    let mut encoded = String::new();
    for byte in name.replace(['/', '\\'], "_").bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("inline; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: &str = "7d444840-9dc0-11d1-b245-5ffdce74fad2";

    #[test]
    fn a_blob_names_its_image() {
        let id = ImageId { owner: OWNER.parse().unwrap(), key: tintype_model::ImageKey::generate() };
        assert_eq!(image_id_of_key(&original_key(id)), Some(id));
        let thumbnail =
            Thumbnail { height: 200, width: 300, size: 1, content_type: ContentType::Jpeg, webp_size: None };
        let key = ThumbnailKey { image: id, set: &ThumbnailSetId::plan(None, 0), thumbnail: &thumbnail }.key();
        assert!(key.ends_with("/200.jpg"), "{key}");
        assert_eq!(image_id_of_key(&key), Some(id));
        for stranger in ["", "originals/x/y", "other/a/b", "originals"] {
            assert_eq!(image_id_of_key(stranger), None);
        }
    }

    #[test]
    fn a_long_file_name_is_cut_between_characters_and_keeps_its_extension() {
        let name = format!("{}.jpeg", "\u{1f5bc}".repeat(256));
        let cut = file_name(&name);
        assert_eq!(cut, format!("{}.jpeg", "\u{1f5bc}".repeat(62)));
        assert!(disposition(&name).len() < 1024);
        assert_eq!(file_name(&name[..248]), name[..248]);
        let dots = format!("{}.{}", "a".repeat(300), "b".repeat(300));
        assert_eq!(file_name(&dots), "a".repeat(255));
    }

    #[test]
    fn a_file_name_cannot_leave_its_header() {
        assert_eq!(
            disposition("a\"b/é\r\n.jpg"),
            "inline; filename=\"a_b____.jpg\"; filename*=UTF-8''a%22b_%C3%A9%0D%0A.jpg"
        );
    }
}
