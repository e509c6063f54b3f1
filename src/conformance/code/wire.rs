//! How the bytes of a reply leave the server.

use std::time::{Duration, Instant};

use super::super::case::{Case, Level};
use super::super::failure::Failure;
use super::super::trial::Trial;
use super::requests::PING;
use crate::protocol::frame::HEADER_LEN;

/// How often to look: two writes can arrive together by chance.
const LOOKS: usize = 300;

/// How long to look. A server without `TCP_NODELAY` that writes twice takes
/// 40 ms for each reply, and is no worse for that.
const LOOK_TIME: Duration = Duration::from_millis(500);

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::of_code(
            "reply/header-arrives-whole",
            Level::Client,
            &["F2"],
            "The four bytes of a reply's header arrive together: the client of 2013 asks for \
             them once.",
            header_arrives_whole,
        ),
        Case::of_code(
            "reply/one-write",
            Level::Should,
            &["F2a"],
            "A reply's header and payload are written at once.",
            one_write,
        ),
    ]
}

fn header_arrives_whole(trial: &mut Trial) -> Result<String, Failure> {
    let begun = Instant::now();
    for _ in 0..LOOKS {
        if begun.elapsed() > LOOK_TIME {
            break;
        }
        let (piece, _) = first_piece(trial)?;
        if piece < HEADER_LEN {
            return Err(Failure::new(
                "the 4 bytes of a reply's header at once",
                format!("{piece} of them, and the rest later"),
            )
            .with_hint(|| two_writes(piece)));
        }
    }
    Ok(String::new())
}

fn one_write(trial: &mut Trial) -> Result<String, Failure> {
    let begun = Instant::now();
    for _ in 0..LOOKS {
        if begun.elapsed() > LOOK_TIME {
            break;
        }
        let (piece, whole) = first_piece(trial)?;
        if piece < whole {
            return Err(Failure::new(
                format!("a reply of {whole} bytes in one piece"),
                format!("{piece} bytes, and the rest later"),
            )
            .with_hint(|| two_writes(piece)));
        }
    }
    Ok(String::new())
}

/// The fault behind a reply of which these bytes came first.
fn two_writes(piece: usize) -> Option<String> {
    let what = match piece {
        HEADER_LEN => "the header and the payload are written apart",
        _ => "the reply is written in pieces",
    };
    Some(format!(
        "{what}; put header and payload into one buffer, and write that"
    ))
}

/// Asks, and returns how many bytes of the reply came first, and of how many.
fn first_piece(trial: &mut Trial) -> Result<(usize, usize), Failure> {
    let link = trial.link("a")?;
    link.send_frame(PING);
    let piece = link.first_piece()?;
    let payload = link.payload()?;
    Ok((piece, HEADER_LEN + payload.len()))
}
