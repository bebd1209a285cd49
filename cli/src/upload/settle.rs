//! Waiting until uploaded images are ready or rejected.
//!
//! Lists are newest first and ids sort by time, so an image stays where it is in the list: one pass goes through it from the
//! newest to the oldest that is waited for. After it, one page is asked for at a time, the oldest first, as images get ready in
//! about that order; only where nothing has changed on a page, the next is looked at.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use indicatif::HumanCount;
use serde_json::json;
use tintype_model::ImageId;

use super::Run;
use super::files::Failure;
use crate::api::{self, Image, Paged};
use crate::error::Result;
use crate::journal::State;
use crate::output::line;

const PAGE: u64 = 100;
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);

/// A page of the list, and those of its images that are open.
struct Page {
    cursor: Option<String>,
    open: Vec<ImageId>,
}

impl Run<'_> {
    /// Waits for what was uploaded, as long as there is progress now and then.
    pub(super) async fn settle(&self) -> Result<()> {
        let mut open: HashSet<ImageId> = self.unsettled().drain(..).collect();
        let Some(&oldest) = open.iter().min() else { return Ok(()) };
        let mut pages = Vec::new();
        let mut cursor = None;
        while !open.is_empty() {
            self.progress.note(format!("Waiting for {} images ...", HumanCount(open.len() as u64)));
            let (images, next) = self.page(cursor.clone()).await?;
            let beyond = images.iter().filter_map(|image| image.id.parse().ok()).any(|id: ImageId| id <= oldest);
            let mut page = Page { cursor, open: Vec::new() };
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
        // Not on the list: deleted, or given up by the service.
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
        Ok(self.client.ask(api::LIST_IMAGES).query(&query).send().await?.split())
    }

    async fn ask_again(&self, page: &mut Page) -> Result<()> {
        if let [id] = page.open[..] {
            match self.client.ask(api::GET_IMAGE).at(&id.to_string()).send().await {
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
                // The cursor of the first page names no place: newer images have pushed it off.
                None if page.cursor.is_none() => open.push(id),
                None => self.lost(id)?,
            }
        }
        page.open = open;
        Ok(())
    }

    /// Whether it is over with an image.
    fn settled(&self, id: ImageId, image: &Image) -> Result<bool> {
        match image.status.as_str() {
            "ready" => {
                self.journal().became(id, State::Ready, None)?;
                self.report().ready += 1;
                if self.out.json {
                    line(&json!({"event": "ready", "title": image.title, "id": image.id}).to_string());
                }
            }
            "rejected" => {
                let why = image.reject_reason.as_deref().unwrap_or("it is not an image that the service takes");
                self.journal().became(id, State::Rejected, Some(why))?;
                self.report().rejected += 1;
                self.fail_late(&image.title, "rejected", format!("the service rejected it: {why}"));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The image is not there any more, for whatever reason.
    fn lost(&self, id: ImageId) -> Result<()> {
        self.journal().became(id, State::Gone, None)?;
        self.fail_late(&id.to_string(), "gone", "the image was deleted before it was ready".to_owned());
        Ok(())
    }

    /// A file that was taken for uploaded is none.
    fn fail_late(&self, title: &str, code: &'static str, reason: String) {
        let failure = Failure::new(std::path::Path::new(title), code, reason);
        self.progress.failed_late();
        self.tell_failure(failure);
    }
}
