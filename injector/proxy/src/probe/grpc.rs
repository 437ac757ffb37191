//! gRPC's health protocol (grpc.health.v1.Health/Check), with its two small messages written by hand.
//!
//! ```proto
//! message HealthCheckRequest  { string service = 1; }
//! message HealthCheckResponse { ServingStatus status = 1; }  // SERVING = 1
//! ```

use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::target::Target;

/// Bytes of an answer: its message has two, and five of framing.
const MAX_ANSWER: usize = 1024;

/// Bytes before a gRPC message: one says whether it is compressed, four how long it is.
const FRAME: usize = 5;

const SERVING: u64 = 1;

/// Asks the server at `target` whether `service` is serving.
pub async fn check(target: &Target, service: &str) -> Result<(), String> {
    let stream = target.connect().await?;
    let failed = |error: hyper::Error| format!("no gRPC answer from the application: {error}");
    let (mut sender, connection) =
        http2::Builder::new(TokioExecutor::new()).handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let connection = tokio::spawn(connection);
    let (head, body) = sender.send_request(request(target, service)?).await.map_err(failed)?.into_parts();
    if head.status != StatusCode::OK {
        return Err(format!("the application answered {} to a gRPC request", head.status));
    }
    let answer = Limited::new(body, MAX_ANSWER).collect().await;
    let answer = answer.map_err(|error| format!("no gRPC answer from the application: {error}"))?;
    connection.abort();
    // An error without a message has its status in the head ("trailers only").
    let trailers = answer.trailers().cloned().unwrap_or_default();
    judge(&[&trailers, &head.headers], &answer.to_bytes())
}

fn request(target: &Target, service: &str) -> Result<Request<Full<Bytes>>, String> {
    let uri = format!("http://{}/grpc.health.v1.Health/Check", target.authority(80));
    let built = Request::post(uri)
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, HeaderValue::from_static("kube-probe/injector"))
        .body(Full::new(encode_request(service)));
    built.map_err(|error| format!("cannot ask {}: {error}", target.host))
}

fn judge(heads: &[&HeaderMap], message: &[u8]) -> Result<(), String> {
    let text =
        |name| heads.iter().find_map(|head| head.get(name)).map(|value| String::from_utf8_lossy(value.as_bytes()));
    match text("grpc-status").as_deref() {
        Some("0") => {}
        Some("12") => return Err("the application does not implement gRPC health checks".to_owned()),
        Some("5") => return Err("the application does not know the service".to_owned()),
        Some(code) => {
            let reason = text("grpc-message").unwrap_or_default();
            return Err(format!("the application answered with gRPC status {code} {reason}").trim_end().to_owned());
        }
        None => return Err("the application's answer has no gRPC status".to_owned()),
    }
    match decode_answer(message)? {
        SERVING => Ok(()),
        0 => Err("the application is in state UNKNOWN".to_owned()),
        2 => Err("the application is NOT_SERVING".to_owned()),
        3 => Err("the application does not know the service".to_owned()),
        other => Err(format!("the application is in state {other}, which gRPC health does not define")),
    }
}

fn encode_request(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(0x0a); // field 1, length-delimited
        put_varint(&mut message, service.len() as u64);
        message.put_slice(service.as_bytes());
    }
    let mut framed = BytesMut::with_capacity(FRAME + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX)); // a pod's name for a service is far below 4 GiB
    framed.put(message);
    framed.freeze()
}

fn put_varint(buffer: &mut BytesMut, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            return buffer.put_u8(low & 0x7f);
        }
        buffer.put_u8(low | 0x80);
    }
}

/// The status number in a framed `HealthCheckResponse`; fields that this version does not know are passed over.
pub fn decode_answer(framed: &[u8]) -> Result<u64, String> {
    let broken = || "the application's health answer is no HealthCheckResponse".to_owned();
    let (frame, rest) = framed.split_at_checked(FRAME).ok_or_else(broken)?;
    if frame[0] != 0 {
        return Err("the application's health answer is compressed, which was not asked for".to_owned());
    }
    let length = u32::from_be_bytes([frame[1], frame[2], frame[3], frame[4]]);
    let mut message = rest.get(..length as usize).ok_or_else(broken)?;
    let mut status = 0; // proto3: absent is the first member
    while !message.is_empty() {
        let tag = take_varint(&mut message).ok_or_else(broken)?;
        let skipped = match tag & 7 {
            0 => {
                let number = take_varint(&mut message).ok_or_else(broken)?;
                if tag >> 3 == 1 {
                    status = number;
                }
                0
            }
            1 => 8,
            2 => usize::try_from(take_varint(&mut message).ok_or_else(broken)?).map_err(|_| broken())?,
            5 => 4,
            _ => return Err(broken()),
        };
        message = message.get(skipped..).ok_or_else(broken)?;
    }
    Ok(status)
}

/// A protobuf varint: at most ten bytes of seven bits, low ones first.
fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..70).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn requests_are_protobuf() {
        assert_eq!(&encode_request("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&encode_request("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        assert_eq!(encode_request(&"x".repeat(300))[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 2]);
    }

    #[test]
    fn answers_are_read_as_far_as_they_are_known() {
        assert_eq!(decode_answer(&[0, 0, 0, 0, 2, 8, 1]), Ok(1));
        assert_eq!(decode_answer(&[0, 0, 0, 0, 0]), Ok(0));
        // Fields 2 (bytes), 3 (fixed64) and 4 (fixed32) before field 1; the last of two values counts.
        let known = [0x12, 1, b'x', 0x19, 0, 0, 0, 0, 0, 0, 0, 0, 0x25, 0, 0, 0, 0, 8, 1, 8, 2];
        assert_eq!(decode_answer(&[&[0, 0, 0, 0, 21], &known[..]].concat()), Ok(2));
    }

    #[test]
    fn broken_answers_are_named() {
        for framed in [
            &[][..],
            &[0, 0, 0, 0],
            &[0, 0, 0, 0, 3, 8, 1],
            &[0, 0, 0, 0, 1, 8],
            &[0, 0, 0, 0, 2, 0x12, 9],
            &[0, 0, 0, 0, 2, 0x0b, 0],
            &[0, 0, 0, 0, 12, 8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1],
        ] {
            assert!(decode_answer(framed).is_err(), "{framed:?}");
        }
        assert!(decode_answer(&[1, 0, 0, 0, 0]).unwrap_err().contains("compressed"));
    }

    proptest! {
        #[test]
        fn varints_come_back(number: u64) {
            let mut buffer = BytesMut::new();
            put_varint(&mut buffer, number);
            let mut rest = &buffer[..];
            prop_assert_eq!(take_varint(&mut rest), Some(number));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn any_bytes_are_read_or_refused(framed in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode_answer(&framed);
        }
    }
}
