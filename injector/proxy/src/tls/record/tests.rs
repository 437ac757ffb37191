use super::*;
use proptest::prelude::*;
use rustls::crypto::cipher::AeadKey;

type Cases<'a, In, Out> = &'a [(In, Result<Out, Fault>)];

fn secrets() -> ConnectionTrafficSecrets {
    ConnectionTrafficSecrets::Aes256Gcm { key: AeadKey::from([7; 32]), iv: Iv::from([9; 12]) }
}

fn pair() -> (Sealer, Opener) {
    (Sealer::new(0, secrets()).unwrap(), Opener::new(0, secrets()).unwrap())
}

fn sealed(sealer: &mut Sealer, kind: Kind, content: &[u8]) -> Vec<u8> {
    let mut record = vec![0; HEAD + content.len() + TAIL];
    record[HEAD..HEAD + content.len()].copy_from_slice(content);
    sealer.seal(kind, &mut record).unwrap();
    record
}

/// A record as only a strange peer makes it: `inner` is content, type and padding as they stand.
fn strange(inner: &[u8]) -> Vec<u8> {
    let mut keys = Keys::new(0, secrets()).unwrap();
    let length = u16::try_from(inner.len() + TAG).unwrap().to_be_bytes();
    let mut record = vec![23, 3, 3, length[0], length[1]];
    let (mut body, nonce) = (inner.to_vec(), keys.nonce().unwrap());
    keys.key.seal_in_place_append_tag(nonce, Aad::from(&record[..HEAD]), &mut body).unwrap();
    record.extend(body);
    record
}

#[test]
fn what_a_header_says() {
    let table: Cases<&[u8], Option<usize>> = &[
        (&[], Ok(None)),
        (&[23, 3, 3, 0], Ok(None)),
        (&[23, 3, 3, 0, 17], Ok(Some(22))),
        (&[23, 3, 3, 0, 0], Ok(Some(5))),
        (&[23, 3, 1, 0, 17, 99], Ok(Some(22))),
        (&[23, 3, 3, 0x41, 0], Ok(Some(LONGEST))),
        (&[23, 3, 3, 0x41, 1], Err(Fault::TooLong)),
        (&[23, 3, 3, 0xff, 0xff], Err(Fault::TooLong)),
        (&[23, 2, 0, 0, 17], Err(Fault::NotARecord)),
        (&[20, 3, 3, 0, 1], Err(Fault::NotARecord)),
        (&[21, 3, 3, 0, 2], Err(Fault::NotARecord)),
        (&[22, 3, 3, 0, 9], Err(Fault::NotARecord)),
        (b"GET / HTTP/1.1", Err(Fault::NotARecord)),
    ];
    for (bytes, expected) in table {
        assert_eq!(length(bytes), *expected, "{bytes:?}");
    }
}

#[test]
fn what_a_strange_peer_seals() {
    let full = [vec![1; CONTENT], vec![23]].concat();
    let table: Cases<Vec<u8>, (Kind, usize)> = &[
        (vec![23], Ok((Kind::Data, 0))),
        (vec![5, 23, 0, 0, 0], Ok((Kind::Data, 1))),
        (vec![0, 0, 23], Ok((Kind::Data, 2))),
        ([vec![1; CONTENT - 239], vec![23], vec![0; 239]].concat(), Ok((Kind::Data, CONTENT - 239))),
        (full.clone(), Ok((Kind::Data, CONTENT))),
        ([full.clone(), vec![0]].concat(), Err(Fault::TooLong)),
        ([vec![1], full].concat(), Err(Fault::TooLong)),
        (vec![], Err(Fault::UnknownContent)),
        (vec![0; 300], Err(Fault::UnknownContent)),
        (vec![5, 20], Err(Fault::UnknownContent)),
        (vec![5, 24], Err(Fault::UnknownContent)),
        (vec![2, 40, 21], Ok((Kind::Alert, 2))),
        (vec![4, 22], Ok((Kind::Handshake, 1))),
    ];
    for (inner, expected) in table {
        let mut record = strange(inner);
        assert_eq!(length(&record), Ok(Some(record.len())));
        assert_eq!(Opener::new(0, secrets()).unwrap().open(&mut record), *expected, "{} bytes", inner.len());
    }
}

#[test]
fn too_short_for_a_tag_is_undecryptable() {
    for short in 0..TAG {
        let mut record = [&[23, 3, 3, 0, u8::try_from(short).unwrap()], vec![0; short].as_slice()].concat();
        assert_eq!(Opener::new(0, secrets()).unwrap().open(&mut record), Err(Fault::Undecryptable));
    }
}

#[test]
fn a_number_never_comes_twice() {
    let mut sealer = Sealer::new(u64::MAX - 1, secrets()).unwrap();
    let mut record = vec![0; HEAD + 1 + TAIL];
    assert_eq!(sealer.seal(Kind::Data, &mut record), Ok(()));
    assert_eq!(sealer.seal(Kind::Data, &mut record), Err(Fault::Exhausted));
    let mut opener = Opener::new(u64::MAX, secrets()).unwrap();
    assert_eq!(opener.open(&mut record), Err(Fault::Exhausted));
}

#[test]
fn a_key_wears_out_before_its_limit() {
    assert!(!Sealer::new(KEY_LASTS - 1, secrets()).unwrap().is_worn());
    assert!(Sealer::new(KEY_LASTS, secrets()).unwrap().is_worn());
}

#[test]
fn every_fault_is_told_to_the_peer_or_came_from_it() {
    let told = [
        (Fault::NotARecord, Some(10)),
        (Fault::TooLong, Some(22)),
        (Fault::Undecryptable, Some(20)),
        (Fault::UnknownContent, Some(10)),
        (Fault::Unexpected, Some(10)),
        (Fault::Malformed, Some(50)),
        (Fault::Idle, Some(10)),
        (Fault::Exhausted, Some(80)),
        (Fault::Told(40), None),
        (Fault::Cut, None),
    ];
    for (fault, alert) in told {
        assert_eq!(fault.alert(), alert);
    }
    let refused = io::Error::from(Fault::Told(48));
    let inner = refused.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    assert_eq!(inner, Some(&rustls::Error::AlertReceived(rustls::AlertDescription::UnknownCA)));
    assert_eq!(io::Error::from(Fault::Cut).kind(), io::ErrorKind::UnexpectedEof);
}

proptest! {
    #[test]
    fn what_is_sealed_is_opened(contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 1..6)) {
        let (mut sealer, mut opener) = pair();
        for content in &contents {
            let mut record = sealed(&mut sealer, Kind::Data, content);
            prop_assert_eq!(length(&record), Ok(Some(record.len())));
            prop_assert_eq!(opener.open(&mut record), Ok((Kind::Data, content.len())));
            prop_assert_eq!(&record[HEAD..HEAD + content.len()], content.as_slice());
        }
    }

    #[test]
    fn what_was_changed_is_not_opened(content in prop::collection::vec(any::<u8>(), 0..200), at in any::<usize>(), flip in 1u8..) {
        let (mut sealer, mut opener) = pair();
        let mut record = sealed(&mut sealer, Kind::Data, &content);
        let at = at % record.len();
        record[at] ^= flip;
        prop_assert_eq!(opener.open(&mut record), Err(Fault::Undecryptable));
    }

    #[test]
    fn what_comes_again_or_too_early_is_not_opened(skipped in 0usize..3) {
        let (mut sealer, mut opener) = pair();
        let mut records: Vec<_> = (0..4).map(|_| sealed(&mut sealer, Kind::Data, b"same")).collect();
        for record in &mut records[..skipped] {
            prop_assert!(opener.open(record).is_ok());
        }
        let mut later = records[skipped + 1].clone();
        prop_assert_eq!(opener.open(&mut later), Err(Fault::Undecryptable));
    }
}
