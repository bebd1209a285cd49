//! As much of HTTP/1.1 as the functions' clients speak: one exchange a connection.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct WireRequest {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl WireRequest {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The same request, for a connection that ends after its answer.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        let framing = ["connection", "content-length", "transfer-encoding"];
        for (name, value) in self.headers.iter().filter(|(name, _)| !framing.contains(&name.as_str())) {
            bytes.extend(format!("{name}: {value}\r\n").into_bytes());
        }
        bytes.extend(format!("content-length: {}\r\nconnection: close\r\n\r\n", self.body.len()).into_bytes());
        bytes.extend(&self.body);
        bytes
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Reads a request; `None` where the other side says nothing.
pub(crate) async fn read(stream: &mut TcpStream) -> io::Result<Option<WireRequest>> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = find(&bytes, b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return if bytes.is_empty() { Ok(None) } else { Err(broken("half a head")) };
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let mut lines = text.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target)) = (first.next(), first.next()) else { return Err(broken("no request line")) };
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers: Vec<(String, String)> =
        headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    let mut request = WireRequest { method: method.into(), target: target.into(), headers, body: Vec::new() };
    let mut rest = bytes.split_off(head + 4);
    if request.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        loop {
            let line = until(stream, &mut rest, b"\r\n").await?;
            let size = String::from_utf8_lossy(&line).split(';').next().unwrap_or_default().trim().to_owned();
            let size = usize::from_str_radix(&size, 16).map_err(|_| broken("a chunk without its size"))?;
            while rest.len() < size + 2 {
                if stream.read_buf(&mut rest).await? == 0 {
                    return Err(broken("half a chunk"));
                }
            }
            request.body.extend(rest.drain(..size));
            rest.drain(..2);
            if size == 0 {
                break;
            }
        }
    } else {
        let length = request.header("content-length").map_or(Ok(0), str::parse).map_err(|_| broken("a length"))?;
        while rest.len() < length {
            if stream.read_buf(&mut rest).await? == 0 {
                return Err(broken("half a body"));
            }
        }
        request.body = rest;
    }
    Ok(Some(request))
}

async fn until(stream: &mut TcpStream, rest: &mut Vec<u8>, mark: &[u8]) -> io::Result<Vec<u8>> {
    loop {
        if let Some(end) = find(rest, mark) {
            let found = rest.drain(..end).collect();
            rest.drain(..mark.len());
            return Ok(found);
        }
        if stream.read_buf(rest).await? == 0 {
            return Err(broken("it ends too soon"));
        }
    }
}

fn find(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    bytes.windows(mark.len()).position(|window| window == mark)
}

pub(crate) async fn answer(
    stream: &mut TcpStream,
    status: u16,
    headers: &[(&str, String)],
    body: &[u8],
) -> io::Result<()> {
    let mut bytes = format!("HTTP/1.1 {status} As Said\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend(format!("{name}: {value}\r\n").into_bytes());
    }
    bytes.extend(format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len()).into_bytes());
    bytes.extend(body);
    stream.write_all(&bytes).await?;
    stream.shutdown().await
}
