//! Members of a JSON object whose names and values are strings without
//! escapes, as nearly all requests are: three times as fast as the general
//! parser, which judges all others.

/// The JSON texts of the members called `names`, as the general parser of
/// [`object::members`](super::object::members) finds them. `None` when `text`
/// is no such object; it may be another object or none at all.
#[inline(always)]
pub(super) fn members<'a, const N: usize>(
    text: &'a str,
    names: &[&str; N],
) -> Option<[Option<&'a str>; N]> {
    let bytes = text.as_bytes();
    let mut found = [None; N];
    let mut place = after(b'{', bytes, 0)?;
    loop {
        let name = after(b'"', bytes, place)?;
        let known = names.iter().position(|known| is_at(known, bytes, name));
        let name_end = match known {
            Some(index) => name + names[index].len(),
            None => quote(bytes, name)?,
        };
        let value = after(b':', bytes, name_end + 1)?;
        let value = after(b'"', bytes, value)?;
        let value_end = quote(bytes, value)?;
        if let Some(index) = known {
            // Between quotes, and so between characters.
            found[index] = text.get(value - 1..=value_end);
        }
        place = skip_space(bytes, value_end + 1);
        match bytes.get(place)? {
            b',' => place += 1,
            b'}' => break,
            _ => return None,
        }
    }
    (skip_space(bytes, place + 1) == bytes.len()).then_some(found)
}

/// The text of a JSON string without escapes. `None` when `json`, which is one
/// JSON value, is another.
#[inline]
pub(super) fn string(json: &str) -> Option<&str> {
    let quoted = json.strip_prefix('"')?.strip_suffix('"')?;
    special(quoted.as_bytes()).is_none().then_some(quoted)
}

/// The place after the byte, which follows with nothing but space before it.
#[inline]
fn after(byte: u8, bytes: &[u8], place: usize) -> Option<usize> {
    let place = skip_space(bytes, place);
    (*bytes.get(place)? == byte).then_some(place + 1)
}

/// Whether the name, and the quote behind it, are at this place.
#[inline]
fn is_at(name: &str, bytes: &[u8], place: usize) -> bool {
    let rest = &bytes[place..];
    rest.starts_with(name.as_bytes()) && rest.get(name.len()) == Some(&b'"')
}

#[inline]
fn skip_space(bytes: &[u8], mut place: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(place) {
        place += 1;
    }
    place
}

/// The place of the quote that ends a string, if it has no escapes.
#[inline]
fn quote(bytes: &[u8], place: usize) -> Option<usize> {
    let place = place + special(bytes.get(place..)?)?;
    (bytes[place] == b'"').then_some(place)
}

/// The index of the first byte that a JSON string can't have as it is: a quote,
/// a backslash or a control character.
#[inline]
fn special(bytes: &[u8]) -> Option<usize> {
    const WORD: usize = size_of::<u64>();
    /// Most strings end within as many words.
    const SHORT: usize = 2 * WORD;

    let mut skipped = 0;
    while let Some(word) = bytes[skipped..].first_chunk::<WORD>() {
        let specials = specials(u64::from_le_bytes(*word));
        if specials != 0 {
            return Some(skipped + specials.trailing_zeros() as usize / 8);
        }
        skipped += WORD;
        if skipped == SHORT {
            skipped += unspecial(&bytes[skipped..]);
        }
    }
    let index = bytes[skipped..].iter().position(|byte| is_special(*byte))?;
    Some(skipped + index)
}

/// How many bytes at the beginning, in steps of 32, are not special.
fn unspecial(bytes: &[u8]) -> usize {
    const CHUNK: usize = 32;

    // The compiler makes vector instructions of it.
    let is_plain = |chunk: &&[u8; CHUNK]| {
        !chunk
            .iter()
            .fold(false, |any, byte| any | is_special(*byte))
    };
    let (chunks, _) = bytes.as_chunks::<CHUNK>();
    CHUNK * chunks.iter().take_while(is_plain).count()
}

fn is_special(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

/// The upper bit of the lowest byte that is special, and of some higher ones.
#[inline]
fn specials(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;

    // A byte less than `n` borrows from its upper bit; what borrows from the
    // byte above it can only spoil higher ones.
    let less = |word: u64, n: u8| word.wrapping_sub(ONES * u64::from(n)) & !word;
    let equal = |byte: u8| less(word ^ (ONES * u64::from(byte)), 1);
    (less(word, b' ') | equal(b'"') | equal(b'\\')) & (ONES * 0x80)
}
