//! Claims about the two parsers of a request, which have to agree.
//!
//! `fuzz/` asks the same of what libFuzzer makes of the payloads in the folder
//! `parsers` beside this file.

use std::fmt::Write;

use speicher::protocol::{BadRequest, Request};

/// R1 to R9: panics unless the payload asks for the same thing when its strings
/// are written with escapes, which leaves it to the general parser.
pub fn check(payload: &[u8]) {
    let Ok(text) = std::str::from_utf8(payload) else {
        let refused = Request::parse(payload);
        assert!(matches!(refused, Err(BadRequest::NotUtf8 { .. })));
        return;
    };
    let escaped = escaped(text);
    assert_eq!(asked(text), asked(&escaped), "{text:?} and {escaped:?}");
}

/// What the payload asks for, with strings as `escaped` has them, or why it is
/// no request.
fn asked(text: &str) -> Result<String, BadRequest> {
    match Request::parse(text.as_bytes()) {
        Ok(request) => {
            let mut payload = Vec::new();
            request.encode(&mut payload);
            Ok(escaped(&String::from_utf8(payload).expect("JSON")))
        }
        // The parser's words count columns.
        Err(BadRequest::NotAnObject(_)) => Err(BadRequest::NotAnObject(String::new())),
        Err(other) => Err(other),
    }
}

enum Place {
    Outside,
    Beginning,
    Inside,
    Escape,
}

/// The same JSON, with an escape for the first character of each string. What
/// is no JSON stays none.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    let mut place = Place::Outside;
    for character in text.chars() {
        place = match (place, character) {
            (Place::Outside, '"') => Place::Beginning,
            (Place::Outside, _) => Place::Outside,
            (Place::Beginning | Place::Inside, '"') => Place::Outside,
            (Place::Beginning | Place::Inside, '\\') => Place::Escape,
            // A control character may stand in no string, but its escape may.
            (Place::Beginning, ' '..) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(escaped, "\\u{unit:04x}").expect("a string has room");
                }
                place = Place::Inside;
                continue;
            }
            _ => Place::Inside,
        };
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::requests::PAYLOADS;

    #[test]
    fn both_parsers_find_the_same_in_every_payload() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/parsers");
        let mut requests = 0;
        let mut others = 0;
        for file in fs::read_dir(folder).expect("the folder is there") {
            let payload = fs::read(file.expect("a file").path()).expect("it can be read");
            check(&payload);
            *match Request::parse(&payload) {
                Ok(_) => &mut requests,
                Err(_) => &mut others,
            } += 1;
        }
        assert!(requests >= 10 && others >= 10, "{requests} and {others}");
        for (_, payload, _) in PAYLOADS {
            check(payload);
        }
    }

    #[test]
    fn any_byte_in_any_place_is_read_alike() {
        // Longer than the pieces in which strings are scanned, and a backslash
        // makes an escape of each of these.
        let text = "bfnrt/".repeat(14);
        let payload = format!(r#" {{ "key" : "{text}" , "value":"{text}", "command" : "SET" }} "#)
            .into_bytes();
        for place in 0..payload.len() {
            for byte in 0..128 {
                let mut changed = payload.clone();
                changed[place] = byte;
                check(&changed);
            }
        }
    }

    #[test]
    fn escapes_take_the_place_of_first_characters() {
        assert_eq!(
            escaped("{\"key\":\"\u{1f600}x\",\"\":\"\\\"a\"} \"\n\""),
            "{\"\\u006bey\":\"\\ud83d\\ude00x\",\"\":\"\\\"a\"} \"\n\""
        );
    }
}
