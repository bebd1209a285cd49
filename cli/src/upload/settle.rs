//! Waits until uploaded images are ready or rejected.
//!
//! Lists are newest first and ids sort by time, so an image keeps its place in the list. One pass reads the list from the
//! newest image to the oldest one waited for. Afterwards the client requests one page at a time, the oldest first, because
//! images become ready in about that order; it goes to the next page only if nothing has changed on this one.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use indicatif::HumanCount;
use serde_json::json;
use tintype_model::ImageId;

use super::Run;
use super::files::FileFailure;
use crate::api::{self, Image, Paged};
use crate::error::Result;
use crate::journal::FileState;
use crate::output::line;

const PAGE: u64 = 100;
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);

/// A page of the list, and its images that are neither ready nor rejected.
struct SettledPage {
    cursor: Option<String>,
    open: Vec<ImageId>,
}

impl Run<'_> {
    /// Waits for uploaded images, until none has become ready for the time of `--wait`.
    pub(super) async fn settle(&self) -> Result<()> {
        let mut open: HashSet<ImageId> = self.unsettled().keys().copied().collect();
        let Some(&oldest) = open.iter().min() else { return Ok(()) };
        let mut pages = Vec::new();
        let mut cursor = None;
        while !open.is_empty() {
            self.progress.note(format!("Waiting for {} images ...", HumanCount(open.len() as u64)));
            let (images, next) = self.page(cursor.clone()).await?;
            let beyond = images.iter().filter_map(|image| image.id.parse().ok()).any(|id: ImageId| id <= oldest);
            let mut page = SettledPage { cursor, open: Vec::new() };
            for image in &images {
                if let Ok(id) = image.id.parse()
                    && open.remove(&id)
                    && !self.settled(id, image)?
                {
                    page.open.push(id);
                }
            }
            if !page.open.is_empty() {
                pages.push(page);
            }
            match next {
                Some(next) if !beyond => cursor = Some(next),
                _ => break,
            }
        }
        // Not in the list: deleted or expired.
        for id in open {
            self.lost(id)?;
        }

        let (mut last, mut pause, mut at) = (Instant::now(), SHORTEST, 0);
        // The oldest first.
        pages.reverse();
        while !pages.is_empty() {
            let left: usize = pages.iter().map(|page| page.open.len()).sum();
            self.progress.note(format!("Waiting for {} images ...", HumanCount(left as u64)));
            if last.elapsed() > self.arguments.wait {
                self.report().unsettled += left as u64;
                self.unsettled().clear();
                return Ok(());
            }
            tokio::time::sleep(pause.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
            let page = &mut pages[at];
            let before = page.open.len();
            self.ask_again(page).await?;
            if page.open.len() < before {
                (last, pause) = (Instant::now(), SHORTEST);
            } else {
                at += 1;
                if at == pages.len() {
                    pause = (pause * 2).min(LONGEST);
                }
            }
            pages.retain(|page| !page.open.is_empty());
            if at >= pages.len() {
                at = 0;
            }
        }
        Ok(())
    }

    async fn page(&self, cursor: Option<String>) -> Result<(Vec<Image>, Option<String>)> {
        let query = api::ListImages { cursor, limit: Some(PAGE), ..Default::default() };
        Ok(self.client.request(api::LIST_IMAGES).query(&query).send().await?.split())
    }

    async fn ask_again(&self, page: &mut SettledPage) -> Result<()> {
        if let [id] = page.open[..] {
            match self.client.request(api::GET_IMAGE).path_param(&id.to_string()).send().await {
                Ok(image) if !self.settled(id, &image)? => {}
                Ok(_) => page.open.clear(),
                Err(error) if error.refused_with("not_found") => {
                    self.lost(id)?;
                    page.open.clear();
                }
                Err(error) => return Err(error),
            }
            return Ok(());
        }
        let (images, _) = self.page(page.cursor.clone()).await?;
        let mut open = Vec::new();
        for id in page.open.drain(..) {
            match images.iter().find(|image| image.id.parse() == Ok(id)) {
                Some(image) if self.settled(id, image)? => {}
                Some(_) => open.push(id),
                // The first page has no cursor: newer images have moved this one to the next page.
                None if page.cursor.is_none() => open.push(id),
                None => self.lost(id)?,
            }
        }
        page.open = open;
        Ok(())
    }

    /// True if an image is ready or rejected.
    fn settled(&self, id: ImageId, image: &Image) -> Result<bool> {
        match image.status.as_str() {
            "ready" => {
                self.journal().became(id, FileState::Ready, None)?;
                self.report().ready += 1;
                let path = self.unsettled().remove(&id).unwrap_or_default();
                if self.out.json {
                    let path = path.to_string_lossy();
                    line(&json!({"event": "ready", "path": path, "title": image.title, "id": image.id}).to_string());
                }
            }
            "rejected" => {
                let why = image.reject_reason.as_deref().unwrap_or("not a valid image");
                self.journal().became(id, FileState::Rejected, Some(why))?;
                self.report().rejected += 1;
                self.fail_late(id, "rejected", format!("the service rejected it: {why}"));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The image no longer exists, for whatever reason.
    fn lost(&self, id: ImageId) -> Result<()> {
        self.journal().became(id, FileState::Gone, None)?;
        self.fail_late(id, "gone", "the image was deleted before it was ready".to_owned());
        Ok(())
    }

    /// Reclassifies an uploaded file as failed.
    fn fail_late(&self, id: ImageId, code: &'static str, reason: String) {
        let path = self.unsettled().remove(&id).unwrap_or_default();
        let failure = FileFailure::new(&path, code, reason);
        self.progress.failed_late();
        self.tell_failure(failure);
    }
}
