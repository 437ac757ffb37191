//! Bodies in chunks: the same in any pieces, and what was read can be said again.
#![no_main]

use injector_proxy::http::h1::body::{BodyFault, CHUNK_END, Chunked, Progress, chunk_head, last_chunk, trailers};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, PartialEq, Eq)]
struct Read {
    pieces: Vec<u8>,
    trailers: Vec<u8>,
    left: Vec<u8>,
    ended: bool,
}

fn read(bytes: &[u8], step: usize) -> Result<Read, BodyFault> {
    let (mut body, mut pieces, mut left) = (Chunked::new(), Vec::new(), Vec::new());
    for piece in bytes.chunks(step) {
        let mut rest = piece;
        while !rest.is_empty() {
            let found = body.decode(rest)?;
            assert!(found.data.end <= found.consumed && found.consumed <= rest.len());
            pieces.extend_from_slice(&rest[found.data]);
            rest = &rest[found.consumed..];
            if found.state == Progress::Ended {
                left.extend_from_slice(rest);
                break;
            }
            assert!(found.consumed > 0, "it goes on");
        }
    }
    Ok(Read { pieces, trailers: body.trailers().to_vec(), left, ended: body.has_ended() })
}

fuzz_target!(|input: &[u8]| {
    let Some((&step, bytes)) = input.split_first() else { return };
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(whole, read(bytes, usize::from(step) + 1), "pieces must not matter");
    let Ok(whole) = whole else { return };
    if !whole.ended {
        return;
    }
    assert_eq!(trailers(&whole.trailers).as_deref(), Some(&whole.trailers[..]), "what passed once passes again");
    let mut out = Vec::new();
    for chunk in whole.pieces.chunks(usize::from(step) + 1) {
        chunk_head(chunk.len(), &mut out);
        out.extend_from_slice(chunk);
        out.extend_from_slice(CHUNK_END);
    }
    last_chunk(&whole.trailers, &mut out);
    out.extend_from_slice(&whole.left);
    assert_eq!(read(&out, out.len()), Ok(whole));
});
