//! What is wrong with a frame, where its bytes show it.

use serde::de::IgnoredAny;

use super::answer::excerpt;
use crate::protocol::frame::HEADER_LEN;

/// The bytes that are looked through for a payload.
const LOOK_LEN: usize = 64 << 10;

/// Where else a payload may begin than behind a header of 4 bytes, if that is what a header
/// of this length would announce.
const OTHER_HEADER_LENS: [usize; 3] = [1, 2, 8];

/// The fault, in words, of bytes that should begin with a frame. `None` when they do, and
/// when they do not show what is wrong.
pub(crate) fn hint(bytes: &[u8]) -> Option<String> {
    let Some((begin, len)) = object_in(&bytes[..bytes.len().min(LOOK_LEN)]) else {
        return text_alone(bytes);
    };
    let object = &bytes[begin..begin + len];
    match begin {
        0 => Some(
            "there is no header: the first bytes are the JSON itself; its length belongs before \
             it, as 4 bytes with the most significant first"
                .to_owned(),
        ),
        HEADER_LEN => wrong_length(&bytes[..begin], object, bytes.len() - begin),
        _ if OTHER_HEADER_LENS.contains(&begin) && announces(&bytes[..begin], len) => {
            Some(format!(
                "the header has {}; it has to have {HEADER_LEN}",
                in_bytes(begin)
            ))
        }
        _ => before_the_frame(&bytes[..begin], len),
    }
}

/// Whether so much has come that a hint will not change when more comes.
pub(crate) fn is_enough(bytes: &[u8]) -> bool {
    bytes.len() > LOOK_LEN || object_in(bytes).is_some()
}

/// Where the first JSON object begins, and its length.
fn object_in(bytes: &[u8]) -> Option<(usize, usize)> {
    let braces = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'{');
    // A brace that begins no object is rare, so that few are tried.
    braces.take(8).find_map(|(begin, _)| {
        let rest = &bytes[begin..];
        let mut objects = serde_json::Deserializer::from_slice(rest).into_iter::<IgnoredAny>();
        objects.next()?.ok()?;
        Some((begin, objects.byte_offset()))
    })
}

/// Whether the bytes are this number, in either order.
fn announces(header: &[u8], len: usize) -> bool {
    let number = |value: usize, byte: &u8| value << 8 | usize::from(*byte);
    header.iter().fold(0, number) == len || header.iter().rev().fold(0, number) == len
}

/// What is wrong with the length in a header of 4 bytes before the object, of which so many
/// bytes came with what is behind it.
fn wrong_length(header: &[u8], object: &[u8], came: usize) -> Option<String> {
    let header: [u8; HEADER_LEN] = header.try_into().ok()?;
    let (announced, swapped) = (u32::from_be_bytes(header), u32::from_le_bytes(header));
    let (announced, swapped) = (announced as usize, swapped as usize);
    let len = object.len();
    let characters = String::from_utf8_lossy(object).chars().count();
    if announced == len {
        return None;
    }
    if (len..=came).contains(&swapped) {
        return Some(format!(
            "the header would be right in the other byte order: it says {announced}, and {swapped} \
             with its bytes swapped; the most significant byte comes first"
        ));
    }
    if announced == len + HEADER_LEN {
        return Some(format!(
            "the length counts the {HEADER_LEN} bytes of the header too: it says {announced}, and \
             the payload has {len}"
        ));
    }
    if announced == characters {
        return Some(format!(
            "the length counts characters: it says {announced}, and the payload has {len} bytes"
        ));
    }
    // White space behind the object may belong to the payload.
    (!(len..=came).contains(&announced)).then(|| {
        format!("the length is wrong: it says {announced}, and the JSON behind it has {len} bytes")
    })
}

/// What stands before a frame, or before an object that has none.
fn before_the_frame(before: &[u8], len: usize) -> Option<String> {
    let extra = match before.split_last_chunk::<HEADER_LEN>() {
        Some((extra, header)) if announces(header, len) => extra,
        _ if is_text(before) => {
            return Some(format!(
                "text comes in place of a header: {}",
                shown(before)
            ));
        }
        _ => return None,
    };
    let bytes = in_bytes(extra.len());
    Some(format!(
        "something comes before the frame and belongs to none, {bytes}: {}",
        shown(extra)
    ))
}

fn text_alone(bytes: &[u8]) -> Option<String> {
    let is_long = bytes.len() >= HEADER_LEN;
    (is_long && is_text(bytes)).then(|| {
        let text = shown(bytes);
        format!("what comes is text and no frame: {text}")
    })
}

/// Whether nobody would write such bytes as a header.
fn is_text(bytes: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    bytes.iter().take(HEADER_LEN).all(is_plain)
}

fn in_bytes(len: usize) -> String {
    match len {
        1 => "1 byte".to_owned(),
        len => format!("{len} bytes"),
    }
}

fn shown(bytes: &[u8]) -> String {
    format!("\"{}\"", excerpt(&String::from_utf8_lossy(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: &[u8] = br#"{"status_code":200}"#;

    /// The hint about the object behind these bytes.
    fn behind(before: &[u8]) -> Option<String> {
        hint(&[before, OBJECT].concat())
    }

    #[test]
    fn bytes_that_are_a_frame_or_say_nothing_get_no_hint() {
        for bytes in [
            &b""[..],
            b"\0",
            b"\0\0\0\x13",
            b"\0\0\0\0",
            b"\xff\xff\xff\xff",
        ] {
            assert_eq!(hint(bytes), None, "{bytes:?}");
        }
        assert_eq!(behind(b"\0\0\0\x13"), None);
        assert_eq!(hint(b"\0\0\0\x15{\"status_code\":200} \n"), None);
        assert_eq!(hint(b"\0\0\0\x13{\"status_code\":2"), None);
    }

    #[test]
    fn a_header_that_is_wrong_is_told_from_other_faults() {
        for (before, words) in [
            (&b""[..], "no header"),
            (b"\x13\0\0\0", "other byte order: it says 318767104, and 19"),
            (b"\0\0\0\x17", "counts the 4 bytes of the header"),
            (
                b"\0\0\0\x12",
                "says 18, and the JSON behind it has 19 bytes",
            ),
            (b"\0\x13", "has 2 bytes"),
            (b"\x13", "has 1 byte;"),
            (b"\0\0\0\0\0\0\0\x13", "has 8 bytes"),
            (b"hello\r\n\0\0\0\x13", r#"to none, 7 bytes: "hello\r\n""#),
            (b"\n\0\0\0\x13", "to none, 1 byte: \"\\n\""),
            (
                b"HTTP/1.1 200 OK\r\n\r\n",
                "in place of a header: \"HTTP/1.1",
            ),
        ] {
            let said = behind(before).unwrap_or_default();
            assert!(said.contains(words), "{before:?}: {said}");
        }
        let said = hint("\0\0\0\u{d}{\"value\":\"\u{fc}\"}".as_bytes());
        assert!(said.is_some_and(|said| said.contains("counts characters")));
        let said = hint(b"-ERR unknown command\r\n");
        assert!(said.is_some_and(|said| said.contains("no frame: \"-ERR")));
    }
}
