pub(super) mod create_plan;
pub(super) mod delete_plan;
pub(super) mod get_plan;
pub(super) mod list_plans;
pub(super) mod replace_plan;

use schemars::JsonSchema;
use serde::Serialize;
use tintype_model::{Plan, PlanName};

use crate::error::Problem;
use crate::request::Request;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Plan")]
struct PlanView<'a> {
    name: &'a PlanName,
    /// Pixels, ascending.
    #[schemars(example = [200, 400])]
    thumbnail_heights: &'a [u32],
    /// Thumbnails of public images are WebP for clients that accept it, where that is smaller.
    webp_thumbnails: bool,
    original_link: bool,
    expiring_links: bool,
    /// Bytes.
    #[schemars(example = 26_214_400)]
    max_image_bytes: u64,
    #[schemars(example = 10_000)]
    max_images: u64,
}

impl<'a> PlanView<'a> {
    fn new(plan: &'a Plan) -> Self {
        Self {
            name: &plan.name,
            thumbnail_heights: &plan.thumbnail_heights,
            webp_thumbnails: plan.webp_thumbnails,
            original_link: plan.original_link,
            expiring_links: plan.expiring_links,
            max_image_bytes: plan.max_image_bytes,
            max_images: plan.max_images,
        }
    }
}

/// The plan that the path names, as it is now.
async fn load(request: &Request<'_>) -> Result<Plan, Problem> {
    let name = PlanName::parse(request.param("name")).ok_or_else(Problem::not_found)?;
    request.app.store.plans.read(&name).await?.ok_or_else(Problem::not_found)
}
