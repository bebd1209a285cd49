use tintype_model::{ImageId, JobId};
use tracing::Span;
use tracing::field::display;

/// Names the image that a request is about in its log events.
pub(crate) fn record_image(id: ImageId) {
    Span::current().record("image", display(id));
}

/// Names the job that a request began or asks for in its log events.
pub(crate) fn record_job(id: JobId) {
    Span::current().record("job", display(id));
}
