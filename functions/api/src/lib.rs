//! The routes of the HTTP API. One executable serves all Lambda functions: `Handler:` in the template names the route
//! of a function.

#[macro_use]
mod input;
mod app;
mod caller;
mod error;
mod fields;
mod image_view;
pub mod openapi;
mod operation;
mod passwords;
mod request;
mod response;
mod routes;
mod serve;

use std::sync::Arc;

use lambda_http::Error;

/// Serves the route that `_HANDLER` names until Lambda stops the function.
pub async fn run() -> Result<(), Error> {
    tintype_telemetry::init_log();
    let handler = std::env::var("_HANDLER")?;
    let route = routes::find(&handler).ok_or_else(|| format!("no route is named {handler:?}"))?;
    let app = Arc::new(app::App::from_env()?);
    tintype_gateway::run(route.operation, move |request| {
        let app = Arc::clone(&app);
        async move { serve::serve(&app, route, request).await }
    })
    .await
}
