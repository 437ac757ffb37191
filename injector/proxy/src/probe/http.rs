//! HTTP probes and hooks, as the kubelet performs them (its probe/http package).

use http::header::{ACCEPT, CONNECTION, CONTENT_LENGTH, HOST, HeaderName, LOCATION, TRANSFER_ENCODING, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::location::{Location, follow, has_scheme};
use super::target::Target;
use super::tls;
use crate::config::{HttpGet, Scheme};

/// Requests that one probe may lead to (Go's http.Client stops there, and with it the kubelet).
const MAX_REDIRECTS: usize = 10;

/// Bytes of an answer that are read; the kubelet reads as many.
const MAX_BODY: usize = 10 * 1024;

/// Bytes of an answer's head; hyper's minimum. What fits there fits an answer to a probe.
const MAX_HEAD: usize = 8 * 1024;

const AGENT: HeaderValue = HeaderValue::from_static("kube-probe/injector");

/// Sends the request, follows redirects on the same host, and returns the last answer's status.
pub async fn get(action: &HttpGet, target: &Target) -> Result<StatusCode, String> {
    let (mut headers, mut host) = headers(action)?;
    let path = if action.path.starts_with('/') { action.path.clone() } else { format!("/{}", action.path) };
    let mut at = Location { scheme: action.scheme, host: target.host.clone(), port: target.port, path };
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    for _ in 0..MAX_REDIRECTS {
        let authority = target.at(at.port).authority(at.scheme.port());
        let named = host.clone().map_or_else(|| HeaderValue::from_str(&authority), Ok);
        headers.insert(HOST, named.map_err(|_| format!("{authority:?} is no host"))?);
        let answer = once(&at, &target.at(at.port), headers.clone()).await?;
        let Some(next) = redirect(&at, &answer)? else { return Ok(answer.status()) };
        if next.absolute {
            host = None; // the application named another place; the author's Host was for the first
        }
        at = next.location;
    }
    Err(format!("stopped after {MAX_REDIRECTS} redirects"))
}

/// 200 to 399 passes.
pub fn judge(status: StatusCode) -> Result<(), String> {
    if (200..400).contains(&status.as_u16()) { Ok(()) } else { Err(format!("the application answered {status}")) }
}

/// Where to go next, and whether the answer said so in full.
struct Next {
    location: Location,
    absolute: bool,
}

/// Where the answer leads on the same host; none if it stays here. Elsewhere is not followed: the answer itself, a 3xx,
/// is then the result, and passes.
fn redirect(at: &Location, answer: &Response<()>) -> Result<Option<Next>, String> {
    let follows = [301, 302, 303, 307, 308].contains(&answer.status().as_u16());
    let Some(value) = answer.headers().get(LOCATION).filter(|_| follows) else { return Ok(None) };
    let text = String::from_utf8_lossy(value.as_bytes());
    let next = follow(at, &text).ok_or_else(|| format!("redirected to {text:?}, which is no http or https URL"))?;
    let stays = next.host.eq_ignore_ascii_case(&at.host);
    Ok(stays.then(|| Next { location: next, absolute: has_scheme(&text) }))
}

/// The handler's headers with the kubelet's defaults, and the Host among them.
fn headers(action: &HttpGet) -> Result<(HeaderMap, Option<HeaderValue>), String> {
    let mut headers = HeaderMap::new();
    for header in &action.http_headers {
        let name: HeaderName = header.name.parse().map_err(|_| format!("{:?} is no header name", header.name))?;
        let value = HeaderValue::from_str(&header.value).map_err(|_| format!("{name}: not a header value"))?;
        headers.append(name, value);
    }
    for (name, default) in [(USER_AGENT, AGENT), (ACCEPT, HeaderValue::from_static("*/*"))] {
        match headers.get(&name) {
            None => drop(headers.insert(name, default)),
            Some(value) if value.is_empty() => drop(headers.remove(name)), // empty asks for none at all
            Some(_) => {}
        }
    }
    // Framing is not for a probe's author to say: a GET here has no body.
    headers.remove(CONTENT_LENGTH);
    headers.remove(TRANSFER_ENCODING);
    let host = headers.remove(HOST).filter(|host| !host.is_empty());
    Ok((headers, host))
}

async fn once(at: &Location, target: &Target, headers: HeaderMap) -> Result<Response<()>, String> {
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = at.path.parse().map_err(|_| format!("{:?} is no path", at.path))?;
    *request.headers_mut() = headers;
    let stream = target.connect().await?;
    match at.scheme {
        Scheme::Http => exchange(stream, request).await,
        Scheme::Https => exchange(tls::connect(stream, &at.host).await?, request).await,
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Empty<Bytes>>,
) -> Result<Response<()>, String> {
    let failed = |error: hyper::Error| format!("no HTTP answer from the application: {error}");
    let handshake = http1::Builder::new().max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(failed)?;
    let connection = tokio::spawn(connection); // ends with `sender` and the body, at the latest
    let (head, body) = sender.send_request(request).await.map_err(failed)?.into_parts();
    read(body).await.map_err(failed)?;
    connection.abort();
    Ok(Response::from_parts(head, ()))
}

/// Reads the body to its end or to `MAX_BODY`: an answer that breaks off is none.
async fn read(mut body: Incoming) -> Result<(), hyper::Error> {
    let mut count = 0;
    while let Some(frame) = body.frame().await {
        count += frame?.data_ref().map_or(0, Bytes::len);
        if count >= MAX_BODY {
            break;
        }
    }
    Ok(())
}
