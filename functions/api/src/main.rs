//! The routes of the HTTP API. One executable serves all Lambda functions: `Handler:` in the template names the route
//! of a function.

#[macro_use]
mod body;
mod app;
mod caller;
mod error;
mod fields;
mod image_view;
mod openapi;
mod passwords;
mod reply;
mod request;
mod routes;
mod serve;

use std::sync::Arc;

use lambda_http::{Error, tracing};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let handler = std::env::var("_HANDLER")?;
    let route = routes::find(&handler).ok_or_else(|| format!("no route is named {handler:?}"))?;
    let app = Arc::new(app::App::from_env().await?);
    tintype_gateway::run(route.operation, move |request| {
        let app = Arc::clone(&app);
        async move { serve::serve(&app, route, request).await }
    })
    .await
}
