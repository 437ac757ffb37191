//! Fields behind a body (RFC 9110, section 6.5): few may stand there.

use super::fields::{Line, is_mesh, line, reads_as};
use super::refusal::Broken;

/// Fields in a trailer section at most: gRPC sends three.
pub const MOST_TRAILER_FIELDS: usize = 64;

/// Names that a trailer must not have (RFC 9110, section 6.5.1): they frame, route, authenticate, or say how to read
/// what has been read already. A server that adds trailers to the head would take them for the head's.
const FORBIDDEN: [&[u8]; 46] = [
    b"age",
    b"authorization",
    b"cache-control",
    b"connection",
    b"content-encoding",
    b"content-length",
    b"content-location",
    b"content-range",
    b"content-type",
    b"cookie",
    b"date",
    b"expect",
    b"expires",
    b"forwarded",
    b"host",
    b"http2-settings",
    b"if-match",
    b"if-modified-since",
    b"if-none-match",
    b"if-range",
    b"if-unmodified-since",
    b"keep-alive",
    b"location",
    b"max-forwards",
    b"origin",
    b"pragma",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"range",
    b"referer",
    b"retry-after",
    b"set-cookie",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"vary",
    b"via",
    b"www-authenticate",
    b"x-forwarded-client-cert",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-forwarded-proto",
    b"x-real-ip",
];

/// Checks the lines of a trailer section, which ends with an empty one, and removes those that must not be there and
/// the empty one.
pub(super) fn sanitise(section: &mut Vec<u8>) -> Result<(), Broken> {
    let mut at = 0;
    let mut kept = 0;
    let mut count = 0;
    while let Line::Field(field) = line(section, at)? {
        count += 1;
        if count > MOST_TRAILER_FIELDS {
            return Err(Broken::Many);
        }
        let end = field.end as usize;
        if !is_forbidden(field.name.of(section)) {
            section.copy_within(at..end, kept);
            kept += end - at;
        }
        at = end;
    }
    section.truncate(kept);
    Ok(())
}

fn is_forbidden(name: &[u8]) -> bool {
    is_mesh(name) || FORBIDDEN.iter().any(|forbidden| reads_as(name, forbidden))
}
