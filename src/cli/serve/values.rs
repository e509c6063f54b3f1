//! What options of `serve` take.

use speicher::memory;
use speicher::protocol::frame::FRAME_LEN_MAX;
use speicher::server::WORKERS_MAX;

use super::super::units::{parse_len_max, parse_number, parse_size};

/// More connections than any system has descriptors for.
const CONNECTIONS_MAX: usize = 10_000_000;

const SHORTEST_REQUEST: &str = r#"{"command":"RST"}"#;

/// What `--memory-max` says.
#[derive(Clone, Copy)]
pub(super) enum MemoryMax {
    /// A share of what there is.
    Default,
    /// So many bytes; none if there is no ceiling.
    Bytes(Option<usize>),
}

impl MemoryMax {
    pub(super) fn bytes(self) -> Option<usize> {
        match self {
            Self::Default => memory::available().map(|len| len / 4 * 3),
            Self::Bytes(max) => max,
        }
    }
}

pub(super) fn parse_memory_max(text: &str) -> Result<MemoryMax, String> {
    match parse_size(text)? {
        0 => Ok(MemoryMax::Bytes(None)),
        len if len >= memory::CEILING_MIN => Ok(MemoryMax::Bytes(Some(len))),
        _ => Err(format!(
            "{text} is too little for a server; allow {} at least, or 0 for all there is",
            memory::Size(memory::CEILING_MIN)
        )),
    }
}

pub(super) fn parse_workers(text: &str) -> Result<usize, String> {
    parse_number(text, 1, WORKERS_MAX)
}

pub(super) fn parse_connections(text: &str) -> Result<usize, String> {
    parse_number(text, 1, CONNECTIONS_MAX)
}

pub(super) fn parse_frame_max(text: &str) -> Result<usize, String> {
    let len = parse_len_max(text, "request", SHORTEST_REQUEST)?;
    if len > FRAME_LEN_MAX {
        return Err(format!(
            "{text} is more than the {FRAME_LEN_MAX} bytes that a frame's header can announce"
        ));
    }
    Ok(len)
}

#[cfg(feature = "cluster")]
pub(super) fn parse_replicas(text: &str) -> Result<u32, String> {
    parse_number(text, 0, 1_000)
}
