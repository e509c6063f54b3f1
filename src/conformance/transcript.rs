//! What went over the connections of one case, for whoever has to find out why
//! it failed.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of one event that are kept; of a longer one the length is known.
const EXCERPT_LEN: usize = 256;

/// Pieces within this time of each other are shown as one.
const SAME_TIME: Duration = Duration::from_millis(1);

/// The first events and the last events that are kept.
const EVENTS_MAX: usize = 16;

/// The first events with what the kit did after them.
const NOTES_MAX: usize = 64;

/// Bytes in a line of a hexdump.
const LINE_LEN: usize = 16;

/// The events of a case. Clones add to the same.
#[derive(Clone)]
pub(crate) struct Transcript {
    begun: Instant,
    events: Arc<Mutex<Events>>,
}

#[derive(Default)]
struct Events {
    first: Vec<Entry>,
    last: VecDeque<Entry>,
    left_out: usize,
}

impl Events {
    fn add(&mut self, entry: Entry) {
        let latest = match self.last.back_mut() {
            Some(latest) => Some(latest),
            None => self.first.last_mut(),
        };
        if latest.is_some_and(|latest| latest.continues_with(&entry)) {
            return;
        }
        if self.first.len() < EVENTS_MAX {
            self.first.push(entry);
            return;
        }
        self.last.push_back(entry);
        if self.last.len() > EVENTS_MAX
            && let Some(oldest) = self.last.pop_front()
        {
            match oldest.event {
                // What the kit did is kept as far as there is room.
                Event::Note(_) if self.first.len() < NOTES_MAX => self.first.push(oldest),
                _ => self.left_out += 1,
            }
        }
    }
}

struct Entry {
    at: Duration,
    link: String,
    event: Event,
}

/// Something that happened on a connection.
pub(crate) enum Event {
    Connected,
    Sent { excerpt: Vec<u8>, len: usize },
    Received { excerpt: Vec<u8>, len: usize },
    HalfClosed,
    Closed,
    Reset,
    Note(String),
}

impl Event {
    pub(crate) fn sent(bytes: &[u8]) -> Self {
        Self::Sent {
            excerpt: excerpt(bytes),
            len: bytes.len(),
        }
    }

    pub(crate) fn received(bytes: &[u8]) -> Self {
        Self::Received {
            excerpt: excerpt(bytes),
            len: bytes.len(),
        }
    }
}

fn excerpt(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len().min(EXCERPT_LEN)].to_vec()
}

impl Transcript {
    pub(crate) fn new() -> Self {
        Self {
            begun: Instant::now(),
            events: Arc::default(),
        }
    }

    pub(crate) fn add(&self, link: &str, event: Event) {
        let entry = Entry {
            at: self.begun.elapsed(),
            link: link.to_owned(),
            event,
        };
        self.events().add(entry);
    }

    /// The events in words, with the bytes as hexadecimal numbers and as text.
    pub(crate) fn render(&self) -> String {
        let events = self.events();
        let mut text = String::new();
        for entry in &events.first {
            entry.render(&mut text);
        }
        if events.left_out > 0 {
            text += &format!("        ... {} more ...\n", events.left_out);
        }
        for entry in &events.last {
            entry.render(&mut text);
        }
        text
    }

    fn events(&self) -> MutexGuard<'_, Events> {
        // Events are added whole, whatever panics elsewhere.
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Takes in the next entry if it goes on with this one: more bytes in the
    /// same direction, at about the same time.
    fn continues_with(&mut self, next: &Self) -> bool {
        let same_direction = matches!(
            (&self.event, &next.event),
            (Event::Sent { .. }, Event::Sent { .. })
                | (Event::Received { .. }, Event::Received { .. })
        );
        if !same_direction {
            return false;
        }
        let is_near = next.at.saturating_sub(self.at) < SAME_TIME;
        if self.link != next.link || !is_near {
            return false;
        }
        let (
            Event::Sent { excerpt, len } | Event::Received { excerpt, len },
            Event::Sent {
                excerpt: more,
                len: more_len,
            }
            | Event::Received {
                excerpt: more,
                len: more_len,
            },
        ) = (&mut self.event, &next.event)
        else {
            return false;
        };
        if *len >= EXCERPT_LEN {
            *len += more_len;
            return true;
        }
        let room = EXCERPT_LEN - excerpt.len();
        excerpt.extend_from_slice(&more[..more.len().min(room)]);
        *len += more_len;
        true
    }

    fn render(&self, text: &mut String) {
        let (what, bytes) = match &self.event {
            Event::Connected => ("connected".to_owned(), None),
            Event::Sent { excerpt, len } => (format!("sent {len} bytes"), Some((excerpt, *len))),
            Event::Received { excerpt, len } => {
                (format!("received {len} bytes"), Some((excerpt, *len)))
            }
            Event::HalfClosed => ("ended its sending side".to_owned(), None),
            Event::Closed => ("the peer closed the connection".to_owned(), None),
            Event::Reset => ("the peer reset the connection".to_owned(), None),
            Event::Note(note) => (note.clone(), None),
        };
        let millis = self.at.as_secs_f64() * 1e3;
        let _ = writeln!(text, "{millis:8.1} ms  {}: {what}", self.link);
        if let Some((excerpt, len)) = bytes {
            hexdump(text, excerpt);
            if len > excerpt.len() {
                let _ = writeln!(text, "      ... {} bytes more", len - excerpt.len());
            }
        }
    }
}

fn hexdump(text: &mut String, bytes: &[u8]) {
    let mut previous = None;
    let mut is_repeating = false;
    for (index, line) in bytes.chunks(LINE_LEN).enumerate() {
        // As hexdump does: one star for lines that repeat the one before.
        if previous == Some(line) {
            if !std::mem::replace(&mut is_repeating, true) {
                *text += "      *\n";
            }
            continue;
        }
        (previous, is_repeating) = (Some(line), false);
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown: String = line
            .iter()
            .map(|&byte| match byte {
                b' '..=b'~' => char::from(byte),
                _ => '.',
            })
            .collect();
        let (offset, width) = (index * LINE_LEN, LINE_LEN * 3);
        let _ = writeln!(text, "      {offset:04x}  {:width$} {shown}", hex.join(" "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_as_numbers_and_as_text() {
        let transcript = Transcript::new();
        transcript.add("a", Event::sent(b"\0\0\0\x02{}"));
        let text = transcript.render();
        assert!(text.contains("a: sent 6 bytes\n"), "{text}");
        assert!(text.contains("0000  00 00 00 02 7b 7d "), "{text}");
        assert!(text.trim_end().ends_with("....{}"), "{text}");
    }

    #[test]
    fn a_long_transcript_keeps_its_begin_and_its_end() {
        let transcript = Transcript::new();
        for i in 0..1000 {
            transcript.add(&format!("link {i}"), Event::Connected);
            if i == 500 {
                transcript.add("process", Event::Note("SIGTERM".to_owned()));
            }
        }
        let text = transcript.render();
        assert!(text.contains("link 0:") && text.contains("link 999:"));
        assert!(text.contains("SIGTERM"), "{text}");
        assert!(text.contains("... 968 more ..."), "{text}");
        assert!(text.lines().count() < 40);
    }

    #[test]
    fn pieces_that_come_together_are_one() {
        let transcript = Transcript::new();
        for _ in 0..1000 {
            transcript.add("a", Event::received(b"1234"));
        }
        let text = transcript.render();
        assert!(text.lines().count() < 40, "{text}");
    }
}
