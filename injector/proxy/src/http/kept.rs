//! A request's body as it goes on, the beginning of which is kept until there is an answer: so that the request can be
//! made again where nobody has looked at it.

use std::task::{Context, Poll, ready};

use super::buffer::{self, ROOM};
use super::exchange::Client;
use super::side::{Body, Gone, Side};

/// What was taken of a body. Longer ones than a lent buffer are not kept: who sends so much can send it again.
#[derive(Debug, Default)]
pub struct Kept {
    bytes: Vec<u8>,
    /// How it ended, and where its trailers begin in `bytes`.
    ended: Option<End>,
    /// How much of it the present attempt was given, and whether its end.
    given: usize,
    end_given: bool,
    /// There was more than is kept.
    lost: bool,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Last,
    Trailers(usize),
    Silent,
}

impl Kept {
    /// Whether all that was taken of the body is here.
    pub fn is_whole(&self) -> bool {
        !self.lost
    }

    /// Begins again.
    pub fn rewind(&mut self) {
        (self.given, self.end_given) = (0, false);
    }

    fn content(&self) -> usize {
        match self.ended {
            Some(End::Trailers(at)) => at,
            _ => self.bytes.len(),
        }
    }

    /// Whether the present attempt was not given all that is kept.
    fn has_more(&self) -> bool {
        self.given < self.content() || (self.ended.is_some() && !self.end_given)
    }

    /// Gives the next piece of what is kept.
    fn give<R>(&mut self, most: usize, see: impl FnOnce(Body<'_>) -> R) -> R {
        let content = self.content();
        let piece = self.given..content.min(self.given + most);
        self.given = piece.end;
        let all = piece.end == content;
        match self.ended {
            Some(End::Last) if all => {
                self.end_given = true;
                see(Body::Data { bytes: &self.bytes[piece], last: true })
            }
            _ if !piece.is_empty() => see(Body::Data { bytes: &self.bytes[piece], last: false }),
            Some(End::Trailers(at)) => {
                self.end_given = true;
                see(Body::Trailers(&self.bytes[at..]))
            }
            Some(End::Last | End::Silent) | None => {
                self.end_given = true;
                see(Body::End)
            }
        }
    }

    fn note(&mut self, body: &Body<'_>) {
        if self.lost {
            return;
        }
        let (bytes, ended) = match *body {
            Body::Data { bytes, last } => (bytes, last.then_some(End::Last)),
            Body::Trailers(bytes) => (bytes, Some(End::Trailers(self.bytes.len()))),
            Body::End => (&[][..], Some(End::Silent)),
        };
        if self.bytes.len() + bytes.len() > ROOM {
            self.lost = true;
            return buffer::give_back(&mut self.bytes);
        }
        if !bytes.is_empty() {
            if self.bytes.capacity() == 0 {
                self.bytes = buffer::lend();
            }
            self.bytes.extend_from_slice(bytes);
        }
        self.ended = ended;
        (self.given, self.end_given) = (self.content(), ended.is_some());
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        buffer::give_back(&mut self.bytes);
    }
}

/// A client whose body is kept.
#[derive(Debug)]
pub struct Keeping<'k, C> {
    /// The client.
    pub client: &'k mut C,
    /// What was taken from it.
    pub kept: &'k mut Kept,
}

impl<C: Client> Side for Keeping<'_, C> {
    fn poll_body<R>(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
        see: impl FnOnce(Body<'_>) -> R,
    ) -> Poll<Result<R, Gone>> {
        if self.kept.has_more() {
            return Poll::Ready(Ok(self.kept.give(most, see)));
        }
        let kept = &mut *self.kept;
        let seen = ready!(self.client.poll_body(cx, most, |body| {
            kept.note(&body);
            see(body)
        }))?;
        Poll::Ready(Ok(seen))
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Gone>> {
        self.client.poll_room(cx)
    }

    fn put(&mut self, cx: &mut Context<'_>, bytes: &[u8], last: bool) -> Result<(), Gone> {
        self.client.put(cx, bytes, last)
    }

    fn finish(&mut self, trailers: &[u8]) -> Result<(), Gone> {
        self.client.finish(trailers)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        self.client.poll_flush(cx)
    }
}

impl<C: Client> Client for Keeping<'_, C> {
    type Response = C::Response;

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        self.client.poll_gone(cx)
    }

    fn answer(&mut self, head: &mut Vec<u8>, response: &C::Response) -> Result<(), Gone> {
        self.client.answer(head, response)
    }

    fn tunnel(&mut self) {
        self.client.tunnel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(kept: &mut Kept, most: usize) -> Vec<String> {
        let mut pieces = Vec::new();
        while kept.has_more() {
            pieces.push(kept.give(most, |body| match body {
                Body::Data { bytes, last } => {
                    format!("{}{}", String::from_utf8_lossy(bytes), if last { "." } else { "" })
                }
                Body::Trailers(bytes) => format!("[{}]", String::from_utf8_lossy(bytes)),
                Body::End => "end".to_owned(),
            }));
        }
        pieces
    }

    #[test]
    fn a_body_is_given_again_as_it_came() {
        for (end, expected) in [
            (Body::Data { bytes: b"cd", last: true }, vec!["ab", "cd."]),
            (Body::End, vec!["ab", "end"]),
            (Body::Trailers(b"x"), vec!["ab", "[x]"]),
        ] {
            let mut kept = Kept::default();
            kept.note(&Body::Data { bytes: b"ab", last: false });
            assert!(!kept.has_more(), "it was given just now");
            kept.note(&end);
            assert!(!kept.has_more());
            kept.rewind();
            assert_eq!(given(&mut kept, 2), expected, "{end:?}");
        }
    }

    #[test]
    fn an_unended_one_goes_on_with_the_client() {
        let mut kept = Kept::default();
        kept.note(&Body::Data { bytes: b"ab", last: false });
        kept.rewind();
        assert_eq!(given(&mut kept, 100), ["ab"]);
        assert!(!kept.has_more());
    }

    #[test]
    fn a_long_one_is_not_kept() {
        let mut kept = Kept::default();
        kept.note(&Body::Data { bytes: &[0; ROOM], last: false });
        assert!(kept.is_whole());
        kept.note(&Body::Data { bytes: b"a", last: false });
        assert!(!kept.is_whole() && kept.bytes.capacity() == 0);
    }
}
