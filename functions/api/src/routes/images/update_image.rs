use tintype_model::{Description, Title, Visibility};
use tintype_store::{Change, Changed};

use crate::error::Problem;
use crate::reply::Reply;
use crate::request::{CHANGE_TRIES, Request};

body! {
    pub(crate) struct UpdateImage {
        title: Option<Title> = None,
        description: Option<Description> = None,
        visibility: Option<Visibility> = None,
    }
}

/// Renames an image, describes it, shows it or hides it.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let body: UpdateImage = request.body()?;
    let change = Change { title: body.title, description: body.description, visibility: body.visibility };
    for _ in 0..CHANGE_TRIES {
        let owned = super::load_owned(request).await?;
        request.check_if_match(owned.image.version)?;
        match request.app.table.change_image(&owned.image, change.clone(), request.now).await? {
            Changed::Changed(image) => {
                return super::reply_with_image(request, &image, &owned.caller.profile).await;
            }
            Changed::TitleTaken => return Err(Problem::title_taken()),
            Changed::Stale => {}
        }
    }
    Err(Problem::busy())
}
