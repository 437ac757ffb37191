//! The examples of RFC 7541, appendix C.

use super::*;

const FIRST: Listed<'_> = &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")];
const SECOND: Listed<'_> = &[
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/"),
    (":authority", "www.example.com"),
    ("cache-control", "no-cache"),
];
const THIRD: Listed<'_> = &[
    (":method", "GET"),
    (":scheme", "https"),
    (":path", "/index.html"),
    (":authority", "www.example.com"),
    ("custom-key", "custom-value"),
];

const FOUND: Listed<'_> = &[
    (":status", "302"),
    ("cache-control", "private"),
    ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
    ("location", "https://www.example.com"),
];
const MOVED: Listed<'_> = &[
    (":status", "307"),
    ("cache-control", "private"),
    ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
    ("location", "https://www.example.com"),
];
const GIVEN: Listed<'_> = &[
    (":status", "200"),
    ("cache-control", "private"),
    ("date", "Mon, 21 Oct 2013 20:13:22 GMT"),
    ("location", "https://www.example.com"),
    ("content-encoding", "gzip"),
    ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"),
];

/// Appendix C.3: requests without Huffman code.
const PLAIN_REQUESTS: [(&str, Listed<'_>); 3] = [
    ("828684410f7777772e6578616d706c652e636f6d", FIRST),
    ("828684be58086e6f2d6361636865", SECOND),
    ("828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565", THIRD),
];

/// Appendix C.4: the same with it.
const REQUESTS: [(&str, Listed<'_>); 3] = [
    ("828684418cf1e3c2e5f23a6ba0ab90f4ff", FIRST),
    ("828684be5886a8eb10649cbf", SECOND),
    ("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf", THIRD),
];

/// Appendix C.5: responses without Huffman code, and a table of 256 bytes.
const PLAIN_RESPONSES: [(&str, Listed<'_>); 3] = [
    (
        "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54
         6e1768747470733a2f2f7777772e6578616d706c652e636f6d",
        FOUND,
    ),
    ("4803333037c1c0bf", MOVED),
    (
        "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d
         4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b20766572
         73696f6e3d31",
        GIVEN,
    ),
];

/// Appendix C.6: the same with it.
const RESPONSES: [(&str, Listed<'_>); 3] = [
    (
        "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b
         97c8e9ae82ae43d3",
        FOUND,
    ),
    ("4883640effc1c0bf", MOVED),
    (
        "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdf
         cd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
        GIVEN,
    ),
];

#[test]
fn the_rfcs_examples_decode() {
    for (table, blocks) in [(TABLE, PLAIN_REQUESTS), (TABLE, REQUESTS), (256, PLAIN_RESPONSES), (256, RESPONSES)] {
        let mut decoder = Decoder::new(table);
        for (block, fields) in blocks {
            assert_eq!(decode(&mut decoder, &bytes(block), ROOMY), Ok(list(fields)), "{block}");
        }
    }
}

#[test]
fn the_rfcs_requests_encode_as_they_do_there() {
    let mut encoder = Encoder::new();
    for (block, fields) in REQUESTS {
        let mut out = Vec::new();
        encoder.encode(&list(fields), &mut out);
        assert_eq!(out, bytes(block), "{fields:?}");
    }
}
