//! Where requests and answers end, however their bytes come.

use crate::redis_world::resp::{Framer, NotResp, command, request};

/// The lengths of the values in these bytes, which come one by one.
fn lengths(bytes: &[u8]) -> Vec<usize> {
    let (mut framer, mut found, mut begin) = (Framer::default(), Vec::new(), 0);
    for end in 1..=bytes.len() {
        if let Some(length) = framer.whole(&bytes[begin..end]).expect("RESP") {
            found.push(length);
            begin += length;
        }
    }
    assert_eq!(begin, bytes.len(), "all were whole");
    found
}

#[test]
fn every_value_ends_where_it_ends() {
    for whole in [
        "+OK\r\n",
        "-ERR no\r\n",
        ":12\r\n",
        "$5\r\na\r\nbc\r\n",
        "$0\r\n\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*2\r\n*1\r\n:1\r\n$1\r\na\r\n",
        "_\r\n",
        "#t\r\n",
        ",1.5\r\n",
        "(123456789012345678901234567890\r\n",
        "=7\r\ntxt:abc\r\n",
        "!2\r\nno\r\n",
        "~2\r\n:1\r\n:2\r\n",
        "%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n",
        ">2\r\n+message\r\n+a\r\n",
        "|1\r\n+ttl\r\n:5\r\n$1\r\na\r\n",
        "PING\r\n",
    ] {
        assert_eq!(lengths(whole.as_bytes()), [whole.len()], "{whole:?}");
        assert_eq!(lengths(format!("{whole}:1\r\n{whole}").as_bytes()), [whole.len(), 4, whole.len()], "{whole:?}");
    }
}

#[test]
fn what_is_not_the_protocol_is_seen_at_once() {
    for bytes in [&b"\x16\x03\x01"[..], b"*1\r\n\x00", b"*x\r\n"] {
        assert_eq!(Framer::default().whole(bytes), Err(NotResp), "{bytes:?}");
    }
}

#[test]
fn a_request_is_known_by_its_first_words() {
    assert_eq!(command(&request(&["client", "setinfo", "LIB-NAME"])), ["CLIENT", "SETINFO"]);
    assert_eq!(command(&request(&["PING"])), ["PING"]);
    assert_eq!(command(b"ping now please\r\n"), ["PING", "NOW"]);
}
