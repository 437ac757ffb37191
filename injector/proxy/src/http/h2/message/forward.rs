//! What a proxy changes in a list of fields on its way.

use crate::http::h2::fields::Fields;

/// Tells the application who calls it: the identity that the mesh has proven.
pub const CLIENT_ID: &str = "injector-client-id";

/// Names that begin like this are the mesh's own to set.
const OURS: &[u8] = b"injector-";

/// Whether a name passes for one of the mesh's. Frameworks hand names on as variables, in which capitals, dashes and
/// underscores look alike (RFC 3875, section 4.1.18): so they do here.
pub fn is_ours(name: &[u8]) -> bool {
    let passes = |(&byte, &ours): (&u8, &u8)| match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => byte.eq_ignore_ascii_case(&ours),
        _ => ours == b'-',
    };
    name.len() >= OURS.len() && name.iter().zip(OURS).all(passes)
}

/// Copies a list, in place of what `to` held. With `strip_mesh` fields that pass for the mesh's own are left out;
/// `client` is added as `CLIENT_ID` behind all others.
pub fn forward(from: &Fields, strip_mesh: bool, client: Option<&str>, to: &mut Fields) {
    to.clear();
    for field in from {
        if !(strip_mesh && is_ours(field.name)) {
            to.push(field.name, field.value, field.never_indexed);
        }
    }
    if let Some(client) = client {
        to.push(CLIENT_ID.as_bytes(), client.as_bytes(), false);
    }
}
