//! The HTTP side: connections, TLS, paths, compression, and the faults that only a network can have.
//!
//! Each connection is served by hand, not by a router, because a fault must be able to reset it, to end a body too early
//! and to stay silent.

use std::{convert::Infallible, io, io::Write as _, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, Full, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Frame, Incoming},
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::debug;

use super::{
    api::{Answer, Api, Brand},
    faults::Fault,
    truth,
};

/// Requests of the Data API are small; more than this is not one.
const MAX_REQUEST_BYTES: usize = 1 << 20;
/// Compressing smaller answers is not worth the work.
const GZIP_FROM_BYTES: usize = 16 << 10;

/// Bodies that are no answers of the API.
pub const NOT_JSON: &str = "<html><body>Service is being updated</body></html>\n";
pub const NOT_WELL: &str = "the server is not well\n";

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Accepts connections until it is dropped; its connections end with it.
pub async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, api: Arc<Api>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(serve(stream, peer, tls.clone(), api.clone()));
                }
                Err(error) => {
                    debug!(%error, "connection not accepted");
                    // Out of file handles, most likely; without a pause the loop would spin.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, api: Arc<Api>) {
    // Without it an answer waits for the client's acknowledgement of the one before; failing does no harm.
    let _ = stream.set_nodelay(true);
    match tls {
        None => serve_requests(stream, peer, api).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => serve_requests(stream, peer, api).await,
            Err(error) => debug!(%error, "TLS handshake failed"),
        },
    }
}

async fn serve_requests<S>(stream: S, peer: SocketAddr, api: Arc<Api>)
where
    S: AsyncRead + AsyncWrite + Unpin + Resettable,
{
    let reset = Arc::new(Notify::new());
    let service = service_fn(|request| respond(request, peer, api.clone(), reset.clone()));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        served = &mut connection => {
            if let Err(error) = served {
                debug!(%error, "connection ended");
            }
        }
        () = reset.notified() => {
            let stream = connection.into_parts().io.into_inner();
            if let Err(error) = stream.reset_on_close() {
                debug!(%error, "connection could not be reset");
            }
        }
    }
}

/// A stream that can be closed with a reset instead of an orderly end.
trait Resettable {
    fn reset_on_close(&self) -> io::Result<()>;
}

impl Resettable for TcpStream {
    fn reset_on_close(&self) -> io::Result<()> {
        self.set_zero_linger()
    }
}

impl Resettable for TlsStream<TcpStream> {
    fn reset_on_close(&self) -> io::Result<()> {
        self.get_ref().0.set_zero_linger()
    }
}

async fn respond(
    request: Request<Incoming>,
    peer: SocketAddr,
    api: Arc<Api>,
    reset: Arc<Notify>,
) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    if request.method() == Method::GET {
        return Ok(truth::respond(&api, &path, request.uri().query()).map_or_else(not_found, json_response));
    }
    let Some(brand) = brand(&path) else {
        return Ok(not_found());
    };
    if request.method() != Method::POST {
        return Ok(plain(StatusCode::METHOD_NOT_ALLOWED, "only POST is answered here\n"));
    }
    let accepts_gzip = request
        .headers()
        .get_all(ACCEPT_ENCODING)
        .iter()
        .any(|value| value.to_str().is_ok_and(|encodings| encodings.contains("gzip")));
    let body = match Limited::new(request.into_body(), MAX_REQUEST_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => {
            debug!(%error, "request body not read");
            return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE, "request too large or broken off\n"));
        }
    };
    let answer = api.answer(Brand(brand), &body, peer.ip());
    if !answer.mishap.delay.is_zero() {
        tokio::time::sleep(answer.mishap.delay).await;
    }
    Ok(with_mishap(answer, accepts_gzip && api.habits.gzip, &reset).await)
}

/// The brand in `/BRAND/v2.0`; `Some(None)` for `/v2.0`, which leads to all accounts.
pub fn brand(path: &str) -> Option<Option<&str>> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let brand = path.strip_suffix("/v2.0")?;
    match brand.strip_prefix('/') {
        None => brand.is_empty().then_some(None),
        Some("default") => Some(None),
        Some(brand) => (!brand.contains('/')).then_some(Some(brand)),
    }
}

async fn with_mishap(answer: Answer, gzip: bool, reset: &Notify) -> Response<Body> {
    match answer.mishap.fault {
        None => data_response(answer.text, gzip).await,
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Reset) => {
            reset.notify_one();
            std::future::pending().await
        }
        Some(Fault::Truncate) => truncated(answer.text),
        Some(Fault::Drip { bytes_per_second }) => dripping(answer.text, bytes_per_second),
        Some(Fault::NotJson) => {
            let mut response = plain(StatusCode::OK, NOT_JSON);
            let html = HeaderValue::from_static("text/html; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, html);
            response
        }
        Some(Fault::Http { status, json, retry_after }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut response = if json { json_response(answer.text) } else { plain(status, NOT_WELL) };
            *response.status_mut() = status;
            if let Some(seconds) = retry_after {
                response.headers_mut().insert(RETRY_AFTER, seconds.into());
            }
            response
        }
        Some(Fault::InternalError | Fault::Latency { .. }) => json_response(answer.text),
    }
}

async fn data_response(text: String, gzip: bool) -> Response<Body> {
    if !gzip || text.len() < GZIP_FROM_BYTES {
        return json_response(text);
    }
    // Megabytes take tens of milliseconds to compress, too long for a thread that serves connections.
    let compressed = tokio::task::spawn_blocking(move || {
        let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 8), Compression::fast());
        let compressed = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
        (text, compressed)
    });
    match compressed.await {
        Ok((_, Ok(bytes))) => {
            let mut response = json_response(bytes);
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response
        }
        Ok((text, Err(_))) => json_response(text),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "stopped while compressing\n"),
    }
}

/// Half of the body under the `Content-Length` of the whole.
fn truncated(text: String) -> Response<Body> {
    let whole = text.len();
    let half = Bytes::from(text).slice(..whole / 2);
    let broken_off = io::Error::new(io::ErrorKind::ConnectionAborted, "truncated on purpose");
    // Without the pause the connection would be closed before the half was written.
    let pause = stream::once(async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(broken_off)
    });
    let frames = stream::once(async move { Ok(Frame::data(half)) }).chain(pause);
    with_length(whole, StreamBody::new(frames).boxed_unsync())
}

/// The whole body, ten pieces a second.
fn dripping(text: String, bytes_per_second: u32) -> Response<Body> {
    let whole = text.len();
    let piece = (bytes_per_second as usize / 10).max(1);
    let frames = stream::unfold(Bytes::from(text), move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let next = rest.split_to(piece.min(rest.len()));
        Some((Ok(Frame::data(next)), rest))
    });
    with_length(whole, StreamBody::new(frames).boxed_unsync())
}

fn with_length(length: usize, body: Body) -> Response<Body> {
    let mut response = json_response("");
    *response.body_mut() = body;
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response
}

fn json_response(text: impl Into<Bytes>) -> Response<Body> {
    let mut response = plain(StatusCode::OK, text);
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn not_found() -> Response<Body> {
    plain(StatusCode::NOT_FOUND, "answers are at /BRAND/v2.0, /v2.0, /truth and /requests\n")
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(text.into()).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_one_brand_or_to_all() {
        assert_eq!(brand("/comagic/v2.0"), Some(Some("comagic")));
        assert_eq!(brand("/comagic/v2.0/"), Some(Some("comagic")));
        assert_eq!(brand("/v2.0"), Some(None));
        assert_eq!(brand("/default/v2.0"), Some(None));
        assert_eq!(brand("/a/b/v2.0"), None);
        assert_eq!(brand("/comagic/v1.0"), None);
        assert_eq!(brand("/xv2.0"), None);
    }
}
