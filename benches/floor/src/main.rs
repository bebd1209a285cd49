//! The least that a function can do for a request that reads from DynamoDB: it polls, sends a body that is given to it with one
//! signature, and answers with a text that is given to it, over bare connections. Nothing is parsed.

use std::env;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

type Error = Box<dyn std::error::Error + Send + Sync>;

struct Connection {
    origin: String,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    async fn open(authority: &str) -> Result<Self, Error> {
        let stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { origin: authority.to_owned(), sender })
    }

    async fn send(&mut self, request: http::request::Builder, body: Bytes) -> Result<(http::HeaderMap, Bytes), Error> {
        let request: Request<_> = request.header("host", &self.origin).body(Full::new(body))?;
        self.sender.ready().await?;
        let (head, body): (_, Incoming) = self.sender.send_request(request).await?.into_parts();
        Ok((head.headers, body.collect().await?.to_bytes()))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let (read, answer) = (Bytes::from(env::var("FLOOR_READ")?), Bytes::from(env::var("FLOOR_ANSWER")?));
    let mut runtime = Connection::open(&env::var("AWS_LAMBDA_RUNTIME_API")?).await?;
    let endpoint = env::var("AWS_ENDPOINT_URL")?;
    let mut table = Connection::open(endpoint.trim_start_matches("http://").trim_end_matches('/')).await?;
    let (key, secret) = (env::var("AWS_ACCESS_KEY_ID")?, env::var("AWS_SECRET_ACCESS_KEY")?);
    let identity = Credentials::new(key, secret, env::var("AWS_SESSION_TOKEN").ok(), None, "Environment").into();
    let region = env::var("AWS_REGION")?;
    loop {
        let next = Request::get("/2018-06-01/runtime/invocation/next");
        let (headers, _) = runtime.send(next, Bytes::new()).await?;
        let request = headers.get("lambda-runtime-aws-request-id").ok_or("no id")?.to_str()?.to_owned();

        let headers = [
            ("host", table.origin.as_str()),
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-target", "DynamoDB_20120810.BatchGetItem"),
        ];
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(&region)
            .name("dynamodb")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let url = format!("http://{}/", table.origin);
        let signable = SignableRequest::new("POST", &url, headers.into_iter(), SignableBody::Bytes(&read))?;
        let (signed, _) = sign(signable, &parameters)?.into_parts();
        let mut call = Request::post("/").header(headers[1].0, headers[1].1).header(headers[2].0, headers[2].1);
        for (name, value) in signed.headers() {
            call = call.header(name, value);
        }
        table.send(call, read.clone()).await?;

        let path = format!("/2018-06-01/runtime/invocation/{request}/response");
        runtime.send(Request::post(path), answer.clone()).await?;
    }
}
