use super::*;
use crate::tls::record::{Sealer, TAIL};
use rustls::ConnectionTrafficSecrets;
use rustls::crypto::cipher::{AeadKey, Iv};

fn secrets(generation: u8) -> ConnectionTrafficSecrets {
    ConnectionTrafficSecrets::Aes256Gcm { key: AeadKey::from([generation; 32]), iv: Iv::from([9; 12]) }
}

/// A peer that seals what it likes, and us who listen.
struct Talk {
    sealer: Sealer,
    bytes: Vec<u8>,
}

impl Talk {
    fn new() -> Self {
        Self { sealer: Sealer::new(0, secrets(0)).unwrap(), bytes: Vec::new() }
    }

    fn says(mut self, kind: Kind, content: &[u8]) -> Self {
        let mut record = vec![0; HEAD + content.len() + TAIL];
        record[HEAD..HEAD + content.len()].copy_from_slice(content);
        self.sealer.seal(kind, &mut record).unwrap();
        self.bytes.extend(record);
        self
    }

    fn with_new_keys(mut self, generation: u8) -> Self {
        self.sealer = Sealer::new(0, secrets(generation)).unwrap();
        self
    }

    /// What is heard, content as it is, until there is nothing more or a fault.
    fn heard(mut self) -> Result<Vec<Heard>, Fault> {
        let mut inbound = Inbound::new(Opener::new(0, secrets(0)).unwrap());
        let (mut at, mut generation, mut heard) = (0, 0, Vec::new());
        while let Some((event, end)) = inbound.next(&mut self.bytes, at)? {
            at = end;
            heard.push(match event {
                Event::Content(range) => Heard::Content(self.bytes[range].to_vec()),
                Event::Ticket(ticket) => Heard::Ticket(ticket),
                Event::End => Heard::End,
                Event::NewKeys { asks } => {
                    generation += 1;
                    inbound.rekey(Opener::new(0, secrets(generation)).unwrap());
                    Heard::NewKeys(asks)
                }
            });
        }
        assert_eq!(at, self.bytes.len(), "all was whole");
        Ok(heard)
    }
}

#[derive(Debug, PartialEq)]
enum Heard {
    Content(Vec<u8>),
    Ticket(Vec<u8>),
    NewKeys(bool),
    End,
}

fn nothing() -> Heard {
    Heard::Content(Vec::new())
}

#[test]
fn content_lies_where_it_came() {
    let talk = Talk::new().says(Kind::Data, b"one").says(Kind::Data, b"").says(Kind::Data, b"two");
    let heard = [Heard::Content(b"one".into()), nothing(), Heard::Content(b"two".into())];
    assert_eq!(talk.heard().unwrap(), heard);
}

#[test]
fn half_a_record_is_nothing_yet() {
    let whole = Talk::new().says(Kind::Data, b"whole").bytes;
    for length in 0..whole.len() {
        let mut inbound = Inbound::new(Opener::new(0, secrets(0)).unwrap());
        assert_eq!(inbound.next(&mut whole[..length].to_vec(), 0), Ok(None));
        assert_eq!(inbound.next(&mut whole.clone(), 0), Ok(Some((Event::Content(5..10), whole.len()))));
    }
}

#[test]
fn tickets_come_alone_together_and_in_parts() {
    let (first, second) = ([&[4, 0, 0, 3], b"abc".as_slice()].concat(), [&[4, 0, 0, 2], b"de".as_slice()].concat());
    let (abc, de) = (|| Heard::Ticket(b"abc".into()), || Heard::Ticket(b"de".into()));
    assert_eq!(Talk::new().says(Kind::Handshake, &first).heard().unwrap(), [abc()]);
    let both = [first.clone(), second].concat();
    assert_eq!(Talk::new().says(Kind::Handshake, &both).heard().unwrap(), [abc(), de()]);
    for cut in 1..first.len() {
        let talk = Talk::new().says(Kind::Handshake, &first[..cut]).says(Kind::Handshake, &first[cut..]);
        assert_eq!(talk.heard().unwrap(), [nothing(), abc()], "cut at {cut}");
    }
}

#[test]
fn keys_change_behind_the_message() {
    let talk = Talk::new().says(Kind::Handshake, &[24, 0, 0, 1, 1]).with_new_keys(1).says(Kind::Data, b"new");
    assert_eq!(talk.heard().unwrap(), [Heard::NewKeys(true), Heard::Content(b"new".into())]);
    let talk = Talk::new().says(Kind::Handshake, &key_update()).with_new_keys(1).says(Kind::Data, b"new");
    assert_eq!(talk.heard().unwrap(), [Heard::NewKeys(false), Heard::Content(b"new".into())]);
    let stale = Talk::new().says(Kind::Handshake, &key_update()).says(Kind::Data, b"old keys");
    assert_eq!(stale.heard(), Err(Fault::Undecryptable));
}

#[test]
fn what_handshake_messages_must_not_be() {
    let table: &[(&[u8], Fault)] = &[
        (&[], Fault::Unexpected),
        (&[24, 0, 0, 1, 2], Fault::Malformed),
        (&[24, 0, 0, 0], Fault::Malformed),
        (&[24, 0, 0, 2, 0, 0], Fault::Malformed),
        (&[24, 0, 0, 1, 0, 4, 0, 0, 1, 9], Fault::Unexpected),
        (&[4, 0x02, 0, 1, 0], Fault::Malformed),
        (&[1, 0, 0, 1, 0], Fault::Unexpected),
        (&[13, 0, 0, 1, 0], Fault::Unexpected),
        (&[20, 0, 0, 1, 0], Fault::Unexpected),
    ];
    for (message, fault) in table {
        assert_eq!(Talk::new().says(Kind::Handshake, message).heard(), Err(*fault), "{message:?}");
    }
}

#[test]
fn a_message_is_not_torn_by_others() {
    let part = [4, 0, 0, 3, 1];
    for kind in [Kind::Data, Kind::Alert] {
        let talk = Talk::new().says(Kind::Handshake, &part).says(kind, &close_notify());
        assert_eq!(talk.heard(), Err(Fault::Unexpected));
    }
}

#[test]
fn what_alerts_mean() {
    assert_eq!(Talk::new().says(Kind::Alert, &close_notify()).heard().unwrap(), [Heard::End]);
    assert_eq!(Talk::new().says(Kind::Alert, &[2, 0]).heard().unwrap(), [Heard::End], "whatever its level");
    let canceled = Talk::new().says(Kind::Alert, &[1, 90]).says(Kind::Alert, &close_notify());
    assert_eq!(canceled.heard().unwrap(), [nothing(), Heard::End]);
    assert_eq!(Talk::new().says(Kind::Alert, &[1, 48]).heard(), Err(Fault::Told(48)));
    for malformed in [&[][..], &[2], &[2, 40, 0], &[2, 40, 2, 40]] {
        assert_eq!(Talk::new().says(Kind::Alert, malformed).heard(), Err(Fault::Malformed));
    }
}

#[test]
fn records_without_content_are_counted() {
    let idle = |count| (0..count).fold(Talk::new(), |talk, _| talk.says(Kind::Data, b""));
    assert_eq!(idle(IDLE_RECORDS).heard().unwrap().len(), 32);
    assert_eq!(idle(IDLE_RECORDS + 1).heard(), Err(Fault::Idle));
    let relieved = idle(IDLE_RECORDS).says(Kind::Data, b"x").says(Kind::Data, b"");
    assert_eq!(relieved.heard().unwrap().len(), 34);
}
