//! Jobs of the service.

use std::time::Duration;

use indicatif::{HumanCount, ProgressBar};

use crate::api::{self, Job};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::output::Output;

/// Seconds for which a job may make no progress.
const PATIENCE: u32 = 300;

/// Waits until a job is done. Returns an error if it fails.
pub(crate) async fn wait(client: &Client, out: Output, mut job: Job) -> Result<Job> {
    let bar = if out.quiet || out.json { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    bar.enable_steady_tick(Duration::from_millis(120));
    let mut still = 0;
    loop {
        bar.set_message(format!("{} images deleted", HumanCount(job.done)));
        match job.status.as_str() {
            "done" => break,
            "failed" => {
                bar.finish_and_clear();
                return Err(Error::Other(format!("The job failed after {} images: try again later.", job.done)));
            }
            _ if still > PATIENCE => {
                bar.finish_and_clear();
                return Err(Error::Other(format!("Still running: job {} continues on the server.", job.id)));
            }
            _ => {}
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let next = client.request(api::GET_JOB).path_param(&job.id).send().await?;
        still = if next.done == job.done { still + 1 } else { 0 };
        job = next;
    }
    bar.finish_and_clear();
    Ok(job)
}
