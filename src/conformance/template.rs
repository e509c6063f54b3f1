//! The bytes that a case's text stands for.
//!
//! `<key>` is the key of this run of the case, `<x*100>` is `x` a hundred
//! times, and `<hex:ff 00>` is bytes. Anything else stands for itself.

/// Bytes that one case may grow to.
const LEN_MAX: usize = 128 << 20;

/// Writes out the text's placeholders.
///
/// Fails with a sentence when a placeholder that looks like one is none.
pub(crate) fn expand(text: &str, key: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        let end = rest.find('>').ok_or("a < without its >")?;
        placeholder(&rest[..end], key, &mut bytes)?;
        rest = &rest[end + 1..];
        if bytes.len() > LEN_MAX {
            return Err(format!("it stands for more than {LEN_MAX} bytes"));
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

fn placeholder(text: &str, key: &str, bytes: &mut Vec<u8>) -> Result<(), String> {
    if text == "key" {
        bytes.extend_from_slice(key.as_bytes());
        return Ok(());
    }
    if let Some(digits) = text.strip_prefix("hex:") {
        for pair in digits.split(' ') {
            let byte = u8::from_str_radix(pair, 16);
            bytes.push(byte.map_err(|_| format!("{pair:?} is no byte"))?);
        }
        return Ok(());
    }
    let (unit, times) = text
        .rsplit_once('*')
        .ok_or_else(|| format!("there is no placeholder <{text}>"))?;
    let times: usize = times
        .parse()
        .map_err(|_| format!("{times:?} is no number of times"))?;
    if unit.len().saturating_mul(times) > LEN_MAX {
        return Err(format!("<{text}> stands for more than {LEN_MAX} bytes"));
    }
    bytes.extend_from_slice(unit.repeat(times).as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_written_out_and_the_rest_stands_for_itself() {
        let expanded = |text: &str| expand(text, "k1");
        assert_eq!(
            expanded(r#"{"key":"<key>x"}"#),
            Ok(br#"{"key":"k1x"}"#.to_vec())
        );
        assert_eq!(expanded("<[*3>1<]*3>"), Ok(b"[[[1]]]".to_vec()));
        assert_eq!(expanded("a<hex:ff 00>b"), Ok(b"a\xff\0b".to_vec()));
        for wrong in ["<", "<x>", "<x*y>", "<hex:zz>", "<xx*99999999999>"] {
            assert!(expanded(wrong).is_err(), "{wrong}");
        }
    }
}
