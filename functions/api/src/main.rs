//! Every route of the HTTP API. One executable serves one Lambda function a route: SAM's `Handler:` names the route,
//! and the function serves that one alone.

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

use aws_lambda_events::event::apigw::ApiGatewayV2httpRequest;
use lambda_runtime::{Error, LambdaEvent, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let handler = std::env::var("_HANDLER")?;
    let route = routes::find(&handler).ok_or_else(|| format!("no route is named {handler:?}"))?;
    let app = Arc::new(app::App::from_env().await?);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<ApiGatewayV2httpRequest>| {
        let app = Arc::clone(&app);
        async move { Ok::<_, Error>(serve::serve(&app, route, event).await) }
    }))
    .await
}
