//! The route table. `template.yaml` has one function for each entry, with the entry's name as its handler.

mod auth;
mod explore;
mod fallback;
mod get_openapi;
mod health;
mod images;
mod jobs;
mod links;
mod me;
mod media;
mod plans;
mod users;

use std::pin::Pin;

use http::Method;

use crate::error::Problem;
use crate::operation::Operation;
use crate::request::Request;
use crate::response::Response;

type ResponseFuture<'a> = Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send + 'a>>;

pub(crate) struct Route {
    /// The OpenAPI operation id, and the name of the Lambda handler.
    pub(crate) operation: &'static str,
    pub(crate) methods: &'static [Method],
    /// With `{parameters}`, each a whole segment. Empty for the route of all other requests.
    pub(crate) path: &'static str,
    pub(crate) handle: for<'a> fn(&'a Request<'a>) -> ResponseFuture<'a>,
}

macro_rules! routes {
    ($($methods:ident $path:literal $($module:ident)::+;)*) => {
        pub(crate) const ROUTES: &[Route] = &[$(Route {
            operation: routes!(@name $($module)::+),
            methods: $methods,
            path: $path,
            handle: |request| Box::pin($($module)::+::handle(request)),
        }),*];

        /// The descriptions of the routes, in their order. Apart from them, so that the functions do not contain the
        /// generator of the OpenAPI document.
        pub(crate) const OPERATIONS: &[Operation] = &[$($($module)::+::DOCUMENT),*];
    };
    (@name $first:ident :: $($rest:ident)::+) => { routes!(@name $($rest)::+) };
    (@name $last:ident) => { stringify!($last) };
}

const GET: &[Method] = &[Method::GET, Method::HEAD];
const POST: &[Method] = &[Method::POST];
const PUT: &[Method] = &[Method::PUT];
const PATCH: &[Method] = &[Method::PATCH];
const DELETE: &[Method] = &[Method::DELETE];
const GET_OR_POST: &[Method] = &[Method::GET, Method::HEAD, Method::POST];
const ANY: &[Method] = &[];

routes! {
    POST "/api/auth/signup" auth::signup;
    POST "/api/auth/confirm" auth::confirm;
    POST "/api/auth/resend-code" auth::resend_code;
    POST "/api/auth/login" auth::login;
    POST "/api/auth/refresh" auth::refresh;
    POST "/api/auth/logout" auth::logout;
    POST "/api/auth/forgot-password" auth::forgot_password;
    POST "/api/auth/reset-password" auth::reset_password;
    GET "/api/me" me::get_me;
    PATCH "/api/me" me::update_me;
    DELETE "/api/me" me::delete_me;
    POST "/api/me/export" me::begin_export;
    GET "/api/me/export" me::get_export;
    POST "/api/images" images::create_image;
    GET "/api/images" images::list_images;
    POST "/api/images/batch" images::create_batch;
    POST "/api/images/delete" images::delete_images;
    GET "/api/images/{id}" images::get_image;
    PATCH "/api/images/{id}" images::update_image;
    DELETE "/api/images/{id}" images::delete_image;
    POST "/api/images/{id}/upload" images::renew_upload;
    POST "/api/expiring-links" links::create_link;
    GET "/api/expiring-links" links::list_links;
    GET "/api/expiring-links/{id}" links::get_link;
    PUT "/api/expiring-links/{id}" links::replace_link;
    PATCH "/api/expiring-links/{id}" links::update_link;
    DELETE "/api/expiring-links/{id}" links::delete_link;
    GET "/api/explore" explore;
    GET "/api/jobs/{id}" jobs::get_job;
    GET "/api/plans" plans::list_plans;
    POST "/api/plans" plans::create_plan;
    GET "/api/plans/{name}" plans::get_plan;
    PUT "/api/plans/{name}" plans::replace_plan;
    DELETE "/api/plans/{name}" plans::delete_plan;
    GET "/api/users" users::list_users;
    PUT "/api/users/{id}/plan" users::assign_plan;
    GET "/media/imageupload/{owner}/{file}" media::get_original;
    GET "/media/thumbnail/{owner}/{image}/{file}" media::get_thumbnail;
    GET_OR_POST "/media/exp/{token}/{file}" media::visit_link;
    GET "/api/openapi.json" get_openapi;
    GET "/api/health" health;
    ANY "" fallback;
}

/// The route of a Lambda handler.
pub(crate) fn find(operation: &str) -> Option<&'static Route> {
    ROUTES.iter().find(|route| route.operation == operation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operation_names_are_unique() {
        let mut names: Vec<_> = ROUTES.iter().map(|route| route.operation).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ROUTES.len());
    }
}
