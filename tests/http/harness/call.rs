use std::fmt::Display;
use std::pin::Pin;

use http::Method;
use serde_json::Value;

use super::{Answer, Stack, User};

/// One request, sent when awaited.
pub(crate) struct Call {
    request: reqwest::RequestBuilder,
    asked: String,
}

impl Stack {
    /// A request to a path of the API, or to an absolute URL that the API gave.
    pub(crate) fn call(&self, method: Method, target: impl Display) -> Call {
        let target = target.to_string();
        let url = if target.starts_with('/') { format!("{}{target}", self.url) } else { target };
        Call { asked: format!("{method} {url}"), request: self.http.request(method, url) }
    }

    pub(crate) fn get(&self, target: impl Display) -> Call {
        self.call(Method::GET, target)
    }

    pub(crate) fn head(&self, target: impl Display) -> Call {
        self.call(Method::HEAD, target)
    }

    pub(crate) fn delete(&self, target: impl Display) -> Call {
        self.call(Method::DELETE, target)
    }

    pub(crate) fn post(&self, target: impl Display, body: Value) -> Call {
        self.call(Method::POST, target).json(&body)
    }

    pub(crate) fn patch(&self, target: impl Display, body: Value) -> Call {
        self.call(Method::PATCH, target).json(&body)
    }
}

impl Call {
    pub(crate) fn by(self, user: &User) -> Self {
        self.token(&user.access_token)
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    pub(crate) fn header(mut self, name: &str, value: impl Display) -> Self {
        self.request = self.request.header(name, value.to_string());
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string().into_bytes())
    }

    pub(crate) fn body(mut self, body: Vec<u8>) -> Self {
        self.request = self.request.body(body);
        self
    }

    pub(crate) async fn send(self) -> Answer {
        let asked = self.asked;
        let response = self.request.send().await.unwrap_or_else(|error| panic!("{asked}: no answer: {error:?}"));
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body =
            response.bytes().await.unwrap_or_else(|error| panic!("{asked}: {status} and a broken body: {error:?}"));
        Answer { asked, status, headers, body: body.to_vec() }
    }
}

impl IntoFuture for Call {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
